# SPDX-License-Identifier: MIT
"""Imports that leave no sources behind, and tracebacks that still have theirs."""

import linecache

from rigpanel.ui.imports import sources_not_kept


def test_a_source_that_is_read_meanwhile_is_not_kept() -> None:
    linecache.clearcache()
    with sources_not_kept():
        assert "Imports that leave" in linecache.getline(__file__, 2)
        assert __file__ not in linecache.cache
    assert __file__ not in linecache.cache
    linecache.getline(__file__, 2)
    assert __file__ in linecache.cache
