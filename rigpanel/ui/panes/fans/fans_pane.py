# SPDX-License-Identifier: MIT
"""The fans pane: one card's curve at a time, drawn, tried, confirmed and kept."""

from typing import Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QFrame, QWidget

from rigpanel import paths
from rigpanel.cooling.controller import DutyRange
from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.editing import CurveEditor
from rigpanel.cooling.fan_hold import duty_range
from rigpanel.cooling.preview import Candidate
from rigpanel.rig.readings import GpuSample, Missing
from rigpanel.settings import HOT_C, SettingsStore
from rigpanel.ui.bridges import WatchBridge
from rigpanel.ui.charts.redraw import RedrawClock
from rigpanel.ui.panes.fans.card_told import CardTold
from rigpanel.ui.panes.fans.curve_files import CurveFiles
from rigpanel.ui.panes.fans.drawings import Drawings, Scope
from rigpanel.ui.panes.fans.fans_layout import FansLayout
from rigpanel.ui.panes.fans.helper_link import HelperLink, HelperState
from rigpanel.ui.panes.fans.orders import Orders
from rigpanel.ui.panes.fans.preview_work import PreviewWork
from rigpanel.ui.theme import Theme
from rigpanel.watch.history import RigHistory, mean_duty_pct
from rigpanel.watch.tick import Tick

