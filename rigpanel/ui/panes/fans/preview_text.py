# SPDX-License-Identifier: MIT
"""What a curve would have done to the recorded hour, in a sentence."""

from rigpanel.cooling.controller import DutyRange
from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.preview import CurvePreview, preview
from rigpanel.watch.history import CardHistory

SPAN_S = 3600.0
LEAST_S = 30.0
MOST_READINGS = 1500
"""So many are followed in some 25 ms of the Qt thread; in an hour they lie 2.4 s apart."""


def preview_text(curve: FanCurve, duties: DutyRange, history: CardHistory, now_s: float) -> str:
    """Lay a curve over the last hour of a card and say what came of it."""
    view = history.since(now_s - SPAN_S)
    every = max(1, -(-len(view) // MOST_READINGS))
    found = preview(
        curve,
        duties,
        view.time_s[::every].tolist(),
        view.temperature_c[::every].tolist(),
        view.duty_pct[::every].tolist(),
    )
    if found is None or found.span_s < LEAST_S:
        return "A preview on recorded readings comes after half a minute."
    return in_words(found)


def in_words(found: CurvePreview) -> str:
    """Say what a preview found."""
    was = "" if found.recorded_mean_pct is None else f" (recorded: {found.recorded_mean_pct:.0f} %)"
    hot = "The card was never above 85 °C."
    if found.hot_mean_pct is not None:
        hot = (
            f"The card was above 85 °C for {_span(found.hot_s)}, where this curve blows "
            f"{found.hot_mean_pct:.0f} %."
        )
    return (
        f"On the last {_span(found.span_s)} as recorded, this curve blows {found.mean_pct:.0f} % "
        f"on average{was} with {found.changes} changes. {hot}"
    )


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
