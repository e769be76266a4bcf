# SPDX-License-Identifier: MIT
"""What is put into a folder is told, once, and the thread ends when it is told to."""

import queue
import shutil
import threading
from pathlib import Path

import pytest

from rigpanel.library.demo_model import DemoShape, write_demo_model
from rigpanel.library.discovery import Found
from rigpanel.library.places import FOLDER, Place
from rigpanel.library.scanner import LibraryScanner

LIMIT_S = 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "m.gguf", DemoShape(n_vocab=600))


def test_a_model_that_comes_and_goes_is_told(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    told: queue.Queue[Found] = queue.Queue()
    scanner = LibraryScanner(
        lambda: [Place(FOLDER, folder)], told.put, tmp_path / "headers.sqlite3", period_s=0.05
    )
    scanner.start()
    try:
        assert told.get(timeout=LIMIT_S).models == ()
        copied = tmp_path / "copied"
        shutil.copy(model, copied)
        copied.rename(folder / "new.gguf")
        assert [found.name for found in told.get(timeout=LIMIT_S).models] == ["new"]
        (folder / "new.gguf").unlink()
        assert told.get(timeout=LIMIT_S).models == ()
        assert told.empty()
    finally:
        assert scanner.stop()


def test_it_looks_at_once_when_asked(model: Path, tmp_path: Path) -> None:
    told: queue.Queue[Found] = queue.Queue()
    places: list[Place] = []
    scanner = LibraryScanner(lambda: tuple(places), told.put, period_s=3600)
    scanner.start()
    try:
        assert told.get(timeout=LIMIT_S).models == ()
        places.append(Place(FOLDER, model.parent))
        scanner.look_now()
        assert len(told.get(timeout=LIMIT_S).models) == 1
    finally:
        assert scanner.stop()


def test_one_that_never_started_stops() -> None:
    before = threading.active_count()
    assert LibraryScanner(tuple, lambda _found: None).stop()
    assert threading.active_count() == before
