# SPDX-License-Identifier: MIT
"""Where rigpanel keeps its files, and where it finds those it came with."""

import hashlib
import os
import tempfile
from pathlib import Path

import platformdirs

APP_NAME = "rigpanel"


def expanded(path: str | Path) -> Path:
    """Return a path with a leading `~` as the home it stands for; as it is where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _folder(kind: str, platform_folder: str) -> Path:
    home = os.environ.get("RIGPANEL_HOME")
    return expanded(home) / kind if home else Path(platform_folder)


def config_dir() -> Path:
    """Folder of the settings file; not created here."""
    return _folder("config", platformdirs.user_config_dir(APP_NAME))


def data_dir() -> Path:
    """Folder of what must not be lost (conversations, history); not created here."""
    return _folder("data", platformdirs.user_data_dir(APP_NAME))


def cache_dir() -> Path:
    """Folder of what can be made again; not created here."""
    return _folder("cache", platformdirs.user_cache_dir(APP_NAME))


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
