# SPDX-License-Identifier: MIT
"""What the loader asks outside the window; each part may be absent, and is then not offered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rigpanel.library.places import Place
from rigpanel.settings import SettingsStore
from rigpanel.ui.panes.load.fit_work import DryRun

Places = Callable[[SettingsStore], Sequence[Place]]
"""Where to look for models, the settings' own folders among them; called on any thread."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the loader is given by the program that opens the window."""

    dry_run: DryRun | None = None
    places: Places | None = None
    header_cache: Path | None = None
    """File that keeps what headers said; None keeps nothing."""
