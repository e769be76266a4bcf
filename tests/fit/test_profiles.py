# SPDX-License-Identifier: MIT
"""Each model is loaded as it was loaded last, or as a profile of it says."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.profiles import ProfileError, ProfileStore
from rigpanel.storage import Storage

LIMIT_S = 30.0


@pytest.fixture
def profiles(tmp_path: Path) -> Iterator[ProfileStore]:
    storage = Storage(tmp_path / "rigpanel.sqlite3")
    yield ProfileStore(storage)
    assert storage.close(LIMIT_S)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "a.gguf"
    path.touch()
    return path


def test_profiles_belong_to_their_model(profiles: ProfileStore, model: Path) -> None:
    settings = LoadSettings(model, n_ctx=32768, split_mode=SplitMode.ROW, tensor_split=(2.0, 1.0))
    profiles.save(model, " long ", settings)
    profiles.save(model, "Agile", LoadSettings(model))
    profiles.save(model.with_name("b.gguf"), "other", LoadSettings(model)).result(LIMIT_S)
    assert list(profiles.list(model).result(LIMIT_S)) == ["Agile", "long"]
    assert profiles.list(model).result(LIMIT_S)["long"] == settings
    profiles.save(model, "long", replace(settings, n_ctx=1024))
    profiles.delete(model, "Agile")
    profiles.delete(model, "never there")
    assert profiles.list(model).result(LIMIT_S) == {"long": replace(settings, n_ctx=1024)}


def test_a_link_to_a_model_is_that_model(profiles: ProfileStore, model: Path) -> None:
    link = model.with_name("link.gguf")
    link.symlink_to(model)
    profiles.save(model, "mine", LoadSettings(model, n_ctx=2048))
    assert profiles.list(link).result(LIMIT_S) == {"mine": LoadSettings(link, n_ctx=2048)}


def test_the_last_load_that_worked_is_remembered(profiles: ProfileStore, model: Path) -> None:
    assert profiles.last(model).result(LIMIT_S) is None
    for n_ctx in (1024, 2048):
        profiles.remember(model, LoadSettings(model, n_ctx=n_ctx))
    assert profiles.last(model).result(LIMIT_S) == LoadSettings(model, n_ctx=2048)
    assert profiles.last(model.with_name("b.gguf")).result(LIMIT_S) is None


def test_a_name_that_is_not_utf_8_does_no_harm(profiles: ProfileStore, tmp_path: Path) -> None:
    odd = tmp_path / "caf\udce9.gguf"
    profiles.remember(odd, LoadSettings(odd, n_ctx=512))
    assert profiles.last(odd).result(LIMIT_S) == LoadSettings(odd, n_ctx=512)


def test_a_profile_needs_a_name(profiles: ProfileStore, model: Path) -> None:
    with pytest.raises(ProfileError, match="Give it one"):
        profiles.save(model, " ", LoadSettings(model)).result(LIMIT_S)


def test_settings_that_cannot_be_read_are_passed_over(tmp_path: Path, model: Path) -> None:
    storage = Storage(tmp_path / "other.sqlite3")
    profiles = ProfileStore(storage)
    profiles.save(model, "mine", LoadSettings(model))
    profiles.remember(model, LoadSettings(model))
    storage.submit(lambda db: db.execute("UPDATE load_profile SET settings = '[1'"))
    storage.submit(lambda db: db.execute("UPDATE last_load SET settings = '[1'"))
    assert profiles.list(model).result(LIMIT_S) == {}
    assert profiles.last(model).result(LIMIT_S) is None
    assert storage.close(LIMIT_S)
