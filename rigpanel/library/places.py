# SPDX-License-Identifier: MIT
"""Where other programs keep their models on this machine."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rigpanel.paths import data_dir, expanded

HUGGING_FACE, LLAMA_CPP, OLLAMA = "Hugging Face", "llama.cpp", "Ollama"
LM_STUDIO, GPT4ALL, JAN, FOLDER = "LM Studio", "GPT4All", "Jan", "folder"
OWN = "rigpanel"
SYSTEM_OLLAMA = Path("/usr/share/ollama/.ollama/models")


def fetched_dir() -> Path:
    """Return the folder that models are fetched into."""
    return data_dir() / "models"


@dataclass(frozen=True, slots=True)
class Place:
    """One folder to look in, and the program whose it is."""

    source: str
    folder: Path


def known_places(
    environment: Mapping[str, str], home: Path, folders: Sequence[Path] = ()
) -> tuple[Place, ...]:
    """Return every place worth a look, the user's own `folders` first; they need not exist."""
    cache = _path(environment, "XDG_CACHE_HOME") or home / ".cache"
    data = _path(environment, "XDG_DATA_HOME") or home / ".local/share"
    config = _path(environment, "XDG_CONFIG_HOME") or home / ".config"
    local = _path(environment, "LOCALAPPDATA")
    llama_cache = _path(environment, "LLAMA_CACHE")
    hugging_face = (
        _path(environment, "HF_HUB_CACHE")
        or _path(environment, "HUGGINGFACE_HUB_CACHE")
        or _below(_path(environment, "HF_HOME"), "hub")
        or cache / "huggingface/hub"
    )
    found = [
        *((FOLDER, folder) for folder in folders),
        (OWN, fetched_dir()),
        (HUGGING_FACE, hugging_face),
        (LLAMA_CPP, llama_cache or cache / "llama.cpp"),
        (LLAMA_CPP, _below(local, "llama.cpp")),
        (OLLAMA, _path(environment, "OLLAMA_MODELS") or home / ".ollama/models"),
        (OLLAMA, SYSTEM_OLLAMA),
        *((LM_STUDIO, folder) for folder in _lm_studio(home)),
        (GPT4ALL, data / "nomic.ai/GPT4All"),
        (GPT4ALL, _below(local, "nomic.ai/GPT4All")),
        *((JAN, folder / "llamacpp/models") for folder in _jan(environment, data, config)),
    ]
    places = (Place(source, folder) for source, folder in found if folder is not None)
    return tuple(dict.fromkeys(places))


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name)
    return expanded(value) if value else None


def _below(folder: Path | None, name: str) -> Path | None:
    return folder / name if folder is not None else None


def _lm_studio(home: Path) -> list[Path]:
    folders = [home / ".cache/lm-studio", home / ".lmstudio"]
    try:
        pointed = (home / ".lmstudio-home-pointer").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        pointed = ""
    if pointed and "\0" not in pointed:
        folders.insert(0, Path(pointed))
    return [folder / "models" for folder in folders]


def _jan(environment: Mapping[str, str], data: Path, config: Path) -> list[Path]:
    own = _path(environment, "JAN_DATA_FOLDER")
    return [own] if own else [data / "Jan/data", config / "Jan/data"]


def folders_in(text: str) -> tuple[Path, ...]:
    """Return the folders of a setting: paths with the system's separator between them."""
    parts = (part.strip() for part in text.split(os.pathsep))
    return tuple(expanded(part) for part in parts if part)
