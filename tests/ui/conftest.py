# SPDX-License-Identifier: MIT
"""What the tests of the window's parts share."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import qasync
from PySide6.QtWidgets import QApplication

from rigpanel.fit.profiles import ProfileStore
from rigpanel.library.demo_model import DemoShape, write_demo_model
from rigpanel.ui.panes.load.outside import Outside
from tests.ui.chat_fixtures import Chat
from tests.ui.loader import Loader, MakeLoader

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run(qapp: QApplication) -> Iterator[Run]:
    """Run a coroutine on Qt's loop, as the panel does; it must be over in 30 s."""
    loop = qasync.QEventLoop(qapp)
    asyncio.set_event_loop(loop)

    def until_done(work: Coroutine[Any, Any, None]) -> None:
        loop.run_until_complete(asyncio.wait_for(work, 30))

    yield until_done
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def make_loader(qapp: QApplication) -> Iterator[MakeLoader]:
    """Make load panes that are gone with the test."""
    made: list[Loader] = []

    def make(
        folder: Path, profiles: ProfileStore | None = None, outside: Outside | None = None
    ) -> Loader:
        made.append(Loader(folder, profiles, outside))
        return made[-1]

    yield make
    for loader in made:
        loader.clear()


@pytest.fixture
def loader(make_loader: MakeLoader, tmp_path: Path) -> Loader:
    return make_loader(tmp_path)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of six layers, trained on 16384 tokens."""
    shape = DemoShape(n_embd=64, n_layer=6, n_vocab=512, n_ctx_train=16384)
    return write_demo_model(tmp_path_factory.mktemp("models") / "six-layers.gguf", shape)


@pytest.fixture
def chat(qapp: QApplication, tmp_path: Path) -> Iterator[Chat]:
    """A chat pane on a scripted engine and a real file."""
    chat = Chat(tmp_path)
    yield chat
    chat.close()
