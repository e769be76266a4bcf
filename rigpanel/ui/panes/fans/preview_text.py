# SPDX-License-Identifier: MIT
"""What a curve would have done in the recorded hour, in words."""

from rigpanel.cooling.preview import Candidate, CurveEstimate, CurvePreview, estimate, preview
from rigpanel.cooling.recording import Recording, stretches
from rigpanel.cooling.thermal_model import NoModelError, fit_model

LEAST_S = 30.0


def preview_text(candidate: Candidate, recording: Recording, *, alone: bool) -> str:
    """Reckon a curve through what was recorded, or say why not and lay it over that.

    `alone`: the curve is for one fan of several. Takes 0.1 s for an hour: not for Qt's thread.
    """
    why = "how much one fan alone cools the card is not known"
    if not alone:
        try:
            recorded = stretches(recording)
            found = estimate(candidate, recorded, fit_model(recorded))
            return estimate_in_words(candidate, found)
        except NoModelError as error:
            why = str(error)
    laid_over = preview(candidate, recording)
    if laid_over is None or laid_over.span_s < LEAST_S:
        return "A preview on recorded readings comes after half a minute."
    return f"{preview_in_words(candidate, laid_over)} Temperatures are not reckoned anew: {why}."


def estimate_in_words(candidate: Candidate, found: CurveEstimate) -> str:
    """Say what a model makes of a curve, beside what was recorded."""
    recorded_hot = _span(found.recorded_hot_s) if found.recorded_hot_s else "never"
    text = (
        f"Estimate for the last {_span(found.span_s)} with this curve: "
        f"{_hot(candidate, found)} (recorded: {recorded_hot}), "
        f"{found.peak_c:.0f} °C at most (recorded: {found.recorded_peak_c:.0f} °C), "
        f"{found.mean_pct:.0f} % on average (recorded: {found.recorded_mean_pct:.0f} %), "
        f"{found.changes} changes. It comes from a model of this card that misses the recorded "
        f"temperatures by {found.error_c:.1f} °C."
    )
    if found.beyond_s >= LEAST_S:
        text += f" For {_span(found.beyond_s)} the curve blows as was never recorded: less sure."
    return text


def preview_in_words(candidate: Candidate, found: CurvePreview) -> str:
    """Say what a curve would have blown at the temperatures that were recorded."""
    was = "" if found.recorded_mean_pct is None else f" (recorded: {found.recorded_mean_pct:.0f} %)"
    hot = f"The card was never above {candidate.hot_c:g} °C."
    if found.hot_mean_pct is not None:
        hot = (
            f"The card was above {candidate.hot_c:g} °C for {_span(found.hot_s)}, where this curve "
            f"blows {found.hot_mean_pct:.0f} %."
        )
    return (
        f"On the last {_span(found.span_s)} as recorded, this curve blows {found.mean_pct:.0f} % "
        f"on average{was} with {found.changes} changes. {hot}"
    )


def _hot(candidate: Candidate, found: CurveEstimate) -> str:
    least_s, most_s = found.hot_between_s
    if not most_s:
        return f"never above {candidate.hot_c:g} °C"
    if not found.hot_s:
        return f"at most {_span(most_s)} above {candidate.hot_c:g} °C"
    least, most = _span(least_s), _span(most_s)
    between = "" if least == most else f" ({least} to {most})"
    return f"about {_span(found.hot_s)}{between} above {candidate.hot_c:g} °C"


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
