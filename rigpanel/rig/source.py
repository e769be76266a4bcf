# SPDX-License-Identifier: MIT
"""What every source of readings offers: NVML, the simulated rig, or one that tests bring."""

from typing import Protocol

from rigpanel.rig.readings import RigSnapshot


class RigSource(Protocol):
    """A rig that can be read; used from one thread at a time."""

    @property
    def simulated(self) -> bool:
        """Whether these cards exist only in software."""
        ...

    def read(self) -> RigSnapshot:
        """Read everything once; never raises for a card, driver or library that fails."""
        ...

    def close(self) -> None:
        """Give back what the source holds; reading after it is an error."""
        ...
