# SPDX-License-Identifier: MIT
"""Ollama's models: manifests that name blobs, under the names that people know."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

MODEL_LAYER = "application/vnd.ollama.image.model"
REGISTRY, NAMESPACE = "registry.ollama.ai", "library"
MAX_MANIFEST = 1024 * 1024
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")


def ollama_models(
    folder: Path, unreadable: Callable[[Path, str], None]
) -> Iterator[tuple[str, Path]]:
    """Yield the name and the blob of each model in a folder of Ollama's."""
    manifests = folder / "manifests"
    for path in _files(manifests, unreadable):
        parts = path.relative_to(manifests).parts
        if len(parts) < 2:
            continue
        blob = _blob(path, folder, unreadable)
        if blob is not None:
            yield _name(parts), blob


def _files(folder: Path, unreadable: Callable[[Path, str], None]) -> list[Path]:
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(here.iterdir())
            waiting += [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
            found += [entry for entry in entries if entry.is_file()]
        except FileNotFoundError:
            continue
        except OSError as error:
            unreadable(here, error.strerror or "cannot be read")
    return sorted(found)


def _blob(path: Path, folder: Path, unreadable: Callable[[Path, str], None]) -> Path | None:
    try:
        if path.stat().st_size > MAX_MANIFEST:
            return None
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        unreadable(path, "is no manifest of Ollama's that can be read")
        return None
    layers = manifest.get("layers") if isinstance(manifest, dict) else None
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict) and layer.get("mediaType") == MODEL_LAYER:
            digest = _DIGEST.fullmatch(str(layer.get("digest")))
            return folder / "blobs" / f"sha256-{digest[1]}" if digest else None
    return None


def _name(parts: tuple[str, ...]) -> str:
    """Return `llama3.1:70b` for what is in Ollama's own library, else with what is before it."""
    *before, model, tag = parts
    if before[:1] == [REGISTRY]:
        before = before[1:]
        if before == [NAMESPACE]:
            before = []
    return "/".join([*before, f"{model}:{tag}"])
