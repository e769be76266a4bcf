# SPDX-License-Identifier: MIT
"""Where memory goes: the article's own rig, and what holds for any rig and any settings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rigpanel.fit.estimate import Estimator, FitError
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.result import Device
from rigpanel.library.gguf_header import GgufHeader
from tests.fit.made_architectures import ARCHITECTURES

ODD_HEADS = {"attention.key_length": 48, "attention.value_length": 48}
TWO_24_GB = (Device("GPU 0", None, 24100.0), Device("GPU 1", None, 24100.0))


def asked(header: GgufHeader, **changes: Any) -> LoadSettings:
    return replace(LoadSettings(model=header.path), **changes)


def test_llama_70b_on_two_24_gb_cards_is_as_llama_cpp_has_it(article_model: GgufHeader) -> None:
    assert article_model.size_mib / 1024 == pytest.approx(39.6, abs=0.05)
    assert (article_model.n_params, article_model.n_layer) == (70_553_706_560, 80)
    fit = Estimator(article_model).fit(
        asked(article_model, n_ctx=8192, tensor_split=(1.0, 1.0)), TWO_24_GB
    )
    first, second = (use.use for use in fit.devices)
    assert (first.layers, first.output) == (41, False)
    assert (second.layers, second.output) == (39, True)
    assert first.weights_mib == pytest.approx(20039, abs=0.5)
    assert second.weights_mib == pytest.approx(19941, abs=0.5)
    assert first.kv_mib + second.kv_mib == 2560
    assert fit.host.weights_mib == pytest.approx(563.6, abs=0.1)
    assert fit.fits is True
    spare = sum(24_576 - use.use.total_mib for use in fit.devices)
    assert spare / 1024 == pytest.approx(6, abs=1)  # The article's 8 GB, less cache and buffers.


@pytest.mark.parametrize(
    ("n_ctx", "kind", "kv_mib", "fits"),
    [(32768, "f16", 10240, False), (32768, "q8_0", 5440, True)],
)
def test_its_cache_at_32k(
    article_model: GgufHeader, n_ctx: int, kind: str, kv_mib: float, fits: bool
) -> None:
    fit = Estimator(article_model).fit(
        asked(article_model, n_ctx=n_ctx, type_k=kind, type_v=kind), TWO_24_GB
    )
    assert sum(use.use.kv_mib for use in fit.devices) == kv_mib
    assert fit.fits is fits


def test_it_does_not_fit_on_one_card_of_32_gb(article_model: GgufHeader) -> None:
    fit = Estimator(article_model).fit(
        asked(article_model, n_ctx=8192), [Device("GPU 0", None, 32_000.0)]
    )
    assert fit.devices[0].use.layers == 80
    assert fit.fits is False


def test_split_by_tensors_and_by_rows_each_card_has_half(article_model: GgufHeader) -> None:
    for mode in (SplitMode.TENSOR, SplitMode.ROW):
        fit = Estimator(article_model).fit(
            asked(article_model, n_ctx=8192, split_mode=mode, tensor_split=(1.0, 1.0)), TWO_24_GB
        )
        first, second = (use.use for use in fit.devices)
        assert first.weights_mib == pytest.approx(second.weights_mib, rel=0.03)
        assert first.weights_mib + second.weights_mib == pytest.approx(39980, rel=0.001)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("llama", {"flash_attn": "off", "type_v": "q8_0"}, "needs flash attention"),
        ("llama", {"flash_attn": "off", "split_mode": SplitMode.TENSOR}, "needs flash attention"),
        ("llama", {"tensor_split": (1.0, 1.0, 1.0)}, "names 3 devices and there are 2"),
        ("deepseek2", {"split_mode": SplitMode.TENSOR}, "cannot split deepseek2"),
        ("deepseek2", {"type_k": "q8_0"}, "must be the same"),
        ("phi3", {"type_k": "q8_0"}, "blocks of 32, and a head of this model has 48 numbers"),
        ("phi3", {"type_v": "q4_0"}, "take f16 for V"),
    ],
)
def test_what_llama_cpp_refuses_is_refused_with_a_sentence(
    headers: dict[str, GgufHeader], name: str, changes: dict[str, Any], says: str
) -> None:
    header = headers[name]
    if name == "phi3":
        header = replace(header, values={**header.values, **ODD_HEADS})
    with pytest.raises(FitError, match=says):
        Estimator(header).fit(asked(header, **changes), TWO_24_GB)


def test_grok_does_without_flash_attention_and_so_without_quantized_values(
    headers: dict[str, GgufHeader],
) -> None:
    header = replace(headers["llama"], arch="grok")
    fit = Estimator(header).fit(asked(header, flash_attn="on"), TWO_24_GB)
    assert fit.settings.flash_attn == "off"
    with pytest.raises(FitError, match="needs flash attention"):
        Estimator(header).fit(asked(header, type_v="q8_0"), TWO_24_GB)


def test_a_share_of_nothing_takes_nothing(headers: dict[str, GgufHeader]) -> None:
    header = headers["llama"]
    fit = Estimator(header).fit(asked(header, tensor_split=(1.0, 0.0)), TWO_24_GB)
    assert fit.devices[1].use.layers == 0
    assert fit.devices[1].use.total_mib == pytest.approx(0, abs=0.3)


def test_without_a_card_everything_is_on_the_host(headers: dict[str, GgufHeader]) -> None:
    header = headers["llama"]
    fit = Estimator(header).fit(asked(header), ())
    assert fit.settings.n_gpu_layers == 0
    assert (fit.host.layers, fit.host.output) == (6, True)


def test_a_window_a_state_and_latent_attention_save_memory(headers: dict[str, GgufHeader]) -> None:
    n_ctx = 16384
    kv = {
        name: Estimator(header).fit(asked(header, n_ctx=n_ctx), ()).host.kv_mib
        for name, header in headers.items()
    }
    assert kv["gemma2"] < kv["llama"] * 0.6
    assert kv["gemma3"] < kv["gemma2"]
    assert kv["mamba"] < 0.2
    assert kv["mamba"] < kv["granitehybrid"] < kv["llama"]


splits = st.tuples(st.floats(0.05, 1), st.floats(0.05, 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    name=st.sampled_from(sorted(ARCHITECTURES)),
    shares=splits,
    n_ctx=st.integers(16, 40_000),
    more=st.integers(0, 40_000),
    n_ubatch=st.integers(1, 2048),
    n_gpu_layers=st.integers(-1, 8),
    flash=st.sampled_from(("on", "off", "auto")),
)
def test_parts_add_up_and_more_context_never_needs_less(
    headers: dict[str, GgufHeader],
    name: str,
    shares: tuple[float, float],
    n_ctx: int,
    more: int,
    n_ubatch: int,
    n_gpu_layers: int,
    flash: str,
) -> None:
    header = headers[name]
    estimator = Estimator(header)
    less = asked(
        header,
        tensor_split=shares,
        n_ctx=n_ctx,
        n_batch=2048,
        n_ubatch=n_ubatch,
        n_gpu_layers=n_gpu_layers,
        flash_attn=flash,
    )
    small = estimator.fit(less, TWO_24_GB)
    large = estimator.fit(replace(less, n_ctx=n_ctx + more), TWO_24_GB)
    places = [*(use.use for use in small.devices), small.host]
    for use in places:
        assert min(use.weights_mib, use.kv_mib, use.compute_mib, use.layers) >= 0
        assert use.total_mib == use.weights_mib + use.kv_mib + use.compute_mib
    assert sum(use.layers for use in places) == header.n_layer
    assert sum(use.output for use in places) == 1
    for before, after in zip(places, [*(u.use for u in large.devices), large.host], strict=True):
        assert after.total_mib >= before.total_mib


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    name=st.sampled_from(sorted(set(ARCHITECTURES) - {"deepseek2", "mamba", "granitehybrid"})),
    one=splits,
    other=splits,
    mode=st.sampled_from((SplitMode.LAYER, SplitMode.ROW, SplitMode.TENSOR)),
)
def test_moving_the_split_never_changes_the_sum_of_the_weights(
    headers: dict[str, GgufHeader],
    name: str,
    one: tuple[float, float],
    other: tuple[float, float],
    mode: SplitMode,
) -> None:
    header = headers[name]
    sums = []
    for shares in (one, other):
        fit = Estimator(header).fit(asked(header, tensor_split=shares, split_mode=mode), TWO_24_GB)
        sums.append(sum(use.use.weights_mib for use in fit.devices) + fit.host.weights_mib)
    assert sums[0] == pytest.approx(sums[1], rel=0.002)


numbers = st.integers(-5, 300) | st.sampled_from([2**31 - 1, 2**31, 2**63, 0])
oddities = numbers | st.floats() | st.text(max_size=3) | st.lists(numbers, max_size=9).map(tuple)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    name=st.sampled_from(sorted(ARCHITECTURES)),
    data=st.data(),
    mode=st.sampled_from(SplitMode),
    flash=st.sampled_from(("on", "off")),
)
def test_odd_hyper_parameters_are_reckoned_with_or_refused(
    headers: dict[str, GgufHeader], name: str, data: st.DataObject, mode: SplitMode, flash: str
) -> None:
    header = headers[name]
    known = st.sampled_from(sorted(header.values))
    odd = data.draw(st.dictionaries(known, oddities, min_size=1, max_size=4))
    n_layer = data.draw(st.integers(0, 20))
    tensors = list(header.tensors)
    for index in data.draw(st.lists(st.integers(0, len(tensors) - 1), max_size=3)):
        shape = data.draw(st.lists(st.integers(0, 300), max_size=4).map(tuple))
        tensors[index] = replace(tensors[index], shape=shape)
    del tensors[data.draw(st.integers(0, len(tensors) - 1))]
    changed = replace(
        header, values={**header.values, **odd}, n_layer=n_layer, tensors=tuple(tensors)
    )
    try:
        fit = Estimator(changed).fit(asked(header, split_mode=mode, flash_attn=flash), TWO_24_GB)
    except FitError:
        return
    assert fit.host.total_mib >= 0


def test_without_a_vocabulary_the_table_says_how_many_tokens(
    headers: dict[str, GgufHeader],
) -> None:
    header = headers["llama"]
    bare = replace(header, n_vocab=0)
    assert Estimator(bare).fit(asked(header), ()) == Estimator(header).fit(asked(header), ())


def test_a_table_of_no_size_is_refused(headers: dict[str, GgufHeader]) -> None:
    header = headers["llama"]
    values = {key: value for key, value in header.values.items() if key != "embedding_length"}
    flat = tuple(
        replace(t, shape=()) if t.name == "token_embd.weight" else t for t in header.tensors
    )
    with pytest.raises(FitError, match="odd shapes"):
        Estimator(replace(header, values=values, tensors=flat, n_vocab=0)).fit(asked(header), ())


def test_a_projector_is_told_as_one(headers: dict[str, GgufHeader]) -> None:
    with pytest.raises(FitError, match="is a projector"):
        Estimator(replace(headers["llama"], arch="clip"))


def test_the_file_need_not_be_there_any_more(
    headers: dict[str, GgufHeader], tmp_path: Path
) -> None:
    header = replace(headers["llama"], path=tmp_path / "gone.gguf")
    assert Estimator(header).fit(asked(header), TWO_24_GB).fits is True
