# SPDX-License-Identifier: MIT
"""The alerts pane: what stands now, and what stood since the panel was started."""

from datetime import datetime

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from rigpanel.settings import COOL_C, HOLD_S, HOT_C, SettingsStore
from rigpanel.ui.bridges import WatchBridge
from rigpanel.ui.widgets import button, column, label, named, rename, scroll_area
from rigpanel.watch.alerts import Alert
from rigpanel.watch.tick import Tick

KEEP = 100
PAGE_PX = 860


class AlertRow(QFrame):
    """One alert: when, what, and what to do."""

    def __init__(self, alert: Alert, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        named(self, "inset")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 10, 12, 10)
        row.setSpacing(16)
        self._when = label("", "standing")
        self._when.setFixedWidth(168)
        row.addWidget(self._when, 0, Qt.AlignmentFlag.AlignTop)
        self._sentence: QLabel = label("")
        row.addWidget(self._sentence, 1)
        self.show_alert(alert)

    def show_alert(self, alert: Alert) -> None:
        """Show the alert as it stands or stood."""
        begin, over = _clock(alert.raised_at_s), alert.cleared_at_s
        rename(self._when, "standing" if over is None else "muted")
        rename(self._sentence, "strong" if over is None else "")
        lasted = "" if over is None else _span(over - alert.raised_at_s)
        self._when.setText(f"since {begin}" if over is None else f"{begin}, for {lasted}")
        self._sentence.setText(alert.sentence)

    @property
    def text(self) -> str:
        """When and what, as a reader sees it."""
        return f"{self._when.text()}: {self._sentence.text()}"


class AlertsPane(QFrame):
    """Standing alerts above earlier ones, the newest of each first."""

    settings_requested = Signal()

    def __init__(
        self, settings: SettingsStore, watch: WatchBridge, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        named(self, "card")
        self._settings = settings
        self._standing: dict[tuple[str, str], AlertRow] = {}
        self._earlier: list[AlertRow] = []
        inside = QWidget()
        inside.setMaximumWidth(PAGE_PX)
        rows = column(margins=(24, 20, 24, 24), spacing=8)
        inside.setLayout(rows)
        rows.addWidget(named(QLabel("Alerts"), "title"))
        rule = QHBoxLayout()
        self._rule = label("", "muted")
        change = button("Change in Settings", "link", "Temperatures and hold time")
        change.clicked.connect(self.settings_requested)
        rule.addWidget(self._rule, 1)
        rule.addSpacing(16)
        rule.addWidget(change, 0, Qt.AlignmentFlag.AlignTop)
        rows.addLayout(rule)
        rows.addSpacing(8)
        self._standing_rows = self._section(rows, "Standing now")
        self.calm = label("Nothing is wrong.", "empty")
        self._standing_rows.addWidget(self.calm)
        rows.addSpacing(16)
        self._earlier_rows = self._section(rows, "Earlier, since the panel was started")
        self._nothing_yet = label("Nothing has been wrong yet.", "empty")
        self._earlier_rows.addWidget(self._nothing_yet)
        rows.addStretch(1)
        whole = column(margins=(1, 1, 1, 1))
        self.setLayout(whole)
        whole.addWidget(scroll_area(inside))
        settings.add_listener(self._say_rule)
        self._say_rule()
        watch.tick_ready.connect(self.take_tick)

    @Slot(object)
    def take_tick(self, tick: Tick) -> None:
        """Show what one reading of the rig raised and cleared."""
        for transition in tick.transitions:
            alert = transition.alert
            key = (alert.kind.value, alert.uuid)
            row = self._standing.pop(key, None)
            if transition.raised:
                row = AlertRow(alert)
                self._standing[key] = row
                self._standing_rows.insertWidget(0, row)
                continue
            if row is None:
                row = AlertRow(alert)
            row.show_alert(alert)
            self._standing_rows.removeWidget(row)
            self._earlier_rows.insertWidget(0, row)
            self._earlier.insert(0, row)
            for old in self._earlier[KEEP:]:
                old.hide()
                old.deleteLater()
            del self._earlier[KEEP:]
        self.calm.setVisible(not self._standing)
        self._nothing_yet.setVisible(not self._earlier)

    @property
    def standing(self) -> tuple[str, ...]:
        """What the rows of standing alerts say, newest first."""
        return tuple(row.text for row in reversed(self._standing.values()))

    @property
    def earlier(self) -> tuple[str, ...]:
        """What the rows of cleared alerts say, newest first."""
        return tuple(row.text for row in self._earlier)

    def _section(self, rows: QVBoxLayout, title: str) -> QVBoxLayout:
        rows.addWidget(named(QLabel(title), "section"))
        section = column(spacing=8)
        rows.addLayout(section)
        return section

    def _say_rule(self) -> None:
        get = self._settings.get
        hold_s = get(HOLD_S)
        held = f"for {hold_s:g} s raises an alert" if hold_s else "raises an alert at once"
        self._rule.setText(
            f"A card above {get(HOT_C):g} °C {held}; below "
            f"{get(COOL_C):g} °C it clears. A card that no longer answers raises one at once."
        )


def _clock(at_s: float) -> str:
    """Return the time of day, with the date before it where that is not today's."""
    at = datetime.fromtimestamp(at_s).astimezone()
    today = at.date() == datetime.now().astimezone().date()
    return at.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
