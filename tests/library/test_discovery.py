# SPDX-License-Identifier: MIT
"""Models are found where other programs keep them, each once, and trouble is named."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rigpanel.library.demo_model import DemoShape, write_demo_model
from rigpanel.library.discovery import Found, find_models
from rigpanel.library.gguf_header import GgufHeader, read_header
from rigpanel.library.header_cache import HeaderCache
from rigpanel.library.places import Place, fetched_dir, folders_in, known_places
from tests.library.made_shards import projector, write_shards

MANIFEST = {
    "layers": [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + "a" * 64},
    ]
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "m.gguf", DemoShape(n_vocab=600))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "person"
    folder.mkdir()
    return folder


def put(model: Path, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(model, path)
    return path


def found_in(home: Path, *folders: Path, **environment: str) -> Found:
    places = known_places(environment, home, folders)
    return find_models([place for place in places if home in place.folder.parents])


def listed(found: Found) -> list[tuple[str, str]]:
    return [(model.name, model.source) for model in found.models]


def put_in_ollama(model: Path, folder: Path, *manifest: str) -> Path:
    path = folder.joinpath("manifests", *manifest)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(MANIFEST))
    return put(model, folder / "blobs" / ("sha256-" + "a" * 64))


def test_every_program_s_place_is_looked_into(model: Path, home: Path) -> None:
    hub = home / ".cache/huggingface/hub/models--org--repo"
    blob = put(model, hub / "blobs/abc")
    link = hub / "snapshots/rev/repo-Q4_K_M.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    put(model, home / ".cache/llama.cpp/flat.gguf")
    put_in_ollama(model, home / ".ollama/models", "registry.ollama.ai/library/llama3.1/70b")
    put(model, home / ".lmstudio/models/publisher/repo/studio.gguf")
    put(model, home / ".local/share/nomic.ai/GPT4All/four.gguf")
    put(model, home / ".local/share/Jan/data/llamacpp/models/jan-id/model.gguf")
    found = found_in(home)
    assert listed(found) == [
        ("flat", "llama.cpp"),
        ("four", "GPT4All"),
        ("jan-id", "Jan"),
        ("llama3.1:70b", "Ollama"),
        ("repo-Q4_K_M", "Hugging Face"),
        ("studio", "LM Studio"),
    ]
    assert found.unreadable == ()
    assert found.models[0].params > 0
    assert found.models[4].path == link


def test_the_variables_that_move_those_places_are_followed(model: Path, home: Path) -> None:
    put(model, home / "hub/models--a--b/snapshots/r/one.gguf")
    put_in_ollama(model, home / "ollama", "registry.ollama.ai/someone/tuned/latest")
    put(model, home / "studio/models/p/r/two.gguf")
    put(model, home / "jan/llamacpp/models/three/model.gguf")
    (home / ".lmstudio-home-pointer").write_text(f"{home / 'studio'}\n")
    found = found_in(
        home,
        HF_HOME=str(home),
        OLLAMA_MODELS=str(home / "ollama"),
        JAN_DATA_FOLDER=str(home / "jan"),
    )
    assert listed(found) == [
        ("one", "Hugging Face"),
        ("someone/tuned:latest", "Ollama"),
        ("three", "Jan"),
        ("two", "LM Studio"),
    ]


def test_a_file_reached_by_two_ways_is_listed_once(model: Path, home: Path) -> None:
    real = put(model, home / "mine/a.gguf")
    (home / ".cache/llama.cpp").mkdir(parents=True)
    (home / ".cache/llama.cpp/same.gguf").symlink_to(real)
    (home / "mine/loop").symlink_to(home / "mine")
    assert listed(found_in(home, home / "mine")) == [("a", "folder")]


def test_a_model_is_known_by_its_first_bytes_not_its_name(model: Path, home: Path) -> None:
    put(model, home / "mine/no-ending")
    (home / "mine/notes").write_text("GGU")
    (home / "mine/page.gguf").write_text("<!DOCTYPE html>")
    found = found_in(home, home / "mine")
    assert listed(found) == [("no-ending", "folder")]
    assert [item.path.name for item in found.unreadable] == ["page.gguf"]
    assert "web page" in found.unreadable[0].why


def test_shards_are_one_model_and_a_missing_one_is_named(home: Path) -> None:
    whole = write_shards(home / "mine/whole", 3)
    write_shards(home / "mine/torn", 3)[1].unlink()
    write_shards(home / "mine/headless", 3)[0].unlink()
    found = found_in(home, home / "mine")
    (model,) = found.models
    assert (model.name, model.shards) == ("split", whole)
    assert model.size_mib == pytest.approx(sum(p.stat().st_size for p in whole) / 2**20)
    assert {item.path.parent.name for item in found.unreadable} == {"torn", "headless"}
    torn = next(item for item in found.unreadable if item.path.parent.name == "torn")
    assert "split-00002-of-00003.gguf does not exist" in torn.why


def test_a_whole_model_is_one_whatever_its_name_says(model: Path, home: Path) -> None:
    first = put(model, home / "mine/both-00001-of-00002.gguf")
    second = put(model, home / "mine/both-00002-of-00002.gguf")
    alone = put(model, home / "mine/late-00002-of-00002.gguf")
    cache = HeaderCache(home / "headers.sqlite3")
    for _ in range(2):  # The second time from the cache.
        found = find_models([Place("folder", home / "mine")], cache)
        assert [(each.name, each.shards) for each in found.models] == [
            ("both-00001-of-00002", (first,)),
            ("both-00002-of-00002", (second,)),
            ("late-00002-of-00002", (alone,)),
        ]
        assert found.unreadable == ()
    assert len(cache.all_known()) == 3
    cache.close()


def test_projectors_and_adapters_are_left_out(model: Path, home: Path) -> None:
    projector(home / "mine/mmproj-model-f16.gguf")
    put(model, home / "mine/model.gguf")
    found = found_in(home, home / "mine")
    assert listed(found) == [("model", "folder")]
    assert found.unreadable == ()


def test_a_manifest_cannot_lead_out_of_ollama_s_folder(model: Path, home: Path) -> None:
    folder = home / ".ollama/models"
    path = folder / "manifests/registry.ollama.ai/library/evil/latest"
    path.parent.mkdir(parents=True)
    layer = {"mediaType": MANIFEST["layers"][1]["mediaType"], "digest": "sha256:../../../secret"}
    path.write_text(json.dumps({"layers": [layer]}))
    (path.parent / "broken").write_text("{")
    found = found_in(home)
    assert found.models == ()
    assert [item.path.name for item in found.unreadable] == ["broken"]


@pytest.fixture
def shared(model: Path) -> Iterator[Path]:
    """Yield a folder that every user may look into: root may read everything, so others look."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        put(model, Path(folder) / "mine/open.gguf")
        yield Path(folder)


