# SPDX-License-Identifier: MIT
"""Fetching from a server that drops connections and lies: whole, or not there at all."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.library.discovery import find_models
from rigpanel.library.download import (
    DownloadCancelledError,
    DownloadError,
    Hub,
    RemoteModel,
)
from rigpanel.library.places import FOLDER, Place
from tests.library.hub_server import REPO, HubServer

MIB = 1024 * 1024
pytest.importorskip("huggingface_hub")

SECRET = "-".join(("not", "a", "token"))
BIG = "model-Q4_K_M.gguf"


@pytest.fixture(scope="module")
def data() -> bytes:
    return b"GGUF" + os.urandom(25 * MIB)


@pytest.fixture
def server(data: bytes) -> Iterator[HubServer]:
    files = {
        BIG: data,
        "split/model-Q8_0-00001-of-00002.gguf": data[: 2 * MIB],
        "split/model-Q8_0-00002-of-00002.gguf": data[2 * MIB : 3 * MIB],
        "README.md": b"words",
    }
    with HubServer(files) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


def big(hub: Hub) -> RemoteModel:
    return hub.models(REPO)[-1]


def named_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.gguf"))


def test_a_repository_s_models_with_their_sizes(server: HubServer, folder: Path) -> None:
    hub = Hub(folder, server.endpoint)
    assert hub.search("model") == (REPO,)
    split, whole = hub.models(REPO)
    assert (split.name, len(split.files), split.size_mib) == ("split/model-Q8_0", 2, 3)
    assert (whole.name, len(whole.files)) == ("model-Q4_K_M", 1)
    assert whole.size_mib == pytest.approx(25, abs=0.001)


def test_a_model_in_several_files_is_fetched_whole(
    server: HubServer, folder: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub = Hub(folder, server.endpoint)
    seen: list[tuple[int, int]] = []
    first = hub.download(hub.models(REPO)[0], lambda done, whole: seen.append((done, whole)))
    assert first.name == "model-Q8_0-00001-of-00002.gguf"
    assert first.read_bytes() == data[: 2 * MIB]
    assert len(named_files(folder)) == 2
    assert seen == sorted(seen)
    assert seen[-1] == (3 * MIB, 3 * MIB)
    assert server.tokens == {f"Bearer {SECRET}"}


def test_a_dropped_connection_is_gone_on_from(server: HubServer, folder: Path, data: bytes) -> None:
    hub = Hub(folder, server.endpoint)
    server.drop_after = [15 * MIB]
    assert hub.download(big(hub)).read_bytes() == data
    ranges = [asked for method, _, asked in server.requests if method == "GET" and asked]
    assert len(ranges) == 1
    assert int(ranges[0].removeprefix("bytes=").rstrip("-")) >= 10 * MIB


def test_a_paused_download_goes_on_where_it_was(
    server: HubServer, folder: Path, data: bytes
) -> None:
    hub = Hub(folder, server.endpoint)
    done = 0

    def report(now: int, _whole: int) -> None:
        nonlocal done
        done = now

    with pytest.raises(DownloadCancelledError):
        hub.download(big(hub), report, lambda: done >= 10 * MIB)
    assert named_files(folder) == []
    assert hub.download(big(hub)).read_bytes() == data
    assert any(asked for _, _, asked in server.requests)
    requests = len(server.requests)
    hub.download(big(hub))  # What is there is not fetched again.
    assert len(server.requests) == requests + 1


def test_a_file_that_is_not_what_was_said_is_taken_away(server: HubServer, folder: Path) -> None:
    hub = Hub(folder, server.endpoint)
    model = big(hub)
    server.files[BIG] = server.files[BIG][:-4] + b"evil"
    server.claimed_sha256 = model.files[0].sha256
    with pytest.raises(DownloadError, match="not what the server said"):
        hub.download(model)
    assert named_files(folder) == []
    place = Place(FOLDER, folder)
    assert find_models([place]) == find_models([])


def test_a_server_that_lies_about_sizes_is_found_out(server: HubServer, folder: Path) -> None:
    hub = Hub(folder, server.endpoint)
    server.claimed_size = 26 * MIB
    with pytest.raises(DownloadError, match=r"could not be fetched|Consist"):
        hub.download(big(hub))
    assert named_files(folder) == []


def test_a_full_disk_is_told_before_anything_is_fetched(
    server: HubServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=20 * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    hub = Hub(folder, server.endpoint)
    with pytest.raises(DownloadError, match=r"needs 25 MiB more .* 20 MiB are free"):
        hub.download(big(hub))
    assert not [path for method, path, _ in server.requests if "/resolve/" in path]


def test_what_cannot_be_had_gets_a_sentence(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub = Hub(folder, server.endpoint)
    with pytest.raises(DownloadError, match="no such repository"):
        hub.models("maker/other")
    with pytest.raises(DownloadError, match="is no name of a repository"):
        hub.models("a/b/c")
    server.gated = True
    with pytest.raises(DownloadError, match="ask for an agreement") as caught:
        hub.models(REPO)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["../../evil.gguf", "/evil.gguf"])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    server: HubServer, folder: Path, name: str
) -> None:
    server.files = {name: b"GGUF"}
    hub = Hub(folder, server.endpoint)
    with pytest.raises(DownloadError, match="no name of a file"):
        hub.download(big(hub))


def test_no_server_at_all_gets_a_sentence(folder: Path) -> None:
    hub = Hub(folder, "http://127.0.0.1:9")
    for ask in (hub.models, hub.search):
        with pytest.raises(DownloadError, match=r"looked up at 127.0.0.1:9 .* Check the network"):
            ask(REPO)


def test_a_search_that_fails_is_told_at_once(server: HubServer, folder: Path) -> None:
    server.broken = True
    with pytest.raises(DownloadError, match="could not be looked up"):
        Hub(folder, server.endpoint).search("model")
    assert len(server.requests) == 1
