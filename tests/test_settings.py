# SPDX-License-Identifier: MIT
"""Settings: a file a person can edit, whose mistakes are named and never spread."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rigpanel.settings import (
    COOL_C,
    HOLD_S,
    HOT_C,
    INTERVAL_S,
    ISOLATION,
    LAST_MODEL,
    NOTIFY,
    SETTINGS,
    THEME,
    SettingsError,
    SettingsStore,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.toml"


def write(path: Path, text: str) -> SettingsStore:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return SettingsStore(path)


def test_without_a_file_the_defaults_hold_and_none_is_made(path: Path) -> None:
    store = SettingsStore(path)
    assert [store.get(setting) for setting in SETTINGS] == [s.default for s in SETTINGS]
    assert not path.exists()


def test_the_file_explains_every_setting(path: Path) -> None:
    SettingsStore(path).set(THEME, "dark")
    text = path.read_text()
    for setting in SETTINGS:
        assert setting.sentence in text
        assert f"# {setting.key.split('.')[1]} = " in text
    assert "110 °C" in text
    assert tomllib.loads(text)["window"] == {"theme": "dark"}


@given(st.floats(83.0, 110.0), st.booleans(), st.text())
def test_what_is_set_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, hot_c: float, notify: bool, model: str
) -> None:
    file = tmp_path_factory.mktemp("settings") / "settings.toml"
    store = SettingsStore(file)
    store.set(HOT_C, hot_c)
    store.set(NOTIFY, notify)
    store.set(LAST_MODEL, model)
    again = SettingsStore(file)
    assert again.problems == ()
    assert (again.get(HOT_C), again.get(NOTIFY), again.get(LAST_MODEL)) == (hot_c, notify, model)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[alerts]\nhot_c = 300.0", "from 50 to 110 °C"),
        ("[alerts]\nhot_c = nan", "from 50 to 110 °C"),
        ('[alerts]\nhot_c = "85"', "from 50 to 110 °C"),
        ("[alerts]\nhot_c = true", "from 50 to 110 °C"),
        ("[alerts]\nnotify = 1", "true or false"),
        ('[window]\ntheme = "pink"', '"system", "dark", "light"'),
        ("[load]\nlast_model = 7", "text"),
        ("[alerts]\nhot_c = 80.0\ncool_c = 90.0", "must be below alerts.hot_c"),
        ("[alerts\n", "Mend or remove it"),
    ],
)
def test_a_mistake_is_told_and_the_default_holds(path: Path, line: str, told: str) -> None:
    store = write(path, line)
    (problem,) = store.problems
    assert told in problem
    assert str(path) in problem
    assert [store.get(setting) for setting in SETTINGS] == [s.default for s in SETTINGS]


def test_one_mistake_does_not_spoil_the_other_settings(path: Path) -> None:
    store = write(path, "[alerts]\nhot_c = 300.0\nhold_s = 7\n[watch]\ninterval_s = 0.5\n")
    assert (store.get(HOLD_S), store.get(INTERVAL_S)) == (7.0, 0.5)


def test_a_whole_number_does_where_a_number_is_asked(path: Path) -> None:
    assert write(path, "[alerts]\nhot_c = 90").get(HOT_C) == 90.0


def test_a_persons_comments_and_later_edits_stay(path: Path) -> None:
    store = write(path, "# mine\n[watch]\ninterval_s = 2.0 # calm\n")
    path.write_text(path.read_text() + "[alerts]\nhold_s = 9.0\n[mine]\nown = 1\n")
    store.set(THEME, "light")
    text = path.read_text()
    assert "# mine" in text
    assert "# calm" in text
    assert tomllib.loads(text) == {
        "watch": {"interval_s": 2.0},
        "alerts": {"hold_s": 9.0},
        "mine": {"own": 1},
        "window": {"theme": "light"},
    }


def test_the_alert_must_lie_above_where_it_clears(path: Path) -> None:
    store = SettingsStore(path)
    with pytest.raises(SettingsError, match="must be below"):
        store.set(COOL_C, 85.0)
    assert store.get(COOL_C) == 82.0
    assert not path.exists()


@pytest.mark.parametrize("text", ["window = 3\n", "[window\n"])
def test_a_file_that_cannot_be_changed_safely_is_left_alone(path: Path, text: str) -> None:
    store = write(path, text)
    with pytest.raises(SettingsError, match="nothing was saved"):
        store.set(THEME, "dark")
    assert path.read_text() == text
    assert store.get(THEME) == "system"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SettingsStore(tmp_path / "file" / "settings.toml")
    with pytest.raises(SettingsError, match="nothing was saved"):
        store.set(THEME, "dark")
    assert store.get(THEME) == "system"


def test_a_linked_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("")
    path.parent.mkdir()
    path.symlink_to(real)
    SettingsStore(path).set(ISOLATION, "thread")
    assert path.is_symlink()
    assert "thread" in real.read_text()


def test_listeners_hear_of_changes_and_of_no_refusal(path: Path) -> None:
    store = SettingsStore(path)
    heard: list[str] = []
    store.add_listener(lambda: heard.append(store.get(THEME)))
    store.set(THEME, "dark")
    with pytest.raises(SettingsError):
        store.set(THEME, "pink")
    assert heard == ["dark"]
