# SPDX-License-Identifier: MIT
"""What the loader asks outside the window; each part may be absent, and is then not offered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.measured import Measured
from rigpanel.library.download import Hub
from rigpanel.library.places import Place
from rigpanel.settings import SettingsStore

DryRun = Callable[[LoadSettings], Measured]
"""Asks llama.cpp what a load would take; waits for it, and raises RigpanelError."""
Places = Callable[[SettingsStore], Sequence[Place]]
"""Where to look for models, the settings' own folders among them; called on any thread."""
MakeHub = Callable[[], Hub]
"""Called on a thread: huggingface_hub takes a while to import. Raises RigpanelError."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the loader is given by the program that opens the window."""

    dry_run: DryRun | None = None
    places: Places | None = None
    header_cache: Path | None = None
    """File that keeps what headers said; None keeps nothing."""
    make_hub: MakeHub | None = None
