# SPDX-License-Identifier: MIT
"""`rigpanel models`: the GGUF files found on this machine."""

import argparse
import contextlib
import json
import os
import sys
from typing import Any

from rigpanel.cli.terminal import harmless
from rigpanel.library.discovery import Found, ModelFile, find_models
from rigpanel.library.header_cache import FILE_NAME, HeaderCache
from rigpanel.library.places import folders_in, known_places
from rigpanel.library.words import count_words, size_words
from rigpanel.paths import cache_dir, config_dir, home_dir
from rigpanel.rig.as_json import with_missing
from rigpanel.rig.readings import Missing
from rigpanel.settings import LIBRARY_FOLDERS, SettingsStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--demo", action="store_true", help="changes nothing: files are no rig")


def run(options: argparse.Namespace) -> int:
    """Print what is found; folders that cannot be read are named and are no failure."""
    folders = folders_in(SettingsStore(config_dir() / "settings.toml").get(LIBRARY_FOLDERS))
    with contextlib.closing(HeaderCache(cache_dir() / FILE_NAME)) as cache:
        found = find_models(known_places(os.environ, home_dir(), folders), cache)
    if options.json:
        json.dump(as_json(found), sys.stdout, allow_nan=False, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return 0
    print(as_table(found))
    for item in found.unreadable:
        print(harmless(f"rigpanel models: {item.path}: {item.why}"), file=sys.stderr)
    return 0


def as_json(found: Found) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    return {
        "models": [_model(model) for model in found.models],
        "unreadable": [{"path": str(item.path), "why": item.why} for item in found.unreadable],
    }


def _model(model: ModelFile) -> dict[str, Any]:
    return with_missing(
        {
            "path": str(model.path),
            "name": model.name,
            "source": model.source,
            "arch": model.arch,
            "params": model.params,
            "file_type": model.file_type,
            "size_mib": round(model.size_mib, 1),
            "n_layer": model.n_layer,
            "n_ctx_train": model.n_ctx_train or Missing.NOT_SUPPORTED,
            "shards": [str(path) for path in model.shards],
        }
    )


def as_table(found: Found) -> str:
    """Return the models as an aligned table."""
    if not found.models:
        return (
            "No model was found. Name a folder of yours in the settings (library.folders), or "
            "give a file's path to the other commands."
        )
    rows: list[tuple[str, ...]] = [
        ("Name", "Quantization", "Parameters", "Size", "Context", "From", "Path"),
        *(
            (
                harmless(model.name),
                model.file_type,
                count_words(model.params),
                size_words(model.size_mib),
                str(model.n_ctx_train or "-"),
                model.source,
                harmless(str(model.path)),
            )
            for model in found.models
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
