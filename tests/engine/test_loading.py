# SPDX-License-Identifier: MIT
"""That each load setting really reaches llama.cpp."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest

from rigpanel.engine.llama import devices, loading
from rigpanel.engine.llama.runtime import llama_log, prepare
from rigpanel.engine.llama.session import Session
from rigpanel.engine.messages import EngineError, TextGenerated
from rigpanel.fit.load_settings import LoadSettings, LoraAdapter, RopeScaling
from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.engine.driving import ask

HELLO = ask("hello", temperature=0.0, max_tokens=16, ignore_eos=True)


@pytest.fixture(scope="module", autouse=True)
def _backends() -> Iterator[None]:
    prepare()
    yield
    llama_log.begin_load()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return write_demo_model(folder / "exact.gguf", DemoShape(exact=True))


def opened(model: Path, **changes: Any) -> Session:
    settings = LoadSettings(model, **{"n_ctx": 512, "threads": 1, **changes})
    return Session(settings, lambda _: None, lambda: False)


def says(model: Path, **changes: Any) -> str:
    session = opened(model, **changes)
    events = list(session.chat(HELLO, lambda: False))
    session.close()
    return "".join(event.text for event in events if isinstance(event, TextGenerated))


def logged(model: Path, **changes: Any) -> str:
    opened(model, **changes).close()
    return "\n".join(" ".join(line.split()) for line in llama_log.lines)


def test_a_whole_model_runs_whatever_part_its_name_says_it_is(model: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        alone = tmp_path / f"alone-{number:05}-of-00002.gguf"
        alone.symlink_to(model)
        opened(alone).close()
        alone.unlink()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"n_batch": 128, "n_ubatch": 64}, "llama_context: n_batch = 128"),
        ({"n_batch": 128, "n_ubatch": 64}, "llama_context: n_ubatch = 64"),
        ({"flash_attn": "on"}, "llama_context: flash_attn = enabled"),
        ({"flash_attn": "off"}, "llama_context: flash_attn = disabled"),
        ({"rope_freq_base": 5000.0}, "llama_context: freq_base = 5000.0"),
        ({"rope_freq_scale": 0.5}, "llama_context: freq_scale = 0.5"),
        ({"use_mmap": True}, "(load_mode = mmap)"),
        ({"use_mmap": False}, "(load_mode = none)"),
        ({"use_mlock": True}, "(load_mode = mmap+mlock)"),
        ({"use_mmap": False, "use_mlock": True}, "(load_mode = mlock)"),
        ({"type_k": "q8_0", "flash_attn": "on"}, "K (q8_0):"),
        ({"type_v": "f32"}, "V (f32):"),
    ],
)
def test_llama_cpp_logs_what_was_set(model: Path, changes: dict[str, Any], line: str) -> None:
    assert line in logged(model, **changes)


def test_context_and_threads_are_as_set(model: Path) -> None:
    session = opened(model, n_ctx=768, threads=2)
    assert session.model.n_ctx == 768
    assert llama_cpp.llama_n_threads(session._context) == 2
    session.close()


def test_rope_settings_change_what_the_model_says(model: Path) -> None:
    plain = says(model)
    assert says(model, rope_freq_base=10_000.0) == plain  # The file's own.
    assert says(model, rope_freq_base=50.0) != plain
    stretched = says(model, rope_scaling=RopeScaling.LINEAR, rope_freq_scale=0.05)
    assert stretched != plain
    assert says(model, rope_scaling=RopeScaling.YARN, rope_freq_scale=0.05) != stretched


def write_adapter(path: Path, kind: str = "lora", width: int = 128) -> Path:
    """Write a LoRA adapter for the query weights of a demo model's first layer."""
    random = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", kind)
    writer.add_float32("adapter.lora.alpha", 4.0)
    for end, shape in (("a", (4, width)), ("b", (width, 4))):
        drawn = random.standard_normal(shape).astype(np.float32)
        writer.add_tensor(f"blk.0.attn_q.weight.lora_{end}", drawn)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_lora_adapter_changes_what_the_model_says_by_its_scale(
    model: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path / "lora.gguf")
    plain = says(model)
    full = says(model, lora=(LoraAdapter(adapter, 2.0),))
    assert full != plain
    assert says(model, lora=(LoraAdapter(adapter, 0.0),)) == plain
    both = (LoraAdapter(adapter, 1.0), LoraAdapter(adapter, 1.0))
    assert says(model, lora=both) == full


def test_an_adapter_that_does_not_fit_is_refused(model: Path, tmp_path: Path) -> None:
    narrow = write_adapter(tmp_path / "narrow.gguf", width=96)
    with pytest.raises(EngineError, match=r"narrow\.gguf cannot be used: .*incorrect shape"):
        opened(model, lora=(LoraAdapter(narrow),))
    other = write_adapter(tmp_path / "other.gguf", kind="vera")
    with pytest.raises(EngineError, match=r"expect adapter\.type to be 'lora'"):
        opened(model, lora=(LoraAdapter(other),))
    with pytest.raises(EngineError, match=r"exact\.gguf cannot be used: .*'adapter'"):
        opened(model, lora=(LoraAdapter(model),))
    assert says(model)


def test_a_cache_type_that_does_not_divide_the_heads_is_told_before_the_weights_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "REHEARSE_FROM_MIB", 0)
    odd = write_demo_model(tmp_path / "odd.gguf", DemoShape(n_embd=96, n_head=4, n_head_kv=4))
    read: list[float] = []
    settings = LoadSettings(odd, n_ctx=512, threads=1, type_k="q8_0")
    with pytest.raises(EngineError, match=r"block size 32 does not divide n_embd_head_k=24\. "):
        Session(settings, read.append, lambda: False)
    assert not read
    with pytest.raises(EngineError, match="needs flash attention"):
        opened(odd, type_v="q8_0", flash_attn="off")


def test_a_build_without_rpc_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "rpc_function", lambda *_: None)
    for needs_it in (
        lambda: devices.meeting(("127.0.0.1:50052",)).__enter__(),
        lambda: devices.lender("127.0.0.1:50052", 1),
    ):
        with pytest.raises(EngineError, match="built without RPC"):
            needs_it()


def test_a_rehearsal_leaves_no_trace_in_what_is_reported(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = opened(model)
    monkeypatch.setattr(loading, "REHEARSE_FROM_MIB", 0)
    rehearsed = opened(model)
    assert rehearsed.model.devices == plain.model.devices
    assert rehearsed.model.notes == plain.model.notes
    plain.close()
    rehearsed.close()


def test_a_context_past_the_trained_one_is_taken_and_noted(model: Path) -> None:
    session = opened(model, n_ctx=8192)
    assert session.model.n_ctx == 8192
    assert any("8192 tokens is longer than the 4096" in note for note in session.model.notes)
    session.close()


def test_only_the_logits_a_chat_needs_are_reserved(tmp_path: Path) -> None:
    """One token's, and not a whole ubatch's: 512 times 16384 floats would be 32 MiB."""
    shape = DemoShape(n_embd=32, n_layer=1, n_head=2, n_head_kv=1, n_ff=64, n_vocab=16384)
    session = opened(write_demo_model(tmp_path / "wide.gguf", shape))
    session.close()
    assert sum(use.compute_mib for use in session.model.devices) < 4