PREVIEW_MS = 200
"""The preview follows once the points have lain still for so long."""
PREVIEW_EVERY_S = 10.0
TURN_MS = 10
"""Between two steps of building: what was built is drawn, and clicks and keys are heard."""
SAVED_FILE = "fan_curves.json"


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
        self._drawings = Drawings()
        self._samples: dict[str, GpuSample] = {}
        self._orders = Orders(link)
        self._scope: Scope | None = None
        self._tick: Tick | None = None
        self._previewed_s = 0.0
        self.built = False
        """Whether every part is there and shown."""
        self._filled = False
        self.parts = FansLayout(self, link, theme)
        self.files = CurveFiles(paths.config_dir() / SAVED_FILE, self)
        self.previews = PreviewWork(history, self)
        self.clock = RedrawClock(self)
        self._preview = QTimer(self)
        self._preview.setSingleShot(True)
        self._preview.setInterval(PREVIEW_MS)
        self._preview.timeout.connect(self._show_preview)
        self._steps = self.parts.steps(self._fill)
        self._building = QTimer(self)
        self._building.timeout.connect(self._build)
        self._building.start(TURN_MS)
        watch.tick_ready.connect(self.take_tick)

    def build_now(self) -> None:
        """Build what is left at once, for who cannot wait some turns of Qt's loop."""
        while not self.built:
            self._build()

    @Slot()
    def _build(self) -> None:
        """Build the next part: all of them in one turn would hold the window up."""
        step = next(self._steps, None)
        if step is not None:
            step()
            return
        self.built = True
        self._building.stop()
        if self.isVisible():
            self.parts.board.plot.setFocus()

    def _fill(self) -> None:
        self._filled = True
        self.clock.set_parts(self.parts.charts)
        self._connect()
        self._fill_presets()
        self.parts.foot.setEnabled(True)
        self._show_buttons()
        if self._tick is not None:
            self.take_tick(self._tick)

    @property
    def editor(self) -> CurveEditor | None:
        """The curve that is drawn now."""
        return None if self._scope is None else self._drawings.editor(self._scope)

    @property
    def _told(self) -> CardTold | None:
        """What the helper told last of the card that is shown."""
        return None if self._scope is None else self._drawings.told.get(self._scope[0])

    @property
    def _in_force(self) -> FanCurve | None:
        """What the helper follows where the curve that is shown would be put in force."""
        return None if self._scope is None else self._drawings.in_force(self._scope)

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of a theme."""
        self._theme = theme
        self.parts.set_theme(theme)
        if self._filled:
            self._show_scope()

    def showEvent(self, event: QShowEvent) -> None:
        """Let the keys work on the curve at once."""
        super().showEvent(event)
        if self._filled:
            self._show_scope()
            self.clock.wake()
        if self.built:
            self.parts.board.plot.setFocus()

    def hideEvent(self, event: QHideEvent) -> None:
        """Cost nothing while nobody looks."""
        super().hideEvent(event)
        self.clock.stop()

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show one reading of the rig."""
        self._tick = tick
        self._samples = {sample.uuid: sample for sample in tick.snapshot.cards}
        self.parts.cards.show_cards(tick.snapshot.cards, self._drawings.told)
        chosen = self.parts.cards.chosen
        self.parts.show_whether(any_card=chosen is not None)
        if not self._filled:
            return
        if chosen is not None and (self._scope is None or self._scope[0] != chosen):
            self._choose(chosen, None)
        if self._scope is None or not self.isVisible():
            return
        sample = self._sample()
        self.parts.past.take_tick(tick.monotonic_s, sample, self._settings.get(HOT_C))
        at_c = Missing.GPU_LOST if sample is None else sample.temperature_c
        duty_pct = Missing.GPU_LOST if sample is None else mean_duty_pct(sample)
        if isinstance(at_c, Missing) or isinstance(duty_pct, Missing):
            self.parts.board.plot.show_now(None, None)
        else:
            self.parts.board.plot.show_now(at_c, duty_pct)
        if tick.monotonic_s - self._previewed_s >= PREVIEW_EVERY_S and not self._preview.isActive():
            self._preview.start()
        self.clock.wake()

    @Slot(object)
    def _take_status(self, status: dict[str, Any]) -> None:
        cards = (CardTold.of(card) for card in status["gpus"])
        lapsed = self._drawings.take({card.uuid: card for card in cards if card is not None})
        if self._orders.ran_out(lapsed):
            self.parts.foot.say("The change was not confirmed in time, so it was taken back.")
        if self.isVisible():
            self._show_scope()

    @Slot(str, str)
    def _take_answer(self, verb: str, problem: str) -> None:
        if verb != "status" or problem:
            self.parts.foot.say_problem(problem)

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
        other_card = self._scope is None or self._scope[0] != uuid
        self._scope = (uuid, fan)
        if other_card:
            sample = self._samples.get(uuid)
            fans = () if sample is None or isinstance(sample.fans, Missing) else sample.fans
            self.parts.show_card(self._history.card(uuid), len(fans))
        self._show_scope()
        self._show_preview()

    @Slot()
    def _show_scope(self) -> None:
        """Draw the curve that is edited, and everything that depends on it."""
        editor = self.editor
        if editor is None or self._scope is None:
            return
        sample = self._sample()
        place = list(self._samples).index(self._scope[0]) if sample is not None else 0
        self.parts.show_colour(self._theme.card(place))
        critical_c = editor.curve.critical_c
        if sample is not None and not isinstance(sample.slowdown_c, Missing):
            critical_c = min(critical_c, sample.slowdown_c)
        self.parts.board.plot.show_limits(
            self._settings.get(HOT_C), self._duties().low_pct, critical_c
        )
        self.parts.board.plot.show_editor(editor)
        self.parts.board.plot.show_in_force(self._in_force)
        self.parts.side.table.show_editor(editor, self.parts.board.plot.chosen)
        self.parts.side.smoothing.show_curve(editor.curve)
        self.parts.show_told(self._told, "this card" if sample is None else sample.label)
        self._show_buttons()

    @Slot()
    def _show_buttons(self) -> None:
        editor = self.editor
        parts = self.parts
        reachable = self._link.state in {HelperState.RUNNING, HelperState.SIMULATED}
        told, now = self._told, self._in_force
        drawn = None if editor is None else editor.curve
        parts.board.undo.setEnabled(editor is not None and editor.can_undo)
        parts.board.redo.setEnabled(editor is not None and editor.can_redo)
        keeps = told is not None and told.persisted != parts.foot.persist.isChecked()
        parts.foot.apply.setEnabled(reachable and drawn is not None and (drawn != now or keeps))
        parts.foot.auto.setEnabled(reachable and told is not None and set(told.holders) != {"auto"})
        parts.foot.unapplied.setVisible(drawn is not None and drawn != now)
        parts.side.power.show_told(told, reachable=reachable)
        parts.side.copy_to.setEnabled(len(self._samples) > 1)

    @Slot()
    def _edited(self) -> None:
        self._show_scope()
        self._preview.start()

    @Slot()
    def _chosen(self) -> None:
        if self.editor is not None:
            self.parts.side.table.show_editor(self.editor, self.parts.board.plot.chosen)

    @Slot()
    def _show_preview(self) -> None:
        if self.editor is not None and self._scope is not None:
            sample = self._sample()
            slowdown_c = Missing.GPU_LOST if sample is None else sample.slowdown_c
            hot_c = self._settings.get(HOT_C)
            candidate = Candidate(self.editor.curve, self._duties(), slowdown_c, hot_c)
            uuid, fan = self._scope
            self._previewed_s = self._history.now_s
            self.previews.ask(candidate, uuid, alone=fan is not None)

    @Slot()
    def _smoothing_edited(self) -> None:
        if self.editor is not None:
            self.editor.replace(self.parts.side.smoothing.changed(self.editor.curve))
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

    @Slot()
    def _apply(self) -> None:
        if self.editor is not None and self._scope is not None:
            # The button goes grey, and Ctrl+Return is of this pane.
            self.parts.board.plot.setFocus()
            persist = self.parts.foot.persist.isChecked()
            self._orders.apply(self._scope, self.editor.curve, persist=persist)

    @Slot()
    def _automatic(self) -> None:
        if self._scope is not None:
            self._orders.automatic(self._scope[0])

    @Slot(float)
    def _set_limit(self, watts: float) -> None:
        if self._scope is not None:
            self._orders.set_limit(self._scope[0], watts)

    @Slot()
    def _reset_limit(self) -> None:
        if self._scope is not None:
            self._orders.reset_limit(self._scope[0])

    @Slot()
    def _keep(self) -> None:
        self._orders.keep(self._told)

    @Slot()
    def _take_back(self) -> None:
        if self._scope is not None:
            self._orders.take_back(self._scope[0])

    @Slot(int)
    def _preset_chosen(self, _place: int) -> None:
        name = self.parts.side.presets.currentData()
        self.parts.side.presets.setCurrentIndex(0)
        if self.editor is not None and name is not None:
            self.files.read_preset(name, self.editor.curve)

    @Slot()
    def _copy_to(self) -> None:
        """Put this curve on every other card's drawing; each is applied by itself."""
        if self.editor is None or self._scope is None:
            return
        shown, fan = self._scope
        others = [uuid for uuid in self._samples if uuid != shown]
        self._drawings.draw_on([(uuid, fan) for uuid in others], self.editor.curve)
        labels = " and ".join(self._samples[uuid].label for uuid in others)
        where = labels if len(others) < 3 else f"the {len(others)} other cards"
        self.parts.foot.say(f"Drawn on {where} too: look there and apply it.")

    @Slot()
    def _save(self) -> None:
        if self.editor is not None:
            self.files.save(self.parts.side.name.text(), self.editor.curve)

    @Slot()
    def _export(self) -> None:
        if self.editor is not None:
            self.files.choose_export(self.editor.curve)

    @Slot(object, str)
    def _take_curve(self, curve: FanCurve, sentence: str) -> None:
        """Draw what was brought in, as one step that can be undone."""
        if self.editor is not None:
            self.editor.replace(curve)
            self.parts.foot.say(sentence)
            self._edited()

    @Slot()
    def _fill_presets(self) -> None:
        self.parts.side.fill_presets(self.files.names())

    def _connect(self) -> None:
        parts = self.parts
        parts.cards.card_chosen.connect(self._choose_card)
        parts.side.fan.activated.connect(self._choose_fan)
        parts.board.plot.edited.connect(self._edited)
        parts.board.plot.chosen_changed.connect(self._chosen)
        parts.side.table.edited.connect(self._edited)
        parts.side.table.chosen.connect(parts.board.plot.choose)
        parts.side.smoothing.edited.connect(self._smoothing_edited)
        parts.board.snap.toggled.connect(self._drawings.set_snap)
        parts.foot.persist.toggled.connect(self._show_buttons)
        parts.side.presets.activated.connect(self._preset_chosen)
        parts.side.power.set_requested.connect(self._set_limit)
        parts.side.power.reset_requested.connect(self._reset_limit)
        parts.trial.kept.connect(self._keep)
        parts.trial.taken_back.connect(self._take_back)
        self.files.curve_read.connect(self._take_curve)
        self.files.saved.connect(parts.foot.say)
        self.files.failed.connect(parts.foot.say_problem)
        self.files.names_changed.connect(self._fill_presets)
        self.files.names_changed.connect(parts.side.name.clear)
        self.previews.text_ready.connect(parts.board.preview.setText)
        self._link.status_ready.connect(self._take_status)
        self._link.answered.connect(self._take_answer)
        self._link.state_changed.connect(self._show_buttons)
        for control, slot in (
            (parts.board.undo, self._undo),
            (parts.board.redo, self._redo),
            (parts.foot.apply, self._apply),
            (parts.foot.auto, self._automatic),
            (parts.side.copy_to, self._copy_to),
            (parts.side.save, self._save),
            (parts.side.export, self._export),
            (parts.side.import_, self.files.choose_import),
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
