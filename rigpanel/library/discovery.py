# SPDX-License-Identifier: MIT
"""Finds the models on this machine, wherever another program has put them; changes nothing."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rigpanel.codec import from_plain, to_plain
from rigpanel.library.gguf_header import GgufHeader, read_header, shard_paths, shard_place
from rigpanel.library.gguf_reader import ModelFileError
from rigpanel.library.header_cache import HeaderCache, stamp_of
from rigpanel.library.ollama import ollama_models
from rigpanel.library.places import JAN, OLLAMA, Place

MAGIC = b"GGUF"
MAX_DEPTH = 10
OTHER_KINDS = {
    ".json", ".txt", ".md", ".py", ".yml", ".yaml", ".safetensors", ".png", ".jpg", ".pdf",
    ".html", ".lock", ".log", ".sqlite3", ".db", ".zip", ".onnx", ".model", ".jinja", ".incomplete",
    ".part", ".csv", ".toml", ".so", ".exe", ".dll",
}  # fmt: skip
"""Endings of files that are not looked into."""
NO_MODELS = {"mmproj", "adapter", "imatrix", "vocab", "controlvector"}
"""Values of `general.type` of files that are parts of a model or something else."""
HUB_REPO, HUB_SNAPSHOTS = "models--", "snapshots"
"""How Hugging Face names a repository's folder, and the one in it that has files by their names."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model on this machine."""

    path: Path
    """Its file, or the first of them."""
    name: str
    """As people know it."""
    source: str
    """The program whose folder it is in, or `folder`."""
    arch: str
    params: int
    file_type: str
    size_mib: float
    n_layer: int
    n_ctx_train: int
    shards: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder that may hold models and cannot be used."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was found."""

    models: tuple[ModelFile, ...]
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a file."""

    problem: str = ""
    passing: bool = False
    """Whether the problem may go without a change of the file: it is of its rights or its disk."""
    skipped: bool = False
    arch: str = ""
    params: int = 0
    file_type: str = ""
    size_mib: float = 0.0
    n_layer: int = 0
    n_ctx_train: int = 0
    n_files: int = 1
    """Files the model is in, whatever the name says."""


def find_models(
    places: Sequence[Place],
    cache: HeaderCache | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Found:
    """Look through `places`; takes seconds where headers are not cached, so not on the main thread.

    A file reached by several ways is listed once, where it was found first.
    """
    return _Search(cache or HeaderCache(None), cancelled).run(places)


class _Search:
    """One look through all places."""

    def __init__(self, cache: HeaderCache, cancelled: Callable[[], bool]) -> None:
        self._cache = cache
        self._cancelled = cancelled
        self._old = cache.all_known()
        self._new: dict[str, tuple[str, Any]] = {}
        self._models: dict[str, ModelFile] = {}
        self._unreadable: dict[Path, str] = {}
        self._seen_folders: set[str] = set()

    def run(self, places: Sequence[Place]) -> Found:
        for place in places:
            for name, path in self._candidates(place):
                if self._cancelled():
                    break
                self._look_at(name, path, place.source)
        if not self._cancelled():
            self._cache.keep(self._new)
        models = sorted(self._models.values(), key=lambda model: (model.name.lower(), model.path))
        return Found(
            tuple(models),
            tuple(Unreadable(path, why) for path, why in sorted(self._unreadable.items())),
        )

    def _not_readable(self, path: Path, why: str) -> None:
        self._unreadable.setdefault(path, why)

    def _candidates(self, place: Place) -> Iterator[tuple[str, Path]]:
        if place.source == OLLAMA:
            yield from ollama_models(place.folder, self._not_readable)
            return
        for path in self._files(place):
            shard = shard_place(path)
            if shard is None or shard[1] == 1 or self._stands_alone(path):
                yield self._name(place, path), path

    def _stands_alone(self, path: Path) -> bool:
        """Whether a file named as a later one of several is a model of its own.

        Where it is not, and the first is missing, that is told.
        """
        first = shard_paths(path)[0]
        try:
            beside = first.exists()
            if beside and self._known(first).n_files > 1:
                return False  # It is listed by its first.
            known = self._known(path)
        except OSError as error:
            self._not_readable(first, error.strerror or "cannot be read")
            return False
        if not known.problem and known.n_files == 1:
            return True
        if not beside:
            self._not_readable(first, "is missing; the other files of this model are there")
        return False

    @staticmethod
    def _name(place: Place, path: Path) -> str:
        if place.source == JAN and path.name == "model.gguf":
            return path.parent.name
        return path.name[: -len(path.suffix)] if path.suffix.lower() == ".gguf" else path.name

    def _files(self, place: Place) -> Iterator[Path]:
        """Yield the files that begin as a GGUF does, or are named as one."""
        waiting = [(place.folder, 0)]
        while waiting and not self._cancelled():
            folder, depth = waiting.pop()
            real = os.path.realpath(folder)
            if real in self._seen_folders:
                continue
            self._seen_folders.add(real)
            try:
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self._not_readable(folder, error.strerror or "cannot be read")
                continue
            for entry in listed:
                path = Path(entry.path)
                try:
                    if entry.is_dir():
                        if depth < MAX_DEPTH and _goes_into(folder, entry.name):
                            waiting.append((path, depth + 1))
                    elif entry.is_file() and self._may_be_model(path):
                        yield path
                except OSError as error:
                    self._not_readable(path, error.strerror or "cannot be read")

    def _may_be_model(self, path: Path) -> bool:
        suffix = path.suffix.lower()
        if suffix == ".gguf":
            return True
        if suffix in OTHER_KINDS or path.name.startswith("."):
            return False
        try:
            with path.open("rb") as file:
                return file.read(len(MAGIC)) == MAGIC
        except FileNotFoundError:
            return False  # It vanished meanwhile.

    def _look_at(self, name: str, path: Path, source: str) -> None:
        real = os.path.realpath(path)
        if real in self._models:
            return
        known = self._known(path)
        shard = shard_place(path) if known.n_files > 1 else None
        if known.problem:
            self._not_readable(path, known.problem)
        elif not known.skipped:
            self._models[real] = ModelFile(
                path=path,
                name=name if shard is None else shard[0],
                source=source,
                arch=known.arch,
                params=known.params,
                file_type=known.file_type,
                size_mib=known.size_mib,
                n_layer=known.n_layer,
                n_ctx_train=known.n_ctx_train,
                shards=shard_paths(path) if known.n_files > 1 else (path,),
            )

    def _known(self, path: Path) -> _Known:
        """Return what is remembered of a file that is still the same, else what it says."""
        real = os.path.realpath(path)
        try:
            stamp = repr(stamp_of(p for p in shard_paths(path) if p == path or p.exists()))
        except OSError:
            return _read(path)  # It says why; that is not worth remembering.
        if real in self._new and self._new[real][0] == stamp:
            return from_plain(_Known, self._new[real][1])
        known = None
        old_stamp, plain = self._old.get(real, ("", None))
        if old_stamp == stamp:
            with contextlib.suppress(ValueError):
                known = from_plain(_Known, plain)
        known = known or _read(path)
        if not known.passing:
            self._new[real] = (stamp, to_plain(known))
        return known


def _goes_into(folder: Path, name: str) -> bool:
    if folder.name.startswith(HUB_REPO):
        return name == HUB_SNAPSHOTS  # What it links to lies in `blobs` under no name.
    return not name.startswith(".")


def _read(path: Path) -> _Known:
    try:
        header = read_header(path)
    except ModelFileError as error:
        return _Known(problem=str(error), passing=_is_of_reading(error))
    if _is_no_model(header):
        return _Known(skipped=True)
    return _Known(
        arch=header.arch,
        params=header.n_params,
        file_type=header.file_type,
        size_mib=header.size_mib,
        n_layer=header.n_layer,
        n_ctx_train=header.n_ctx_train,
        n_files=len(header.shards),
    )


def _is_of_reading(error: BaseException | None) -> bool:
    """Whether a file could not be read at all; the error of a model in several has a chain."""
    return error is not None and (isinstance(error, OSError) or _is_of_reading(error.__cause__))


def _is_no_model(header: GgufHeader) -> bool:
    kind = header.values.get("general.type")
    return header.arch == "clip" or kind in NO_MODELS or header.path.name.startswith("mmproj")
