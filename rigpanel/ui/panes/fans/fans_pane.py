# SPDX-License-Identifier: MIT
"""The fans pane: one card's curve at a time, drawn, tried, confirmed and kept."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QWidget

from rigpanel import paths
from rigpanel.cooling.controller import DutyRange
from rigpanel.cooling.curve import FanCurve, curve_as_json
from rigpanel.cooling.editing import CurveEditor
from rigpanel.cooling.fan_hold import duty_range
from rigpanel.cooling.presets import BALANCED, for_bottom_card
from rigpanel.cooling.saved_curves import SavedCurveError, SavedCurves, export_curve, import_curve
from rigpanel.errors import RigpanelError
from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.settings import HOT_C, SettingsStore
from rigpanel.ui.bridges import WatchBridge
from rigpanel.ui.charts.redraw import RedrawClock
from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.panes.fans.fans_layout import FansLayout
from rigpanel.ui.panes.fans.helper_link import HelperLink, HelperState
from rigpanel.ui.panes.fans.preview_text import preview_text
from rigpanel.ui.theme import Theme
from rigpanel.watch.history import RigHistory, mean_duty_pct
from rigpanel.watch.tick import Tick

CONFIRM_S = 10.0
PREVIEW_MS = 300
"""The preview follows once the points have lain still for so long."""
SAVED_FILE = "fan_curves.json"
BOTTOM = "Bottom card: this curve 6 °C earlier"

Scope = tuple[str, int | None]
"""A card, and one fan of it or None for all."""


class FansPane(QFrame):
    """Draws are kept per card and fan; nothing reaches a fan before it is applied."""

    def __init__(
        self,
        watch: WatchBridge,
        settings: SettingsStore,
        history: RigHistory,
        link: HelperLink,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self._settings, self._history, self._link, self._theme = settings, history, link, theme
        self._saved = SavedCurves(paths.config_dir() / SAVED_FILE)
        self._editors: dict[Scope, CurveEditor] = {}
        self._in_force: dict[Scope, FanCurve | None] = {}
        self._told: dict[str, CardTold] = {}
        self._samples: dict[str, GpuSample] = {}
        self._ended: set[str] = set()
        """Cards whose trial was ended here."""
        self._scope: Scope | None = None
        self.parts = FansLayout(self, link, theme)
        self.clock = RedrawClock(self)
        self._preview = QTimer(self)
        self._preview.setSingleShot(True)
        self._preview.setInterval(PREVIEW_MS)
        self._preview.timeout.connect(self._show_preview)
        self._connect()
        self._fill_presets()
        link.status_ready.connect(self._take_status)
        link.answered.connect(self._take_answer)
        link.state_changed.connect(self._show_buttons)
        watch.tick_ready.connect(self.take_tick)
        self._show_buttons()

    @property
    def editor(self) -> CurveEditor | None:
        """The curve that is drawn now."""
        return None if self._scope is None else self._editors[self._scope]

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        self._theme = theme
        self.parts.set_theme(theme)
        self._show_scope()

    def showEvent(self, event: QShowEvent) -> None:
        """Let the keys work on the curve at once."""
        super().showEvent(event)
        self.parts.plot.setFocus()
        self.clock.wake()

    def hideEvent(self, event: QHideEvent) -> None:
        """Cost nothing while nobody looks."""
        super().hideEvent(event)
        self.clock.stop()

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show one reading of the rig."""
        self._samples = {sample.uuid: sample for sample in tick.snapshot.cards}
        self.parts.cards.show_cards(tick.snapshot.cards, self._told)
        chosen = self.parts.cards.chosen
        if chosen is not None and (self._scope is None or self._scope[0] != chosen):
            self._choose(chosen, None)
        self.parts.body.setVisible(self._scope is not None)
        self.parts.nothing.setVisible(self._scope is None)
        if self._scope is None or not self.isVisible():
            return
        self.parts.take_tick(tick.monotonic_s, self._sample(), self._settings.get(HOT_C))
        sample = self._sample()
        at_c = None if sample is None else sample.temperature_c
        duty = Missing.GPU_LOST if sample is None else mean_duty_pct(sample)
        known = not isinstance(at_c, Missing) and not isinstance(duty, Missing)
        self.parts.plot.show_now(
            at_c if known and isinstance(at_c, float) else None,
            duty if known and isinstance(duty, float) else None,
        )
        if not self._preview.isActive() and int(tick.monotonic_s) % 5 == 0:
            self._preview.start()
        self.clock.wake()

    @Slot(object)
    def _take_status(self, status: dict[str, Any]) -> None:
        before, cards = self._told, (CardTold.of(card) for card in status["gpus"])
        self._told = {card.uuid: card for card in cards if card is not None}
        lapsed = {uuid for uuid, card in self._told.items() if card.lapsed_since(before.get(uuid))}
        if lapsed - self._ended:
            self.parts.say("The change was not confirmed in time, so it was taken back.")
        self._ended -= lapsed
        for scope, editor in self._editors.items():
            told = self._told.get(scope[0])
            now = None if told is None else told.in_force(scope[1])
            untouched = editor.curve == self._in_force[scope] or not editor.can_undo
            if now not in {None, editor.curve, self._in_force[scope]} and untouched:
                editor.start_over(now)
            self._in_force[scope] = now
        self._show_scope()

    @Slot(str, str)
    def _take_answer(self, verb: str, problem: str) -> None:
        if verb != "status" or problem:
            self.parts.say_problem(problem)

    def _sample(self) -> GpuSample | None:
        return None if self._scope is None else self._samples.get(self._scope[0])

    def _duties(self) -> DutyRange:
        sample = self._sample()
        if sample is None or isinstance(sample.fans, Missing) or not sample.fans:
            return DutyRange()
        return duty_range(sample.fans[0])

    @Slot(str)
    def _choose_card(self, uuid: str) -> None:
        self._choose(uuid, None)

    @Slot(int)
    def _choose_fan(self, place: int) -> None:
        if self._scope is not None:
            self._choose(self._scope[0], None if place <= 0 else place - 1)

    def _choose(self, uuid: str, fan: int | None) -> None:
        scope = (uuid, fan)
        told = self._told.get(uuid)
        if scope not in self._editors:
            now = None if told is None else told.in_force(fan)
            self._editors[scope] = CurveEditor(now or BALANCED)
            self._in_force[scope] = now
        other_card = self._scope is None or self._scope[0] != uuid
        self._scope = scope
        if other_card:
            sample = self._samples.get(uuid)
            fans = () if sample is None or isinstance(sample.fans, Missing) else sample.fans
            self.parts.show_card(self._history.card(uuid), len(fans))
            self.clock.set_parts(self.parts.charts)
        self._show_scope()
        self._show_preview()

    @Slot()
    def _show_scope(self) -> None:
        """Draw the curve that is edited, and everything that depends on it."""
        editor = self.editor
        if editor is None or self._scope is None:
            return
        sample, theme = self._sample(), self._theme
        place = list(self._samples).index(self._scope[0]) if sample is not None else 0
        self.parts.show_colour(theme, theme.card(place))
        critical_c = editor.curve.critical_c
        if sample is not None and not isinstance(sample.slowdown_c, Missing):
            critical_c = min(critical_c, sample.slowdown_c)
        self.parts.plot.show_limits(self._settings.get(HOT_C), self._duties().low_pct, critical_c)
        self.parts.plot.show_editor(editor)
        self.parts.plot.show_in_force(self._in_force[self._scope])
        self.parts.table.show_editor(editor, self.parts.plot.chosen)
        self.parts.smoothing.show_curve(editor.curve)
        told = self._told.get(self._scope[0])
        self.parts.show_told(told, "this card" if sample is None else sample.label)
        self._show_buttons()

    @Slot()
    def _show_buttons(self) -> None:
        editor = self.editor
        parts = self.parts
        reachable = self._link.state in {HelperState.RUNNING, HelperState.SIMULATED}
        told = None if self._scope is None else self._told.get(self._scope[0])
        drawn = None if editor is None else editor.curve
        now = None if self._scope is None else self._in_force[self._scope]
        parts.undo.setEnabled(editor is not None and editor.can_undo)
        parts.redo.setEnabled(editor is not None and editor.can_redo)
        keeps = told is not None and told.persisted != parts.persist.isChecked()
        parts.apply.setEnabled(reachable and drawn is not None and (drawn != now or keeps))
        parts.auto.setEnabled(reachable and told is not None and set(told.holders) != {"auto"})
        parts.unapplied.setVisible(drawn is not None and drawn != now)
        parts.power.show_told(told, reachable=self._link.state is HelperState.RUNNING)
        parts.copy_to.setEnabled(len(self._samples) > 1)

    @Slot()
    def _edited(self) -> None:
        self._show_scope()
        self._preview.start()

    @Slot()
    def _chosen(self) -> None:
        if self.editor is not None:
            self.parts.table.show_editor(self.editor, self.parts.plot.chosen)

    @Slot()
    def _show_preview(self) -> None:
        if self.editor is not None and self._scope is not None:
            history = self._history.card(self._scope[0])
            text = preview_text(self.editor.curve, self._duties(), history, self._history.now_s)
            self.parts.preview.setText(text)

    @Slot()
    def _smoothing_edited(self) -> None:
        if self.editor is not None:
            self.editor.replace(self.parts.smoothing.changed(self.editor.curve))
            self._edited()

    @Slot()
    def _undo(self) -> None:
        if self.editor is not None:
            self.editor.undo()
            self._edited()

    @Slot()
    def _redo(self) -> None:
        if self.editor is not None:
            self.editor.redo()
            self._edited()

    @Slot(bool)
    def _snap(self, snap: bool) -> None:
        for editor in self._editors.values():
            editor.snap = snap

    @Slot()
    def _apply(self) -> None:
        if self.editor is not None and self._scope is not None:
            uuid, fan = self._scope
            self._ended.discard(uuid)
            self.parts.plot.setFocus()  # the button goes grey, and Ctrl+Return is of this pane
            self._link.ask(
                "set_curve",
                gpu=uuid,
                fan=fan,
                curve=curve_as_json(self.editor.curve),
                persist=self.parts.persist.isChecked(),
                confirm_within_s=CONFIRM_S,
            )

    @Slot()
    def _automatic(self) -> None:
        if self._scope is not None:
            self._ended.add(self._scope[0])
            self._link.ask("auto", gpu=self._scope[0])

    @Slot(float)
    def _set_limit(self, watts: float) -> None:
        if self._scope is not None:
            self._ended.discard(self._scope[0])
            ask = self._link.ask
            ask("set_power_limit", gpu=self._scope[0], limit_w=watts, confirm_within_s=CONFIRM_S)

    @Slot()
    def _reset_limit(self) -> None:
        if self._scope is not None:
            self._ended.add(self._scope[0])
            self._link.ask("reset_power_limits", gpu=self._scope[0])

    @Slot()
    def _keep(self) -> None:
        told = None if self._scope is None else self._told.get(self._scope[0])
        if told is not None and told.trial_left_s is not None:
            self._link.ask("confirm", gpu=told.uuid)

    @Slot()
    def _take_back(self) -> None:
        if self._scope is not None:
            self._ended.add(self._scope[0])
            self._link.ask("revert", gpu=self._scope[0])

    @Slot(int)
    def _preset_chosen(self, _place: int) -> None:
        name = self.parts.presets.currentData()
        self.parts.presets.setCurrentIndex(0)
        editor = self.editor
        if editor is None or name is None:
            return
        self._try(lambda: editor.replace(self._preset(name, editor.curve)))

    def _preset(self, name: str, drawn: FanCurve) -> FanCurve:
        return for_bottom_card(drawn) if name == BOTTOM else self._saved.read()[name]

    @Slot()
    def _copy_to(self) -> None:
        """Put this curve on every other card's drawing; each is applied by itself."""
        if self.editor is None or self._scope is None:
            return
        others = [uuid for uuid in self._samples if uuid != self._scope[0]]
        for uuid in others:
            told = self._told.get(uuid)
            scope = (uuid, self._scope[1])
            self._in_force.setdefault(scope, None if told is None else told.in_force(scope[1]))
            self._editors.setdefault(scope, CurveEditor(BALANCED)).replace(self.editor.curve)
        labels = " and ".join(self._samples[uuid].label for uuid in others)
        self.parts.say(f"Drawn on {labels} too: look there and apply it.")

    @Slot()
    def _save(self) -> None:
        editor = self.editor
        name = self.parts.name.text()
        if editor is not None and self._try(lambda: self._saved.save(name, editor.curve)):
            self.parts.name.clear()
            self._fill_presets()
            self.parts.say(f"Saved as {name.strip()}; it is in the list of presets.")

    @Slot()
    def _export(self) -> None:
        editor = self.editor
        path, _ = QFileDialog.getSaveFileName(
            self, "Export the curve", str(Path.home() / "fan-curve.json"), "Fan curves (*.json)"
        )
        if path and editor is not None:
            self._try(lambda: export_curve(Path(path), editor.curve))

    @Slot()
    def _import(self) -> None:
        editor = self.editor
        path, _ = QFileDialog.getOpenFileName(
            self, "Import a curve", str(Path.home()), "Fan curves (*.json);;All files (*)"
        )
        if path and editor is not None:
            self._try(lambda: editor.replace(import_curve(Path(path))))

    def _try(self, work: Any) -> bool:
        """Do something with a file or a curve; what goes wrong is said in the pane."""
        try:
            work()
        except RigpanelError as error:
            self.parts.say_problem(str(error))
            return False
        self.parts.say_problem("")
        self._edited()
        return True

    def _fill_presets(self) -> None:
        try:
            names = list(self._saved.read())
        except SavedCurveError as error:
            self.parts.say_problem(str(error))
            names = ["Balanced"]
        self.parts.fill_presets([*names, BOTTOM])

    def _connect(self) -> None:
        parts = self.parts
        parts.cards.card_chosen.connect(self._choose_card)
        parts.fan.activated.connect(self._choose_fan)
        parts.plot.edited.connect(self._edited)
        parts.plot.chosen_changed.connect(self._chosen)
        parts.table.edited.connect(self._edited)
        parts.table.chosen.connect(parts.plot.choose)
        parts.smoothing.edited.connect(self._smoothing_edited)
        parts.snap.toggled.connect(self._snap)
        parts.persist.toggled.connect(self._show_buttons)
        parts.presets.activated.connect(self._preset_chosen)
        parts.power.set_requested.connect(self._set_limit)
        parts.power.reset_requested.connect(self._reset_limit)
        parts.trial.kept.connect(self._keep)
        parts.trial.taken_back.connect(self._take_back)
        for control, slot in (
            (parts.undo, self._undo),
            (parts.redo, self._redo),
            (parts.apply, self._apply),
            (parts.auto, self._automatic),
            (parts.copy_to, self._copy_to),
            (parts.save, self._save),
            (parts.export, self._export),
            (parts.import_, self._import),
        ):
            control.clicked.connect(slot)
        for keys, slot in (
            (QKeySequence.StandardKey.Undo, self._undo),
            (QKeySequence.StandardKey.Redo, self._redo),
            ("Ctrl+Return", self._keep),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)