@contextlib.contextmanager
def as_somebody_else() -> Iterator[None]:
    """Be no longer root for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_folders_that_may_not_be_read_or_entered_are_named_and_the_rest_is_found(
    model: Path, shared: Path
) -> None:
    put(model, shared / "mine/shut/a.gguf")
    put(model, shared / "mine/listed/b.gguf")
    put(model, shared / "mine/listed/c-00002-of-00002.gguf")
    put_in_ollama(model, shared / ".ollama/models", "registry.ollama.ai/library/llama3.1/70b")
    (shared / ".ollama/models/manifests/registry.ollama.ai/library/llama3.1").chmod(0o444)
    (shared / "mine/shut").chmod(0)
    (shared / "mine/listed").chmod(0o444)
    with as_somebody_else():
        found = found_in(shared, shared / "mine")
    (shared / "mine/shut").chmod(0o755)
    (shared / "mine/listed").chmod(0o755)
    (shared / ".ollama/models/manifests/registry.ollama.ai/library/llama3.1").chmod(0o755)
    assert listed(found) == [("open", "folder")]
    named = [item.path.name for item in found.unreadable]
    assert named == ["llama3.1", "b.gguf", "c-00001-of-00002.gguf", "shut"]


def test_a_problem_that_was_mended_is_not_remembered(
    model: Path, shared: Path, tmp_path: Path
) -> None:
    path = shared / "mine/open.gguf"
    path.chmod(0)
    with contextlib.closing(HeaderCache(tmp_path / "headers.sqlite3")) as cache:
        with as_somebody_else():
            (item,) = find_models([Place("folder", shared)], cache).unreadable
        assert "may not be read" in item.why
        path.chmod(0o644)
        assert listed(find_models([Place("folder", shared)], cache)) == [("open", "folder")]


def test_a_name_that_is_no_text_is_found_and_remembered(
    model: Path, home: Path, tmp_path: Path
) -> None:
    path = put(model, home / "mine" / os.fsdecode(b"caf\xe9.gguf"))
    with contextlib.closing(HeaderCache(tmp_path / "headers.sqlite3")) as cache:
        first = find_models([Place("folder", home)], cache)
        assert [found.path for found in first.models] == [path]
        assert str(path) in cache.all_known()
        assert find_models([Place("folder", home)], cache) == first


def test_a_variable_that_names_nobody_s_home_is_borne(home: Path) -> None:
    assert known_places({"LLAMA_CACHE": "~no-such-person/cache"}, home)
    assert folders_in("~no-such-person/models") == (Path("~no-such-person/models"),)


def test_a_folder_that_cannot_be_opened_is_named_and_the_rest_is_found(
    model: Path, home: Path
) -> None:
    put(model, home / "mine/a.gguf")
    (home / "endless").symlink_to("endless")
    found = found_in(home, home / "endless", home / "mine")
    assert listed(found) == [("a", "folder")]
    (item,) = found.unreadable
    assert (item.path, "symbolic links" in item.why) == (home / "endless", True)


def test_a_header_is_read_once_until_its_file_changes(
    model: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(model, home / "mine/a.gguf")
    read: list[Path] = []

    def counted(path: Path) -> GgufHeader:
        read.append(path)
        return read_header(path)

    monkeypatch.setattr("rigpanel.library.discovery.read_header", counted)
    places = [Place("folder", home / "mine")]

    def look() -> Found:
        with contextlib.closing(HeaderCache(tmp_path / "headers.sqlite3")) as cache:
            return find_models(places, cache)

    first = look()
    assert look() == first
    assert read == [path]
    os.utime(path, ns=(1, 1))
    assert look() == first
    assert read == [path, path]
    path.unlink()
    assert look().models == ()


def test_a_damaged_cache_is_begun_anew(model: Path, home: Path, tmp_path: Path) -> None:
    put(model, home / "mine/a.gguf")
    file = tmp_path / "headers.sqlite3"
    file.write_bytes(b"no database" * 100)
    for _ in range(2):
        with contextlib.closing(HeaderCache(file)) as cache:
            assert len(find_models([Place("folder", home / "mine")], cache).models) == 1


def test_a_search_can_be_cancelled(model: Path, home: Path) -> None:
    put(model, home / "mine/a.gguf")
    assert find_models([Place("folder", home / "mine")], None, lambda: True).models == ()


def test_what_was_fetched_is_found(model: Path, home: Path) -> None:
    put(model, fetched_dir() / "maker/repo/fetched.gguf")
    put(model, fetched_dir() / "maker/repo/half.gguf.0123456789abcdef.part")
    found = find_models(known_places({}, home))
    assert ("fetched", "rigpanel") in listed(found)
    assert len([name for name, source in listed(found) if source == "rigpanel"]) == 1


def test_folders_of_the_setting() -> None:
    assert folders_in(f"/a{os.pathsep} /b c {os.pathsep}") == (Path("/a"), Path("/b c"))
