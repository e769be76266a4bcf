# SPDX-License-Identifier: MIT
"""A person's presets stay until they are deleted, beside rigpanel's own."""

import pytest

from rigpanel.chat.presets import PresetError, PresetStore
from rigpanel.engine.messages import Sampling
from rigpanel.storage import Storage
from tests.chat.driving import LIMIT_S


@pytest.fixture
def presets(storage: Storage) -> PresetStore:
    return PresetStore(storage, ("precise", "creative"))


def test_presets_are_kept_replaced_and_deleted(presets: PresetStore) -> None:
    presets.save("poems", Sampling(temperature=1.3, stop=("END",)))
    presets.save(" Code ", Sampling(temperature=0.1)).result(LIMIT_S)
    assert list(presets.list().result(LIMIT_S)) == ["Code", "poems"]
    presets.save("poems", Sampling(top_k=5))
    presets.delete("Code")
    presets.delete("never there").result(LIMIT_S)
    assert presets.list().result(LIMIT_S) == {"poems": Sampling(top_k=5)}


@pytest.mark.parametrize("name", ["precise", " Precise", "CREATIVE", "", "  "])
def test_taken_and_empty_names_are_refused(presets: PresetStore, name: str) -> None:
    with pytest.raises(PresetError, match=r"not saved\. (Choose another name|Give it one)"):
        presets.save(name, Sampling()).result(LIMIT_S)
    assert presets.list().result(LIMIT_S) == {}


def test_a_preset_of_another_version_does_not_hide_the_others(
    presets: PresetStore, storage: Storage
) -> None:
    presets.save("mine", Sampling(min_p=0.2))
    storage.submit(lambda db: db.execute("INSERT INTO preset VALUES ('odd', '{\"top_k\": []}')"))
    assert presets.list().result(LIMIT_S) == {"mine": Sampling(min_p=0.2)}
