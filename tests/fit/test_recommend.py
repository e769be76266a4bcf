# SPDX-License-Identifier: MIT
"""What is recommended fits by its own figures, and the reasons are those of the case."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rigpanel.fit.command_line import cli_line, server_line
from rigpanel.fit.estimate import Estimator
from rigpanel.fit.load_settings import LoadSettings, LoraAdapter, RopeScaling, SplitMode
from rigpanel.fit.recommend import Recommendation, recommend
from rigpanel.fit.result import Device
from rigpanel.library.gguf_header import GgufHeader
from tests.fit.made_architectures import ARCHITECTURES


def cards(*free_mib: float, bridged: bool = False) -> tuple[Device, ...]:
    uuids = [f"GPU-{index}" for index in range(len(free_mib))]
    return tuple(
        Device(
            f"GPU {index}",
            uuid,
            free,
            tuple(other for other in uuids if other != uuid) if bridged else (),
        )
        for index, (uuid, free) in enumerate(zip(uuids, free_mib, strict=True))
    )


def advice(header: GgufHeader, devices: tuple[Device, ...], n_ctx: int = 8192) -> Recommendation:
    found = recommend(header, LoadSettings(model=header.path, n_ctx=n_ctx), devices)
    assert found is not None
    assert found.fit.fits is True
    assert found.why
    return found


def test_70b_goes_on_both_cards_by_layers(article_model: GgufHeader) -> None:
    found = advice(article_model, cards(24100, 24100))
    assert found.settings.split_mode is SplitMode.LAYER
    assert (found.settings.n_gpu_layers, found.settings.tensor_split) == (81, (1.0, 1.0))
    assert found.settings.type_k == "f16"
    assert "without an NVLink bridge" in " ".join(found.why)


def test_over_a_bridge_the_cards_work_on_each_layer_together(article_model: GgufHeader) -> None:
    found = advice(article_model, cards(24100, 24100, bridged=True))
    assert found.settings.split_mode is SplitMode.TENSOR
    assert "NVLink joins the cards" in " ".join(found.why)
    assert "experimental" in " ".join(found.why)


def test_more_context_than_fits_is_quantized(article_model: GgufHeader) -> None:
    found = advice(article_model, cards(24100, 24100), n_ctx=32768)
    assert (found.settings.type_k, found.settings.type_v) == ("q8_0", "q8_0")
    assert found.settings.n_ctx == 32768
    assert "at f16 a context of 32768 does not fit" in " ".join(found.why)


def test_one_card_too_small_takes_the_layers_that_fit(article_model: GgufHeader) -> None:
    found = advice(article_model, cards(32000))
    (use,) = found.fit.devices
    assert 50 < use.use.layers < 80
    assert f"{use.use.layers} of 80 layers fit" in found.why[0]
    more = replace(found.settings, n_gpu_layers=found.settings.n_gpu_layers + 1)
    assert recommend(article_model, more, cards(32000)) is not None


def test_a_full_card_does_not_keep_layers_off_another(article_model: GgufHeader) -> None:
    found = advice(article_model, cards(0, 24100))
    assert (found.settings.split_mode, found.settings.main_gpu) == (SplitMode.NONE, 1)
    full, free = found.fit.devices
    assert full.use.total_mib == 0
    assert free.use.layers > 40
    assert "GPU 1 alone" in found.why[0]


def test_a_cache_is_quantized_only_where_more_layers_fit_for_it(article_model: GgufHeader) -> None:
    without = advice(article_model, cards(24000), n_ctx=4096)
    assert without.settings.type_k == "f16"
    with_it = advice(article_model, cards(24000), n_ctx=32768)
    assert with_it.settings.type_k == "q8_0"
    assert "more layers fit" in with_it.why[1]


def test_a_host_without_room_for_half_the_model_still_takes_the_rest(
    article_model: GgufHeader,
) -> None:
    asked = LoadSettings(model=article_model.path, n_ctx=32768)
    found = recommend(article_model, asked, cards(23_700, 21_500), host_free_mib=22_000)
    assert found is not None
    assert found.settings.n_gpu_layers > 70


def test_layers_are_counted_out_so_that_no_card_overflows_while_another_has_room(
    article_model: GgufHeader,
) -> None:
    found = advice(article_model, cards(21000, 22600))
    assert all(use.fits for use in found.fit.devices)
    assert found.settings.n_gpu_layers == 81
    assert "would overflow while another has room" in " ".join(found.why)


def test_what_fits_on_one_card_is_put_on_one(article_model: GgufHeader) -> None:
    found = advice(article_model, cards(24100, 48000))
    assert found.settings.split_mode is SplitMode.NONE
    assert found.settings.main_gpu == 1
    assert "GPU 1 alone" in found.why[0]


def test_with_no_card_or_no_room_the_processor_does_it(article_model: GgufHeader) -> None:
    assert "No card is there" in advice(article_model, ()).why[0]
    found = advice(article_model, cards(20, 20))
    assert "Not one layer fits" in found.why[0]
    assert "--device none" in server_line(found.settings, 80)


def test_what_fits_nowhere_has_no_advice(article_model: GgufHeader) -> None:
    asked = LoadSettings(model=article_model.path, n_ctx=8192)
    assert recommend(article_model, asked, (), host_free_mib=16_000) is None


def test_a_smaller_context_is_offered_where_the_host_is_small(article_model: GgufHeader) -> None:
    asked = LoadSettings(model=article_model.path, n_ctx=65536)
    found = recommend(article_model, asked, (), host_free_mib=50_000)
    assert found is not None
    assert found.settings.n_ctx < 65536
    assert "A context of 65536 does not fit" in found.why[1]


def test_a_smaller_context_on_the_cards_is_offered_where_the_host_has_no_room(
    article_model: GgufHeader,
) -> None:
    asked = LoadSettings(model=article_model.path, n_ctx=131_072)
    found = recommend(article_model, asked, cards(24_100, 24_100), host_free_mib=4_000)
    assert found is not None
    assert found.fit.fits is True
    assert (found.settings.n_gpu_layers, found.settings.n_ctx) == (81, 32_768)
    assert "A context of 131072 does not fit" in found.why[-1]


def test_heads_that_blocks_do_not_fit_keep_their_cache_as_it_is(
    headers: dict[str, GgufHeader],
) -> None:
    odd = {"attention.key_length": 48, "attention.value_length": 48}
    header = replace(headers["llama"], values={**headers["llama"].values, **odd})
    for free in range(1, 40):
        assert advice(header, cards(free), n_ctx=60_000).settings.type_k == "f16"


def test_the_line_says_what_differs_from_llama_cpp_s_own_choice(article_model: GgufHeader) -> None:
    settings = LoadSettings(
        model=Path("/m.gguf"),
        n_batch=4096,
        n_ubatch=4096,
        threads=6,
        flash_attn="on",
        rpc_servers=("10.0.0.2:50052",),
        devices=("RPC0", "CPU"),
        rope_scaling=RopeScaling.YARN,
        rope_freq_base=1_234_567.0,
        lora=(LoraAdapter(Path("/a.gguf")), LoraAdapter(Path("/b.gguf"), 0.5)),
    )
    assert server_line(settings, 80) == (
        "llama-server -m /m.gguf -ngl 99 --split-mode layer -c 4096 -b 4096 -ub 4096 -t 6 "
        "--rpc 10.0.0.2:50052 --device RPC0 --rope-scaling yarn --rope-freq-base 1234567.0 "
        "--lora /a.gguf --lora-scaled /b.gguf:0.5"
    )


def test_the_lines_for_llama_cpp(article_model: GgufHeader) -> None:
    found = advice(article_model, cards(24100, 24100))
    settings = replace(found.settings, model=Path("/models/a b.gguf"))
    assert server_line(settings, 80) == (
        "llama-server -m '/models/a b.gguf' -ngl 99 --split-mode layer --tensor-split 1,1 -c 8192"
    )
    fewer = replace(
        settings, n_gpu_layers=40, n_ubatch=256, type_k="q8_0", type_v="q8_0", flash_attn="off"
    )
    assert cli_line(fewer, 80) == (
        "llama-cli -m '/models/a b.gguf' -ngl 40 --split-mode layer --tensor-split 1,1 -c 8192 "
        "-ub 256 -fa off -ctk q8_0 -ctv q8_0"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    name=st.sampled_from(sorted(ARCHITECTURES)),
    free=st.lists(st.floats(0, 60), max_size=4),
    bridged=st.booleans(),
    n_ctx=st.integers(16, 60_000),
    host=st.none() | st.floats(1, 200),
)
def test_what_is_recommended_always_fits(
    headers: dict[str, GgufHeader],
    name: str,
    free: list[float],
    bridged: bool,
    n_ctx: int,
    host: float | None,
) -> None:
    header = headers[name]
    asked = LoadSettings(model=header.path, n_ctx=n_ctx)
    found = recommend(header, asked, cards(*free, bridged=bridged), host)
    if found is not None:
        assert found.fit.fits is True
        assert all(use.use.total_mib <= use.device.usable_mib + 1e-9 for use in found.fit.devices)
        assert found.why


@pytest.fixture(scope="module")
def whole_model(article_model: GgufHeader) -> tuple[GgufHeader, Estimator]:
    return article_model, Estimator(article_model)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    free=st.lists(st.floats(0, 48 * 1024), max_size=8),
    bridged=st.booleans(),
    n_ctx=st.sampled_from((1024, 8192, 131_072)),
    host=st.none() | st.floats(0, 96 * 1024),
)
def test_advice_for_any_rig_fits_when_it_is_asked_for_or_nothing_does(
    whole_model: tuple[GgufHeader, Estimator],
    free: list[float],
    bridged: bool,
    n_ctx: int,
    host: float | None,
) -> None:
    header, estimator = whole_model
    devices = cards(*free, bridged=bridged)
    asked = LoadSettings(model=header.path, n_ctx=n_ctx)
    found = recommend(header, asked, devices, host, estimator)
    if found is not None:
        again = replace(estimator.fit(found.settings, devices), host_free_mib=host)
        assert again.fits is True
        assert again.settings == found.settings
        return
    least = replace(asked, n_ctx=1024)
    for tried in (least, replace(least, n_gpu_layers=0, devices=("CPU",))):
        fit = replace(estimator.fit(tried, devices), host_free_mib=host)
        assert fit.fits is False
        assert fit.lacking
