# SPDX-License-Identifier: MIT
"""Where the next load goes: a bar a device, the links between, the split, and whether it fits."""

import itertools
from dataclasses import replace

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from rigpanel.engine.messages import DeviceUse as Allocated
from rigpanel.engine.messages import LoadedModel
from rigpanel.fit.estimate import shares_by_memory
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.measured import Measured, with_measured
from rigpanel.fit.result import Fit, Use
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.ui.panes.load.command_lines import CommandLines
from rigpanel.ui.panes.load.fit_work import (
    Advice,
    DryRunAnswer,
    FitAnswer,
    FitWork,
    Question,
)
from rigpanel.ui.panes.load.laid_over import Ground, Spot
from rigpanel.ui.panes.load.links import LinkLine, narrow_slot
from rigpanel.ui.panes.load.memory_bar import BarFacts, Legend, MemoryBar
from rigpanel.ui.panes.load.outside import DryRun
from rigpanel.ui.panes.load.split_bar import SplitBar
from rigpanel.ui.panes.load.verdict import NOT_SEEN, no_dry_run, verdict
from rigpanel.ui.theme import Theme
from rigpanel.ui.widgets import button, column, label, named, rename

SETTLE_MS = 1500
"""For so long after a dry run a reading may still show what its process held on the cards."""
REST_MS = 800
"""llama.cpp is asked once a person has come to rest; its answer takes a few tenths more."""
HUNDRED = 100
NOTHING_FITS = (
    "No settings make it fit: choose a smaller model or quantization, or free memory first."
)
ASKED = "llama.cpp is being asked …"


