# SPDX-License-Identifier: MIT
"""Where rigpanel keeps its files, and where it finds those it came with."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from rigpanel.errors import RigpanelError

APP_NAME = "rigpanel"


class NoHomeError(RigpanelError):
    """Nothing says where this user's files are."""

    def __init__(self) -> None:
        super().__init__(
            "This user has no home folder, so there is no place for settings and conversations. "
            "Set HOME, or RIGPANEL_HOME to a folder of yours."
        )


def expanded(path: str | Path) -> Path:
    """Return a path with a leading `~` as the home it stands for; as it is where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def home_dir() -> Path:
    """Return the home folder, else RIGPANEL_HOME; raises NoHomeError where neither is known."""
    try:
        return Path.home()
    except RuntimeError:
        own = os.environ.get("RIGPANEL_HOME")
        if not own:
            raise NoHomeError from None
        return expanded(own)


def _folder(kind: str, platform_folder: Callable[[str], str]) -> Path:
    own = os.environ.get("RIGPANEL_HOME")
    if own:
        return expanded(own) / kind
    try:
        return Path(platform_folder(APP_NAME))
    except RuntimeError:
        raise NoHomeError from None


def config_dir() -> Path:
    """Folder of the settings file; not created here. Raises NoHomeError."""
    return _folder("config", platformdirs.user_config_dir)


def data_dir() -> Path:
    """Folder of what must not be lost (conversations, history); not created here.

    Raises NoHomeError.
    """
    return _folder("data", platformdirs.user_data_dir)


def cache_dir() -> Path:
    """Folder of what can be made again; not created here. Raises NoHomeError."""
    return _folder("cache", platformdirs.user_cache_dir)


def instance_socket() -> Path:
    """Socket of the panel that runs: one for each user and each home of settings."""
    home = hashlib.sha256(str(data_dir().absolute()).encode()).hexdigest()[:12]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    return runtime / f"rigpanel-{user}-{home}"


def resource(name: str) -> Path:
    """Path of a file that ships with rigpanel, from an installed wheel or from a checkout."""
    package = Path(__file__).parent
    installed = package / "resources" / name
    return installed if installed.exists() else package.parent / "resources" / name
