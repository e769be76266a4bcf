# SPDX-License-Identifier: MIT
"""Whether a load fits, and how that is known, in sentences."""

from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.result import Fit
from rigpanel.ui import words

NOT_SEEN = (
    "llama.cpp as installed does not see these cards (is it built for CUDA?), so a formula answers."
)


def verdict(fit: Fit) -> str:
    """Return whether it fits; where it does not, what is missing and on which card."""
    short = [
        f"{use.device.name} lacks {words.file_size(use.use.total_mib - use.device.usable_mib)}"
        for use in fit.devices
        if use.fits is False
    ]
    host_free_mib = fit.host_free_mib
    if host_free_mib is not None and fit.host.total_mib > host_free_mib:
        short.append(f"the host lacks {words.file_size(fit.host.total_mib - host_free_mib)}")
    if short:
        return f"It does not fit: {', '.join(short)}."
    unknown = [use.device.name for use in fit.devices if use.fits is None and use.use.total_mib > 0]
    if unknown:
        return f"Whether it fits is not known: {', '.join(unknown)} does not tell its memory."
    used = [use for use in fit.devices if use.use.total_mib > 0]
    if not used:
        return "It fits into the host's memory."
    if len(used) == 1:
        return "It fits."
    tight = min(used, key=lambda use: use.device.usable_mib - use.use.total_mib)
    room = tight.device.usable_mib - tight.use.total_mib
    return f"It fits; the tightest, {tight.device.name}, has {words.file_size(room)} to spare."


def no_dry_run(settings: LoadSettings, *, on_cards: bool, simulated: bool) -> str:
    """Return why llama.cpp cannot be asked about a load, or nothing where it can."""
    if on_cards and simulated:
        return "Estimated by formula, on the simulated cards."
    if on_cards and settings.split_mode in {SplitMode.TENSOR, SplitMode.ROW}:
        mode = settings.split_mode.value
        return f"Estimated by formula: llama.cpp tells no card from another in split mode {mode}."
    return ""
