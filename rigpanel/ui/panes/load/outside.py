# SPDX-License-Identifier: MIT
"""What the loader asks outside the window; each part may be absent, and is then not offered."""

from dataclasses import dataclass

from rigpanel.ui.panes.load.fit_work import DryRun


@dataclass(frozen=True, slots=True)
class Outside:
    """What the loader is given by the program that opens the window."""

    dry_run: DryRun | None = None
