# SPDX-License-Identifier: MIT
"""What is drawn for every card and fan, beside what is in force there."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.editing import CurveEditor
from rigpanel.cooling.presets import BALANCED
from rigpanel.ui.panes.fans.card_told import CardTold

Scope: TypeAlias = tuple[str, int | None]
"""A card, and one fan of it or None for all."""


class Drawings:
    """One editor a scope; it begins with what is in force."""

    def __init__(self) -> None:
        self._editors: dict[Scope, CurveEditor] = {}
        self._in_force: dict[Scope, FanCurve | None] = {}
        self._snap = True
        self.told: Mapping[str, CardTold] = {}
        """What the helper told last, by card."""

    def editor(self, scope: Scope) -> CurveEditor:
        """Return what is drawn there."""
        if scope not in self._editors:
            self._in_force[scope] = self.in_force(scope)
            self._editors[scope] = CurveEditor(self._in_force[scope] or BALANCED)
            self._editors[scope].snap = self._snap
        return self._editors[scope]

    def in_force(self, scope: Scope) -> FanCurve | None:
        """Return what the helper follows there."""
        told = self.told.get(scope[0])
        return None if told is None else told.in_force(scope[1])

    def take(self, told: Mapping[str, CardTold]) -> set[str]:
        """Follow what came into force where nothing is drawn; return cards whose trial lapsed."""
        before, self.told = self.told, told
        for scope, editor in self._editors.items():
            was, now = self._in_force[scope], self.in_force(scope)
            untouched = editor.curve == was or not editor.can_undo
            if now not in {None, editor.curve, was} and untouched:
                editor.start_over(now)
            self._in_force[scope] = now
        return {uuid for uuid, card in told.items() if card.lapsed_since(before.get(uuid))}

    def draw_on(self, scopes: Iterable[Scope], curve: FanCurve) -> None:
        """Draw a curve in other places too."""
        for scope in scopes:
            self.editor(scope).replace(curve)

    def set_snap(self, snap: bool) -> None:
        """Have points move in whole degrees and percents, or freely."""
        self._snap = snap
        for editor in self._editors.values():
            editor.snap = snap
