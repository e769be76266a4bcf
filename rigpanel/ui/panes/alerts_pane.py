# SPDX-License-Identifier: MIT
"""The alerts pane: what stands now, and what stood since the panel was started."""

from datetime import datetime

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from rigpanel.settings import COOL_C, HOLD_S, HOT_C, SettingsStore
from rigpanel.ui.bridges import WatchBridge
from rigpanel.ui.widgets import label, named, scroll_area
from rigpanel.watch.alerts import Alert
from rigpanel.watch.tick import Tick

KEEP = 100


class AlertsPane(QWidget):
    """A row per alert, the newest first."""

    def __init__(
        self, settings: SettingsStore, watch: WatchBridge, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._rows: dict[tuple[str, str, float], QFrame] = {}
        inside = QWidget()
        self._column = QVBoxLayout(inside)
        self._column.setContentsMargins(20, 16, 20, 16)
        self._column.setSpacing(8)
        self._column.addWidget(named(QLabel("Alerts"), "title"))
        self._rule = label("", "muted")
        self._column.addWidget(self._rule)
        self._none = label("Nothing has been wrong since the panel was started.")
        self._column.addWidget(self._none)
        self._column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll_area(inside))
        settings.add_listener(self._say_rule)
        self._say_rule()
        watch.tick_ready.connect(self.take_tick)

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show what one reading of the rig raised and cleared."""
        for transition in tick.transitions:
            self._show(transition.alert)

    def sentences(self) -> tuple[str, ...]:
        """Return what the rows say, newest first."""
        return tuple(
            row.findChildren(QLabel)[1].text() for row in reversed(list(self._rows.values()))
        )

    def _say_rule(self) -> None:
        get = self._settings.get
        self._rule.setText(
            f"A card above {get(HOT_C):g} °C for {get(HOLD_S):g} s raises an alert; below "
            f"{get(COOL_C):g} °C it clears. A card that no longer answers raises one at once. "
            "The figures are in Settings."
        )

    def _show(self, alert: Alert) -> None:
        key = (alert.kind.value, alert.uuid, alert.raised_at_s)
        old = self._rows.pop(key, None)
        if old is not None:
            old.deleteLater()
        self._none.hide()
        row = named(QFrame(), "card")
        layout = QHBoxLayout(row)
        begin = _clock(alert.raised_at_s)
        over = alert.cleared_at_s
        when = f"{begin} until now" if over is None else f"{begin} to {_clock(over)}"
        time = label(when, "muted")
        time.setFixedWidth(170)
        layout.addWidget(time)
        layout.addWidget(label(alert.sentence, "error" if over is None else ""), 1)
        self._rows[key] = row
        self._column.insertWidget(2, row)
        while len(self._rows) > KEEP:
            self._rows.pop(next(iter(self._rows))).deleteLater()


def _clock(at_s: float) -> str:
    return datetime.fromtimestamp(at_s).astimezone().strftime("%H:%M:%S")
