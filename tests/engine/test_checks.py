# SPDX-License-Identifier: MIT
"""What is refused before a load, each with what to change."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from rigpanel.engine.checks import check, check_devices
from rigpanel.engine.devices import Device, DeviceKind
from rigpanel.engine.messages import EngineError
from rigpanel.errors import RigpanelError
from rigpanel.fit.load_settings import (
    LoadSettings,
    LoraAdapter,
    RopeScaling,
    Speculation,
    SplitMode,
)
from rigpanel.library.demo_model import DemoShape, write_demo_model
from rigpanel.library.gguf_header import read_header
from tests.engine.made_models import model_with_bytes

MAX_DEVICES = 16


def refuse(model: Path, says: str, **changes: Any) -> None:
    with pytest.raises(RigpanelError, match=says):
        check(LoadSettings(model, **changes), read_header(model), MAX_DEVICES)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"n_ctx": 8}, "context of 8 tokens: must be from 16"),
        ({"n_ctx": 2**31}, "must be from 16 to"),
        ({"type_k": "q9"}, "type_k 'q9': must be one of f32, f16"),
        ({"type_v": "q3_k"}, "type_v 'q3_k'"),
        ({"flash_attn": "maybe"}, "must be on, off or auto"),
        ({"flash_attn": "off", "type_v": "q8_0"}, "V cache needs flash attention"),
        ({"threads": 0}, "0 threads"),
        ({"n_batch": 0}, "n_batch 0"),
        ({"n_ubatch": -4}, "n_ubatch -4"),
        ({"n_gpu_layers": -2}, "-1 for all"),
        ({"main_gpu": -1}, "main_gpu -1"),
        ({"tensor_split": (0.0, 0.0)}, "one must be above 0"),
        ({"tensor_split": (1.0, float("nan"))}, "must not be negative"),
        ({"tensor_split": (1.0,) * 99}, "99 devices"),
        ({"split_mode": SplitMode.TENSOR, "flash_attn": "off"}, "tensor needs flash"),
        ({"rope_freq_base": -1.0}, "rope_freq_base -1.0: must be above 0"),
        ({"rope_freq_scale": float("inf")}, "rope_freq_scale inf"),
        ({"rope_scaling": RopeScaling.NONE, "rope_freq_scale": 0.5}, "choose linear or yarn"),
        ({"rpc_servers": ("here",)}, "'here' is no address"),
        ({"rpc_servers": tuple(f"h:{n}" for n in range(1, 18))}, "17 RPC servers"),
        ({"lora": (LoraAdapter(Path("/nowhere/l.gguf")),)}, "l.gguf does not exist"),
        ({"speculation": Speculation.DRAFT_MODEL}, "none is named"),
        ({"speculation": Speculation.PROMPT_LOOKUP, "n_draft": 0}, "n_draft 0"),
        ({"speculation": Speculation.PROMPT_LOOKUP, "n_draft": 512}, "below n_batch"),
        (
            {"speculation": Speculation.DRAFT_MODEL, "model_draft": Path("/nowhere/d.gguf")},
            "d.gguf does not exist",
        ),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_to_change(
    model: Path, changes: dict[str, Any], says: str
) -> None:
    refuse(model, says, **changes)


def test_whatever_llama_cpp_takes_passes(model: Path) -> None:
    settings = LoadSettings(
        model,
        tensor_split=(3.0, 1.0),
        type_k="q8_0",
        type_v="q4_0",
        flash_attn="auto",
        n_ubatch=2048,
        rope_scaling=RopeScaling.YARN,
        rope_freq_scale=0.25,
        rpc_servers=("10.0.0.2:50052", "rig.local:1"),
        speculation=Speculation.DRAFT_MODEL,
        model_draft=model,
        lora=(LoraAdapter(model, 0.5),),
    )
    check(settings, read_header(model), MAX_DEVICES)


def test_files_of_another_family_are_refused(model: Path, tmp_path: Path) -> None:
    other = model_with_bytes(
        tmp_path / "other.gguf", b"\x05" + bytes(7) + b"llama", b"\x05" + bytes(7) + b"gemma"
    )
    refuse(model, "for gemma models, and this is a llama", lora=(LoraAdapter(other),))
    small = write_demo_model(tmp_path / "small.gguf", DemoShape(n_vocab=512))
    draft = {"speculation": Speculation.DRAFT_MODEL, "model_draft": small}
    refuse(
        model, "small.gguf cannot guess for this one: it has 512 tokens in place of 1024", **draft
    )
    projector = dataclasses.replace(read_header(model), arch="clip")
    with pytest.raises(EngineError, match="projector"):
        check(LoadSettings(model), projector, MAX_DEVICES)


def device(name: str, kind: DeviceKind = DeviceKind.GPU) -> Device:
    return Device(name, "", kind, 1.0, 1.0)


CPU = device("CPU", DeviceKind.CPU)
CARDS = (CPU, device("CUDA0"), device("CUDA1"), device("RPC0", DeviceKind.RPC))


@pytest.mark.parametrize(
    ("names", "changes", "says"),
    [
        (("CUDA7",), {}, "no device CUDA7; there are: CPU, CUDA0, CUDA1, RPC0"),
        (("CUDA0", "CUDA0"), {}, "twice"),
        (("BLAS",), {}, "no device BLAS"),
        (("CUDA0", "RPC0"), {"split_mode": SplitMode.ROW}, r"row does not work over RPC \(RPC0\)"),
        (("CPU",), {"split_mode": SplitMode.TENSOR}, "needs a card or an RPC server"),
        (("CUDA0",), {"tensor_split": (1.0, 1.0)}, r"2 shares for 1 devices \(CUDA0\)"),
        (("CUDA0",), {"split_mode": SplitMode.NONE, "main_gpu": 1}, "from 0 to 0, one of CUDA0"),
    ],
)
def test_devices_that_cannot_be_used_so_are_refused(
    names: tuple[str, ...], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(EngineError, match=says):
        check_devices(LoadSettings(Path("m.gguf"), **changes), names, CARDS)


def test_row_split_over_cards_and_a_processor_alone_pass() -> None:
    row = LoadSettings(Path("m.gguf"), split_mode=SplitMode.ROW, tensor_split=(1.0, 1.0))
    check_devices(row, ("CUDA0", "CUDA1"), CARDS)
    check_devices(LoadSettings(Path("m.gguf"), tensor_split=(1.0, 1.0)), ("CPU",), (CPU,))


def test_a_helper_of_the_processor_holds_no_layers() -> None:
    blas = device("BLAS", DeviceKind.ACCEL)
    with pytest.raises(EngineError, match="BLAS helps the processor"):
        check_devices(LoadSettings(Path("m.gguf")), ("BLAS",), (CPU, blas))
