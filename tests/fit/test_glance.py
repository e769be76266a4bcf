# SPDX-License-Identifier: MIT
"""One word a model: it fits, with less context, partly, or not."""

import pytest

from rigpanel.fit.estimate import Estimator
from rigpanel.fit.glance import Glance, glance
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.result import Device
from rigpanel.library.gguf_header import GgufHeader


@pytest.mark.parametrize(
    ("free_mib", "n_ctx", "host_free_mib", "word"),
    [
        ((24_000, 24_000), 8192, 64_000, Glance.FITS),
        ((24_000, 24_000), 65_536, 64_000, Glance.LESS_CONTEXT),
        ((24_000,), 8192, 64_000, Glance.PARTLY),
        ((24_000,), 8192, 30_000, Glance.PARTLY),
        ((24_000,), 8192, 8_000, Glance.NO),
        ((), 8192, 64_000, Glance.FITS),
        ((), 8192, 16_000, Glance.NO),
    ],
)
def test_a_70b_on_rigs_of_many_sizes(
    article_model: GgufHeader,
    free_mib: tuple[float, ...],
    n_ctx: int,
    host_free_mib: float,
    word: Glance,
) -> None:
    cards = tuple(Device(f"GPU {index}", None, free) for index, free in enumerate(free_mib))
    asked = LoadSettings(model=article_model.path, n_ctx=n_ctx)
    assert glance(Estimator(article_model), asked, cards, host_free_mib) is word


def test_settings_that_llama_cpp_refuses_fit_nowhere(article_model: GgufHeader) -> None:
    asked = LoadSettings(model=article_model.path, flash_attn="off", type_v="q8_0")
    assert glance(Estimator(article_model), asked, (), 64_000) is Glance.NO
