# SPDX-License-Identifier: MIT
"""Where files are kept: under one folder where that is asked for, and told where there is none."""

from pathlib import Path

import pytest

from rigpanel import paths

FOLDERS = (paths.config_dir, paths.data_dir, paths.cache_dir)


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system has no entry for, as in some containers."""
    for name in ("HOME", "RIGPANEL_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)


def test_rigpanel_home_takes_all_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("RIGPANEL_HOME", "~/rig")
    assert [folder() for folder in FOLDERS] == [
        Path("/home/me/rig", kind) for kind in ("config", "data", "cache")
    ]


@pytest.mark.usefixtures("homeless")
def test_without_any_home_it_is_told_what_to_set() -> None:
    for folder in (*FOLDERS, paths.home_dir):
        with pytest.raises(paths.NoHomeError, match="Set HOME, or RIGPANEL_HOME"):
            folder()


@pytest.mark.usefixtures("homeless")
def test_rigpanel_home_does_in_place_of_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGPANEL_HOME", "/srv/rig")
    assert [folder() for folder in FOLDERS][1] == Path("/srv/rig/data")
    assert paths.home_dir() == Path("/srv/rig")
    assert paths.expanded("~/a.gguf") == Path("~/a.gguf")
