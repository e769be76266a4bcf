# SPDX-License-Identifier: MIT
"""Imports beside PySide6 that leave no sources behind."""

import contextlib
import linecache
from collections.abc import Iterator
from typing import Any


class _Forgetful(dict[str, Any]):
    """Keeps nothing."""

    def __setitem__(self, _name: str, _entry: Any) -> None:
        """Keep nothing."""


@contextlib.contextmanager
def sources_not_kept() -> Iterator[None]:
    """Have what is imported meanwhile leave no copy of its source.

    WORKAROUND: PySide6 reads the source of every module that is imported after it, to see whether
    it uses PySide6, and linecache keeps them all: some 15 MiB for a panel (seen with 6.11).
    """
    kept = linecache.cache
    linecache.cache = _Forgetful()
    try:
        yield
    finally:
        linecache.cache = kept
