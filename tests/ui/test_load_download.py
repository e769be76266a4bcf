# SPDX-License-Identifier: MIT
"""Fetching a model in the window: search, quantizations, progress, pause, resume, cancel."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rigpanel.library.download import Hub
from rigpanel.library.hub_tokens import HubTokens
from rigpanel.library.places import OWN, Place
from rigpanel.ui.panes.load.download_page import DownloadPage
from rigpanel.ui.panes.load.download_row import DownloadRow
from rigpanel.ui.panes.load.download_work import repository_in
from rigpanel.ui.panes.load.outside import Outside
from tests.library.hub_server import REPO, HubServer
from tests.ui.loader import Loader, MakeLoader, play_with
from tests.ui.window_fixtures import until

pytest.importorskip("huggingface_hub")
pytest.importorskip("keyring")

from tests.fakes.keyring import MemoryKeyring, memory_keyring

SECRET = "-".join(("not", "a", "token"))
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")

MIB = 1024 * 1024
BIG = "noise-Q8_0.gguf"


@pytest.fixture
def server(model: Path) -> Iterator[HubServer]:
    files = {"demo-F16.gguf": model.read_bytes(), BIG: b"GGUF" + os.urandom(12 * MIB)}
    with HubServer(files) as running:
        yield running


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with memory_keyring() as kept:
        yield kept


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


@pytest.fixture
def fetching(make_loader: MakeLoader, tmp_path: Path, folder: Path, server: HubServer) -> Loader:
    def make_hub() -> Hub:
        return Hub(folder, server.endpoint, HubTokens(tmp_path / "hub-tokens.json"))

    places = (Place(OWN, folder),)
    return make_loader(tmp_path, outside=Outside(places=lambda _: places, make_hub=make_hub))


async def opened(loader: Loader) -> DownloadPage:
    loader.pane.file.library_button.click()
    library = loader.pane.pages.library
    assert library is not None
    library.download_button.click()
    page = loader.pane.pages.downloads
    assert page is not None
    assert page.isVisible()
    return page


async def ask(page: DownloadPage, text: str) -> list[str]:
    """Return what is listed for a text."""
    page.text.setText(text)
    QTest.keyClick(page.text, Qt.Key.Key_Return)
    await until(lambda: page.says.text() != "Asking …", "the server has answered", 20)
    return [page.list.item(row).text() for row in range(page.list.count())]


def click(page: DownloadPage, words: str) -> None:
    (item,) = page.list.findItems(words, Qt.MatchFlag.MatchContains)
    QTest.mouseClick(
        page.list.viewport(),
        Qt.MouseButton.LeftButton,
        pos=page.list.visualItemRect(item).center(),
    )


def only(page: DownloadPage) -> DownloadRow:
    (row,) = page.downloads.values()
    return row


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_search_choose_fetch_and_use(fetching: Loader, qapp: QApplication, folder: Path) -> None:
    async def scenario(loader: Loader) -> None:
        page = await opened(loader)
        assert await ask(page, "some words") == [REPO]
        click(page, REPO)
        await until(lambda: page.list.count() == 2, "its quantizations are listed")
        small = page.list.item(0).text()
        assert small.startswith("demo-F16\n")
        assert small.endswith("fits, by its size")
        click(page, "demo-F16")
        row = only(page)
        await until(lambda: row.switch.text() == "Use it", "it is fetched", 20)
        assert row.says.text() == "Fetched and checked."
        library = loader.pane.pages.library
        assert library is not None
        row.switch.click()
        assert loader.pane.file.path.text() == str(folder / REPO / "demo-F16.gguf")
        await until(lambda: "6 layers" in loader.pane.file.facts.text(), "its header is read")
        loader.pane.open_library()
        await until(lambda: len(library.rows.shown) == 1, "it is among the models here")

    play_with(fetching, qapp, scenario)


def test_what_was_interrupted_is_gone_on_with(
    fetching: Loader, qapp: QApplication, server: HubServer, folder: Path
) -> None:
    server.drop_after.extend([5 * MIB] * 20)

    async def scenario(loader: Loader) -> None:
        page = await opened(loader)
        await ask(page, REPO)
        click(page, BIG.removesuffix(".gguf"))
        row = only(page)
        row.switch.click()
        assert row.says.text() == "Stopping …"
        await until(lambda: not row.running, "it has stopped", 30)
        assert row.switch.text() == "Resume"
        assert BIG not in names(folder)
        server.drop_after.clear()
        row.switch.click()
        await until(lambda: row.fetched, "it is whole", 30)
        assert names(folder) == [BIG]

    play_with(fetching, qapp, scenario)


def test_cancel_takes_away_what_has_come(
    fetching: Loader, qapp: QApplication, server: HubServer, folder: Path
) -> None:
    server.claimed_sha256 = "0" * 64

    async def scenario(loader: Loader) -> None:
        page = await opened(loader)
        await ask(page, f"https://huggingface.co/{REPO}/tree/main")
        click(page, BIG.removesuffix(".gguf"))
        row = only(page)
        await until(lambda: not row.running, "it was refused", 30)
        assert "is not what the server said" in row.says.text()
        part = folder / REPO / f"{BIG}.{'0' * 16}.part"
        part.write_bytes(b"a piece")
        row.cancel.click()
        assert not page.downloads
        await until(lambda: not part.exists(), "nothing is left")

    play_with(fetching, qapp, scenario)


def test_what_the_server_does_not_have_is_said(fetching: Loader, qapp: QApplication) -> None:
    async def scenario(loader: Loader) -> None:
        page = await opened(loader)
        assert await ask(page, "nobody/nothing") == []
        assert "there is no such repository" in page.says.text()
        QTest.keyClick(page, Qt.Key.Key_Escape)
        library = loader.pane.pages.library
        assert library is not None
        assert library.isVisible()

    play_with(fetching, qapp, scenario)


def test_a_token_is_given_used_and_forgotten(
    fetching: Loader, qapp: QApplication, server: HubServer, memory: MemoryKeyring
) -> None:
    server.opens_to = SECRET

    async def scenario(loader: Loader) -> None:
        page = await opened(loader)
        assert await ask(page, REPO) == []
        assert "give your account's access token" in page.says.text()
        row = page.token
        assert row.says.text() == "No access token."
        row.give.click()
        QTest.keyClicks(row.text, SECRET)
        assert SECRET not in row.text.displayText()
        QTest.keyClick(row.text, Qt.Key.Key_Return)
        await until(lambda: "keeps an access token for 127.0.0.1" in row.says.text(), "it is kept")
        assert not row.text.isVisible()
        assert row.text.text() == ""
        assert len(await ask(page, REPO)) == 2
        row.forget.click()
        await until(lambda: row.says.text() == "No access token.", "it is forgotten")
        assert memory.kept == {}

    play_with(fetching, qapp, scenario)


def test_a_keyring_that_refuses_says_so_and_the_token_stays_in_its_line(
    fetching: Loader, qapp: QApplication, memory: MemoryKeyring
) -> None:
    memory.locked = True

    async def scenario(loader: Loader) -> None:
        row = (await opened(loader)).token
        row.give.click()
        QTest.keyClicks(row.text, SECRET)
        row.keep.click()
        await until(row.problem.isVisible, "the refusal is said")
        assert "Unlock it and try again" in row.problem.text()
        assert row.text.text() == SECRET
        QTest.keyClick(row.text, Qt.Key.Key_Escape)
        assert not row.text.isVisible()
        page = loader.pane.pages.downloads
        assert page is not None
        assert page.isVisible()

    play_with(fetching, qapp, scenario)


@pytest.mark.parametrize(
    ("text", "repo"),
    [
        ("owner/name", "owner/name"),
        ("https://huggingface.co/owner/name/resolve/main/a.gguf?download=true", "owner/name"),
        ("huggingface.co/owner/name", "owner/name"),
        ("llama 70b", ""),
        ("llama 3/4", ""),
        ("name", ""),
        ("/", ""),
        ("a/b/c", ""),
    ],
)
def test_a_repository_is_known_from_words_to_search_for(text: str, repo: str) -> None:
    assert repository_in(text) == repo
