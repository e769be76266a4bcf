# SPDX-License-Identifier: MIT
"""One word for a list of models: whether each fits this rig now."""

import enum
from collections.abc import Sequence
from dataclasses import replace

from rigpanel.fit.estimate import Estimator, FitError
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.result import Device

SHORT_CTX = 2048
"""With less context than this a model is of little use."""

SOME_LAYERS = (1, 8, 32, 64)
"""Layers tried on the cards where the host alone has no room."""


class Glance(enum.Enum):
    """How a model goes with a rig."""

    FITS = "fits"
    LESS_CONTEXT = "fits with less context"
    PARTLY = "partly on the processor"
    NO = "does not fit"


def glance(
    estimator: Estimator,
    asked: LoadSettings,
    devices: Sequence[Device],
    host_free_mib: float | None = None,
) -> Glance:
    """Return how a model goes with the rig in the context asked for; takes some milliseconds."""
    everything = replace(asked, n_gpu_layers=-1, split_mode=SplitMode.LAYER, tensor_split=())

    def fits(settings: LoadSettings, cards: Sequence[Device] = devices) -> bool:
        try:
            fit = estimator.fit(settings, cards)
        except FitError:
            return False
        return replace(fit, host_free_mib=host_free_mib).fits is True

    if fits(everything):
        return Glance.FITS
    if asked.n_ctx > SHORT_CTX and fits(replace(everything, n_ctx=SHORT_CTX)):
        return Glance.LESS_CONTEXT
    alone = replace(everything, n_gpu_layers=0)
    shared = (replace(everything, n_gpu_layers=n) for n in SOME_LAYERS)
    return Glance.PARTLY if fits(alone, ()) or any(map(fits, shared)) else Glance.NO
