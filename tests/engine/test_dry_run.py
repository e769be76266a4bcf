# SPDX-License-Identifier: MIT
"""What llama.cpp says a load would take: equal to what it takes, and to the formula's answer."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rigpanel.engine.dry_run import dry_run, dry_runs
from rigpanel.engine.messages import EngineError, LoadedModel
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.fit.estimate import Estimator
from rigpanel.fit.load_settings import LoadSettings, Speculation, SplitMode
from rigpanel.fit.measured import Measured
from rigpanel.fit.result import MIB, Device
from rigpanel.library.demo_model import write_demo_model
from rigpanel.library.gguf_header import read_header
from tests.engine.lenders import lending
from tests.engine.made_models import model_with
from tests.fit.made_architectures import ARCHITECTURES, Sizes, write

SMALL = Sizes(n_embd=256, n_layer=4, n_head=4, n_head_kv=2, head=64, n_ff=512, n_vocab=1200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


def loaded(settings: LoadSettings, then: Callable[[], None] = lambda: None) -> LoadedModel:
    """Load a model for real, look at what there is `then`, and let it go."""

    async def load() -> LoadedModel:
        engine = ProcessEngine()
        try:
            model = await engine.load(settings, lambda _fraction: None)
            then()
            return model
        finally:
            await engine.stop()

    return asyncio.run(load())


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[str, tuple[LoadSettings, Measured | EngineError]]:
    settings = [
        LoadSettings(
            model=write(folder / f"{name}.gguf", name, SMALL),
            n_ctx=2048,
            n_ubatch=256,
            flash_attn="on",
        )
        for name in ARCHITECTURES
    ]
    return dict(zip(ARCHITECTURES, zip(settings, dry_runs(settings), strict=True), strict=True))


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_formula_says_what_llama_cpp_says(
    name: str, measured: dict[str, tuple[LoadSettings, Measured | EngineError]]
) -> None:
    settings, answer = measured[name]
    assert isinstance(answer, Measured)
    formula = Estimator(read_header(settings.model)).fit(settings, ()).host
    assert formula.weights_mib == pytest.approx(answer.host.weights / MIB, rel=0.001)
    assert formula.kv_mib == pytest.approx(answer.host.kv / MIB, rel=0.001)
    assert formula.compute_mib == pytest.approx(answer.host.compute / MIB, rel=0.1)
    assert (answer.host.layers, answer.host.output) == (4, True)


REAL: dict[str, dict[str, Any]] = {
    "gemma3": {"n_ctx": 4096, "type_k": "q8_0", "type_v": "q8_0"},
    "granitehybrid": {"n_ctx": 1000, "n_ubatch": 64},
    "qwen3moe": {"flash_attn": "off"},
}


def test_a_dry_run_says_what_a_load_then_takes(
    folder: Path, measured: dict[str, tuple[LoadSettings, Measured | EngineError]]
) -> None:
    asked = [
        replace(measured[name][0], use_mmap=False, **changes) for name, changes in REAL.items()
    ]
    for settings, answer in zip(asked, dry_runs(asked), strict=True):
        assert isinstance(answer, Measured)
        real = loaded(settings)
        (use,) = real.devices
        assert answer.n_ctx == real.n_ctx
        assert answer.host.weights / MIB == pytest.approx(use.weights_mib, abs=0.02)
        assert answer.host.kv / MIB == pytest.approx(use.kv_mib, abs=0.02)
        assert answer.host.compute / MIB == pytest.approx(use.compute_mib, abs=0.03)


def test_guessing_ahead_asks_for_more_logits(folder: Path) -> None:
    path = write(folder / "guessing.gguf", "llama", SMALL)
    settings = LoadSettings(
        model=path,
        n_ctx=512,
        n_ubatch=32,
        flash_attn="on",
        speculation=Speculation.PROMPT_LOOKUP,
        n_draft=31,
    )
    plain = replace(settings, speculation=Speculation.NONE)
    estimator = Estimator(read_header(path))
    for asked, answer in zip((settings, plain), dry_runs([settings, plain]), strict=True):
        assert isinstance(answer, Measured)
        compute_mib = estimator.fit(asked, ()).host.compute_mib
        assert compute_mib == pytest.approx(answer.host.compute / MIB, rel=0.05)


def test_over_two_lenders_all_three_agree_for_each_device(folder: Path) -> None:
    path = write(folder / "gemma2-split.gguf", "gemma2", SMALL)
    with lending(2) as lenders:
        settings = LoadSettings(
            model=path,
            n_ctx=2048,
            tensor_split=(1.0, 1.0),
            use_mmap=False,
            flash_attn="on",
            rpc_servers=tuple(lender.address for lender in lenders),
        )
        measured, real = dry_run(settings), loaded(settings)
    lent = tuple(Device(name, None, 1e6, lent=True) for name in ("RPC0", "RPC1"))
    fit = Estimator(read_header(path)).fit(settings, lent)
    formula = {use.device.name: use.use for use in fit.devices} | {"CPU": fit.host}
    dry = {use.name or "CPU": use for use in measured.devices}
    assert {use.device for use in real.devices} == set(dry) == set(formula)
    for use in real.devices:
        said, reckoned = dry[use.device], formula[use.device]
        assert said.weights / MIB == pytest.approx(use.weights_mib, abs=0.02)
        assert said.kv / MIB == pytest.approx(use.kv_mib, abs=0.02)
        assert said.compute / MIB == pytest.approx(use.compute_mib, abs=0.03)
        assert reckoned.weights_mib == pytest.approx(use.weights_mib, abs=0.02)
        assert reckoned.kv_mib == pytest.approx(use.kv_mib, abs=0.02)
        assert reckoned.compute_mib == pytest.approx(use.compute_mib, rel=0.1)
        assert (reckoned.layers, reckoned.output) == (said.layers, said.output)


def test_wide_heads_and_experts_on_the_host_are_reckoned_with(folder: Path) -> None:
    wide = Sizes(n_embd=256, n_layer=4, n_head=8, n_head_kv=2, head=64, n_ff=768, n_vocab=1200)
    many = replace(SMALL, n_expert=16, n_used=8, n_ff_exp=128)
    models = {
        name: write(folder / f"{name}-odd.gguf", name, sizes)
        for name, sizes in (
            ("qwen3", wide),
            ("gpt2", SMALL),
            ("qwen3moe", many),
            ("phi3", SMALL),
        )
    }
    with lending(1) as (lender,):
        asked = [
            LoadSettings(
                model=models[name],
                n_ctx=2048,
                n_gpu_layers=layers,
                type_k=kind,
                type_v=kind,
                rpc_servers=(lender.address,),
            )
            for name in models
            for layers, kind in ((-1, "f16"), (-1, "q8_0"), (2, "f16"), (2, "q8_0"))
        ]
        answers = dry_runs(asked)
    lent = (Device("RPC0", None, 1e6, lent=True),)
    for settings, answer in zip(asked, answers, strict=True):
        assert isinstance(answer, Measured)
        (use,) = Estimator(read_header(settings.model)).fit(settings, lent).devices
        assert use.use.compute_mib == pytest.approx(answer.devices[0].compute / MIB, rel=0.01)


def test_small_batches_and_turned_caches_are_reckoned_with(folder: Path) -> None:
    wide = replace(SMALL, n_head=8, head=128)
    odd: list[tuple[str, Sizes, dict[str, Any]]] = [
        ("deepseek2", SMALL, {"flash_attn": "off", "n_ubatch": 1}),
        ("deepseek2", SMALL, {"type_k": "q8_0", "type_v": "q8_0", "n_ubatch": 16}),
        ("gemma3", wide, {"type_k": "q8_0", "type_v": "q8_0", "n_ubatch": 16}),
        ("qwen3", wide, {"type_k": "q4_0", "n_ubatch": 1}),
        ("gpt2", SMALL, {"type_k": "q8_0", "type_v": "q8_0"}),
        ("cohere2", SMALL, {"type_v": "q8_0"}),
        ("gpt-oss", SMALL, {"n_ubatch": 128}),
    ]
    asked = [
        replace(
            LoadSettings(
                model=write(folder / f"{number}-{name}.gguf", name, sizes),
                n_ctx=2048,
                flash_attn="on",
            ),
            **changes,
        )
        for number, (name, sizes, changes) in enumerate(odd)
    ]
    for settings, answer in zip(asked, dry_runs(asked), strict=True):
        assert isinstance(answer, Measured)
        host = Estimator(read_header(settings.model)).fit(settings, ()).host
        assert host.compute_mib == pytest.approx(answer.host.compute / MIB, rel=0.02)


@pytest.mark.parametrize(("name", "shares"), [("gemma2", (3.0, 1.0)), ("mixtral", (1.0, 1.0))])
def test_split_by_tensors_each_device_gives_out_what_is_reckoned(
    name: str, shares: tuple[float, float], folder: Path, tmp_path: Path
) -> None:
    path = write(folder / f"{name}-tensors.gguf", name, Sizes(n_layer=4, n_ff=640, n_vocab=1200))
    with lending(2, tmp_path) as lenders:
        settings = LoadSettings(
            model=path,
            n_ctx=2048,
            split_mode=SplitMode.TENSOR,
            tensor_split=shares,
            use_mmap=False,
            rpc_servers=tuple(lender.address for lender in lenders),
        )
        given: list[list[int]] = []
        told = loaded(settings, lambda: given.extend(lender.allocated() for lender in lenders))
    real = {use.device: use for use in told.devices}
    lent = tuple(Device(place, None, 1e6, lent=True) for place in ("RPC0", "RPC1"))
    fit = Estimator(read_header(path)).fit(settings, lent)
    for use, sizes in zip(fit.devices, given, strict=True):
        assert use.use.total_mib == pytest.approx(sum(sizes) / MIB, abs=0.02)
    uses = {use.device.name: use.use for use in fit.devices}
    largest = max(uses, key=lambda place: uses[place].weights_mib)
    assert uses[largest].weights_mib == pytest.approx(real[largest].weights_mib, abs=0.02)
    assert uses[largest].kv_mib == pytest.approx(real[largest].kv_mib, abs=0.02)
    assert uses[largest].compute_mib == pytest.approx(real[largest].compute_mib, abs=0.03)


def test_nothing_of_a_large_model_is_read_or_allocated(folder: Path) -> None:
    path = write_demo_model(folder / "demo.gguf")
    measured = dry_run(LoadSettings(model=path, n_ctx=4_000_000, flash_attn="on"))
    assert measured.host.kv > 3 * 2**30


def test_what_is_refused_has_its_reason(folder: Path) -> None:
    path = write_demo_model(folder / "demo.gguf")
    wrong = model_with(folder / "wrong.gguf", "llama.embedding_length", 96)
    refused = dry_runs(
        [
            LoadSettings(model=path, type_v="q8_0", flash_attn="off"),
            LoadSettings(model=folder / "none.gguf"),
            LoadSettings(model=wrong),
        ]
    )
    reasons = ("needs flash attention", "does not exist", "invalid n_rot")
    for answer, reason in zip(refused, reasons, strict=True):
        assert isinstance(answer, EngineError)
        assert reason in str(answer)


def test_a_file_that_ends_llama_cpp_ends_the_dry_run_only(folder: Path) -> None:
    path = model_with(folder / "abort.gguf", "llama.attention.head_count_kv", 0)
    with pytest.raises(EngineError):
        dry_run(LoadSettings(model=path))


def test_a_dry_run_that_does_not_answer_is_given_up(folder: Path) -> None:
    path = write_demo_model(folder / "demo.gguf")
    with pytest.raises(EngineError, match="did not answer within 0 s"):
        dry_run(LoadSettings(model=path), timeout_s=0.01)
