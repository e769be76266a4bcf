# SPDX-License-Identifier: MIT
"""Access tokens: in the keyring, shown to their own server only, and never in a file or a log."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.library.download import DownloadError, Hub, TokenFrom
from rigpanel.library.hub_tokens import HubTokens, TokenError
from tests.library.hub_server import REPO, HubServer

pytest.importorskip("huggingface_hub")
keyring = pytest.importorskip("keyring")

from tests.fakes.keyring import MemoryKeyring, memory_keyring  # noqa: E402

SECRET = "-".join(("not", "a", "token"))
SERVER = "models.example"


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)


@pytest.fixture
def memory() -> Iterator[MemoryKeyring]:
    with memory_keyring() as kept:
        yield kept


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "data/hub-tokens.json"


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer({"a.gguf": b"GGUF"}, opens_to=SECRET) as running:
        yield running


def test_a_token_is_kept_across_starts_and_forgotten(memory: MemoryKeyring, note: Path) -> None:
    HubTokens(note).keep(SERVER, SECRET)
    assert list(memory.kept.values()) == [SECRET]
    assert HubTokens(note).find(SERVER) == SECRET
    assert SECRET not in note.read_text()
    HubTokens(note).forget(SERVER)
    assert memory.kept == {}
    assert HubTokens(note).find(SERVER) is None


def test_a_keyring_is_not_asked_for_what_it_does_not_hold(
    memory: MemoryKeyring, note: Path
) -> None:
    tokens = HubTokens(note)
    assert tokens.find(SERVER) is None
    tokens.forget(SERVER)
    assert memory.asked == 0


def test_a_private_repository_opens_to_the_kept_token_of_its_server(
    memory: MemoryKeyring, note: Path, server: HubServer, tmp_path: Path
) -> None:
    hub = Hub(tmp_path / "fetched", server.endpoint, HubTokens(note))
    with pytest.raises(DownloadError, match="give your account's access token"):
        hub.models(REPO)
    hub.keep_token(SECRET)
    assert hub.token_from is TokenFrom.KEYRING
    again = Hub(tmp_path / "fetched", server.endpoint, HubTokens(note))
    (model,) = again.models(REPO)
    assert again.download(model).read_bytes() == b"GGUF"
    with HubServer({}) as other:
        Hub(tmp_path, other.endpoint, HubTokens(note)).search("a")
        assert other.tokens == {None}
    again.forget_token()
    with pytest.raises(DownloadError, match="give your account's access token"):
        again.models(REPO)


def test_a_token_that_does_not_open_is_told_by_where_it_is_from(
    memory: MemoryKeyring,
    note: Path,
    server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = Hub(tmp_path, server.endpoint, HubTokens(note))
    hub.keep_token("another")
    with pytest.raises(DownloadError, match="the access token you keep is of that account"):
        hub.models(REPO)
    monkeypatch.setenv("HF_TOKEN", "a-third")
    hub = Hub(tmp_path, server.endpoint, HubTokens(note))
    assert hub.token_from is TokenFrom.ENVIRONMENT
    with pytest.raises(DownloadError, match="see that HF_TOKEN is of that account"):
        hub.models(REPO)
    assert server.tokens == {"Bearer another", "Bearer a-third"}


def test_a_locked_keyring_does_not_stand_before_what_is_public(
    memory: MemoryKeyring, note: Path, server: HubServer, tmp_path: Path
) -> None:
    tokens = HubTokens(note)
    Hub(tmp_path, server.endpoint, tokens).keep_token(SECRET)
    memory.locked = True
    server.opens_to = None
    hub = Hub(tmp_path, server.endpoint, tokens)
    assert hub.models(REPO)
    assert "Unlock it and try again" in hub.token_problem
    with pytest.raises(TokenError, match="Failed to unlock"):
        hub.keep_token(SECRET)
    server.opens_to = SECRET
    with pytest.raises(DownloadError, match="Unlock it and try again"):
        hub.models(REPO)


@pytest.mark.parametrize("text", ["", "two words", "tökén", "line\nbreak"])
def test_what_cannot_be_a_token_is_refused(memory: MemoryKeyring, note: Path, text: str) -> None:
    with pytest.raises(TokenError, match="no access token"):
        HubTokens(note).keep(SERVER, text)
    assert memory.kept == {}
    assert not note.exists()


def test_without_a_keyring_nothing_is_kept(note: Path) -> None:
    from keyring.backends import fail

    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(TokenError, match="no keyring to keep a token in"):
            HubTokens(note).keep(SERVER, SECRET)
    finally:
        keyring.set_keyring(before)
    assert not note.exists()


def test_a_note_that_is_garbage_asks_no_keyring(
    memory: MemoryKeyring, note: Path, caplog: pytest.LogCaptureFixture
) -> None:
    note.parent.mkdir()
    note.write_text("{")
    assert HubTokens(note).find(SERVER) is None
    assert "no keyring is asked" in caplog.text
    HubTokens(note).keep(SERVER, SECRET)
    assert HubTokens(note).find(SERVER) == SECRET


def test_no_log_holds_the_token(
    memory: MemoryKeyring,
    note: Path,
    server: HubServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    hub = Hub(tmp_path, server.endpoint, HubTokens(note))
    hub.keep_token(SECRET)
    hub.download(hub.models(REPO)[0])
    server.opens_to = "another"
    with pytest.raises(DownloadError) as caught:
        hub.models(REPO)
    assert SECRET not in caplog.text + str(caught.value)
    assert SECRET.encode() not in b"".join(p.read_bytes() for p in tmp_path.rglob("*.json"))


THERE_AND_BACK = f"""
from pathlib import Path
import sys
from rigpanel.library.hub_tokens import HubTokens
tokens = HubTokens(Path(sys.argv[1]))
tokens.keep("{SERVER}", "{SECRET}")
print(tokens.find("{SERVER}"))
tokens.forget("{SERVER}")
print(tokens.find("{SERVER}"))
"""


@pytest.mark.skipif(not shutil.which("gnome-keyring-daemon"), reason="needs gnome-keyring")
def test_a_desktop_s_own_keyring_keeps_it(note: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    env = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)}
    env["XDG_DATA_HOME"] = str(tmp_path / "share")
    script = 'echo a-password | gnome-keyring-daemon --unlock --components=secrets >/dev/null; "$@"'
    command = [sys.executable, "-c", THERE_AND_BACK, str(note)]
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", script, "sh", *command],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == [SECRET, "None"], done.stderr