class Picture(QWidget):
    """Follows every setting at once; the formula's figures give way to llama.cpp's own."""

    recommended = Signal(object)
    """LoadSettings that would be best, because a person asked for them."""
    divided = Signal(object)
    """The shares that a person dragged the split to; empty leaves it to llama.cpp."""

    def __init__(self, theme: Theme, dry_run: DryRun | None) -> None:
        super().__init__()
        self._theme = theme
        self._header: GgufHeader | None = None
        self._question: Question | None = None
        """What was asked last."""
        self._shown: tuple[Question, Fit] | None = None
        """What is drawn: the last that was answered."""
        self._loaded: LoadedModel | None = None
        self._measured: tuple[object, Measured | str] | None = None
        """What the last dry run was of, and what came of it."""
        self._asking: tuple[object, LoadSettings] | None = None
        """What the next or present dry run is of."""
        self._advised: LoadSettings | None = None
        self._work = FitWork(dry_run, self)
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._measure)
        self._settling = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._work.reckoned.connect(self._take_fit)
        self._work.measured.connect(self._take_measured)
        self._work.advised.connect(self._take_advice)
        self._build()

    def _build(self) -> None:
        rows = column(spacing=6)
        self.setLayout(rows)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(named(QLabel("Memory"), "section"), 1)
        self.recommend_button = button(
            "Recommended", "segment", "Fill in the settings that are best here, and say why"
        )
        self.recommend_button.clicked.connect(self._advise)
        head.addWidget(self.recommend_button)
        rows.addLayout(head)
        self.verdict = label("", "strong")
        """Whether it fits; it stands by the Load button, where it is always in view."""
        self._bars_box = QWidget()
        self._bar_rows = column(spacing=2)
        self._bars_box.setLayout(self._bar_rows)
        rows.addWidget(self._bars_box)
        self.bars: list[MemoryBar] = []
        """One a device, and that of the host last."""
        self.links: list[LinkLine] = []
        self._legend = Legend(self._theme)
        rows.addWidget(self._legend)
        self._split_row = QWidget()
        line = QHBoxLayout(self._split_row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        self._split_caption = named(QLabel(), "field")
        line.addWidget(self._split_caption)
        self.split = SplitBar(self._theme)
        self.split.divided.connect(self._divide)
        line.addWidget(self.split, 1)
        rows.addWidget(self._split_row)
        self.narrow = label("", "warm")
        self.why = label("", "")
        self.method = label("", "muted")
        for part in (self.narrow, self.why, self.method):
            rows.addWidget(part)
        self.commands = CommandLines()
        """The same as commands; it stands below the settings."""
        self._show_nothing()

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        self._legend.set_theme(theme)
        self._show()

    def show_load(self, header: GgufHeader, settings: LoadSettings, ground: Ground) -> None:
        """Reckon where these settings lead; the answer is drawn when it is there."""
        if header is not self._header:
            self._header, self._shown, self._measured, self._advised = header, None, None, None
            self._show_nothing()
        same = self._question is not None and self._question.settings == settings
        if same and self._shown is not None and (self._work.measuring or self._settling.isActive()):
            return
        question = Question(settings, ground)
        if question != self._question or self._shown is None:
            self._question = question
            self._work.reckon(header, question)
        if settings != self._advised:
            self.why.hide()

    def show_loaded(self, model: LoadedModel | None) -> None:
        """Put what was really allocated beside the estimate; None takes it away."""
        if model is not self._loaded and self._measured and isinstance(self._measured[1], str):
            self._measured = None  # What llama.cpp could not tell before it may tell now.
        self._loaded = model
        if self._shown is not None:
            self._ask_llama(*self._shown)
        self._show()

    @Slot(object)
    def _take_fit(self, answer: FitAnswer) -> None:
        if answer.question is not self._question:
            return  # Another was asked meanwhile.
        if isinstance(answer.fit, str):
            self._shown = self._asking = None
            self._rest.stop()
            self._show_nothing()
            self._say(answer.fit, "error")
            return
        self._shown = (answer.question, answer.fit)
        self._ask_llama(answer.question, answer.fit)
        self._show()

    def _ask_llama(self, question: Question, fit: Fit) -> None:
        key = _key(question, fit)
        known = self._measured is not None and self._measured[0] == key
        asked = self._asking is not None and self._asking[0] == key
        can = self._work.can_measure and not _why_formula(question, fit) and not self._busy(fit)
        if can and not known and not asked:
            self._asking = (key, fit.settings)
            self._rest.start()

    @Slot()
    def _measure(self) -> None:
        if self._asking is not None:
            self._work.measure(self._asking[1])

    @Slot(object)
    def _take_measured(self, answer: DryRunAnswer) -> None:
        self._settling.start()
        if self._asking is not None and answer.asked == self._asking[1]:
            self._measured = (self._asking[0], answer.measured)
            self._asking = None
            self._show()

    @Slot()
    def _advise(self) -> None:
        if self._header is not None and self._question is not None:
            self.recommend_button.setEnabled(False)
            self._work.advise(self._header, self._question)

    @Slot(object)
    def _take_advice(self, advice: Advice | str) -> None:
        self.recommend_button.setEnabled(True)
        if isinstance(advice, str):
            self._tell_why(advice)
        elif self._question is None or advice.question.settings != self._question.settings:
            self._advise()  # Something was set meanwhile: the advice is for what stands now.
        elif advice.best is None:
            self._tell_why(NOTHING_FITS)
        else:
            given = _plain(advice.best.settings, advice.question)
            self.recommended.emit(given)
            self._advised = self._question.settings
            self._tell_why("\n".join(f"\N{BULLET} {why}" for why in advice.best.why))

    def _tell_why(self, text: str) -> None:
        self.why.setText(text)
        self.why.show()

    @Slot(object)
    def _divide(self, parts: tuple[int, ...]) -> None:
        self.divided.emit(tuple(float(part) for part in parts))

    def _say(self, sentence: str, look: str) -> None:
        rename(self.verdict, look)
        self.verdict.setText(sentence)

    def _show_nothing(self) -> None:
        self._say("Reckoning …", "muted")
        for part in (self._bars_box, self._legend, self._split_row):
            part.hide()
        for words in (self.narrow, self.why, self.method):
            words.hide()

    def _show(self) -> None:
        """Draw what is known now."""
        if self._shown is None or self._header is None:
            return
        question, fit = self._shown
        shown, method = self._best(question, fit)
        self._say(verdict(shown), "error" if shown.fits is False else "strong")
        self.method.setText(method)
        self.method.show()
        self._show_bars(shown, question.ground)
        self._show_split(shown, question.ground.spots)
        warnings = [narrow_slot(one.card) for one in question.ground.spots if one.card is not None]
        self.narrow.setText("\n".join(filter(None, warnings)))
        self.narrow.setVisible(any(warnings))
        self.commands.show_settings(question.settings, self._header.n_layer)

    def _best(self, question: Question, fit: Fit) -> tuple[Fit, str]:
        """Return the fit with llama.cpp's own figures where they are there, and the method."""
        if why := _why_formula(question, fit):
            return fit, why
        if not self._work.can_measure:
            return fit, "Estimated by formula."
        if self._measured is None or self._measured[0] != _key(question, fit):
            busy = self._busy(fit)
            why = f"RPC server {busy} works for the model in memory." if busy else ASKED
            return fit, f"Estimated by formula; {why}"
        measured = self._measured[1]
        if isinstance(measured, str):
            return fit, f"Estimated by formula. {measured}"
        better = with_measured(fit, measured)
        if better is None:
            return fit, NOT_SEEN
        return better, "As llama.cpp itself reckons it (dry run)."

    def _busy(self, fit: Fit) -> str:
        """Return the RPC servers that the model in memory uses: they answer nobody else."""
        held = () if self._loaded is None else self._loaded.settings.rpc_servers
        return ", ".join(server for server in fit.settings.rpc_servers if server in held)

    def _show_bars(self, fit: Fit, ground: Ground) -> None:
        spots = ground.spots
        allocated = _allocated(self._loaded, spots, fit.settings)
        facts = [
            BarFacts(
                label=spot.label,
                use=planned.use,
                usable_mib=None if planned.device.free_mib is None else planned.device.usable_mib,
                total_mib=spot.total_mib,
                others=_others(spot, planned.device.free_mib),
                margin_mib=planned.device.margin_mib,
                loaded=allocated[place],
                colour=self._theme.card(spot.place),
            )
            for place, (spot, planned) in enumerate(zip(spots, fit.devices, strict=True))
        ]
        used = ground.host_used_mib
        facts.append(
            BarFacts(
                label="Host memory",
                use=fit.host,
                usable_mib=ground.host_free_mib,
                total_mib=ground.host_total_mib,
                others=() if not used else (("everything else that runs", used),),
                loaded=allocated[-1],
            )
        )
        self._fill_bars(facts, spots)

    def _fill_bars(self, facts: list[BarFacts], spots: tuple[Spot, ...]) -> None:
        if len(self.bars) != len(facts):
            for old in (*self.bars, *self.links):
                self._bar_rows.removeWidget(old)
                old.hide()
                old.deleteLater()
            self.bars = [MemoryBar(self._theme, one) for one in facts]
            self.links = [LinkLine(self._theme) for _ in spots[1:]]
            for bar, link in itertools.zip_longest(self.bars[:-1], self.links):
                self._bar_rows.addWidget(bar)
                if link is not None:
                    self._bar_rows.addWidget(link)
            self._bar_rows.addWidget(self.bars[-1])
        for bar, one in zip(self.bars, facts, strict=True):
            bar.show_facts(self._theme, one)
        for link, (here, there) in zip(self.links, itertools.pairwise(spots), strict=True):
            link.show_link(self._theme, here.card, there.card)
        self._bars_box.show()
        self._legend.show()

    def _show_split(self, fit: Fit, spots: tuple[Spot, ...]) -> None:
        mode = fit.settings.split_mode
        by_layer = mode is SplitMode.LAYER
        parts = tuple(one.use.layers + one.use.output for one in fit.devices)
        if not by_layer:
            shares = fit.settings.tensor_split
            parts = _hundredths(shares)
        shown = len(spots) > 1 and mode is not SplitMode.NONE and sum(parts) > 1
        self._split_row.setVisible(shown)
        if shown:
            self._split_caption.setText("Layers" if by_layer else "Shares")
            self.split.show_parts(
                self._theme,
                tuple(spot.device.name for spot in spots),
                tuple(self._theme.card(spot.place) for spot in spots),
                parts,
                "" if by_layer else " %",
            )


def _key(question: Question, fit: Fit) -> object:
    """Return what a dry run's answer depends on: free memory only as far as it moves layers."""
    places = tuple((one.device.name, one.use.layers, one.use.output) for one in fit.devices)
    return (question.settings, places)


def _why_formula(question: Question, fit: Fit) -> str:
    simulated = question.ground.simulated
    return no_dry_run(fit.settings, on_cards=bool(fit.devices), simulated=simulated)


def _hundredths(shares: tuple[float, ...]) -> tuple[int, ...]:
    """Return shares as whole hundredths that add up."""
    whole = sum(shares) or 1.0
    ends = [round(HUNDRED * done / whole) for done in itertools.accumulate(shares)]
    return tuple(end - begin for begin, end in itertools.pairwise([0, *ends]))


def _others(spot: Spot, free_mib: float | None) -> tuple[tuple[str, float], ...]:
    """Return who else holds memory of a card; what nobody owns up to is the driver's."""
    if free_mib is None or spot.total_mib is None:
        return spot.device.others
    told = tuple((name, mib) for name, mib in spot.device.others if mib > 0)
    rest = spot.total_mib - free_mib - sum(mib for _name, mib in told)
    return (*told, ("the driver and others", rest)) if rest > 0 else told


def _plain(best: LoadSettings, question: Question) -> LoadSettings:
    """Return advice as a person would set it: what llama.cpp chooses anyway is left to it."""
    by_memory = best.tensor_split == shares_by_memory(question.ground.devices)
    alone = best.split_mode is SplitMode.NONE
    return replace(
        best,
        tensor_split=() if by_memory or alone else best.tensor_split,
        flash_attn=question.settings.flash_attn if best.flash_attn == "on" else best.flash_attn,
    )


def _allocated(
    loaded: LoadedModel | None, spots: tuple[Spot, ...], settings: LoadSettings
) -> list[Use | None]:
    """Return what the loaded model holds on each spot and, last, in host memory."""
    nothing: list[Use | None] = [None] * (len(spots) + 1)
    if loaded is None or loaded.settings.model != settings.model:
        return nothing
    on_host = [use for use in loaded.devices if use.device.startswith("CPU")]
    on_cards = [use for use in loaded.devices if not use.device.startswith("CPU")]
    by_name = {use.device: use for use in on_cards}
    if all(spot.engine_name in by_name for spot in spots):
        found = [by_name[spot.engine_name] for spot in spots]
    elif len(on_cards) == len(spots):
        found = on_cards
    else:
        return [*nothing[:-1], _use(on_host[0]) if on_host else None]
    return [*map(_use, found), _use(on_host[0]) if on_host else None]


def _use(allocated: Allocated) -> Use:
    return Use(
        layers=allocated.layers or 0,
        output=False,
        weights_mib=allocated.weights_mib,
        kv_mib=allocated.kv_mib,
        compute_mib=allocated.compute_mib,
    )
