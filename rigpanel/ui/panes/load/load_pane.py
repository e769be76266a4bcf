# SPDX-License-Identifier: MIT
"""The load pane: choose a model and how it is laid over the cards, load it, see what it took."""

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QWidget,
)

from rigpanel import paths
from rigpanel.engine.devices import Device
from rigpanel.engine.messages import EngineState, EngineStatus, LoadedModel
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.profiles import ProfileStore
from rigpanel.library.gguf_header import GgufHeader
from rigpanel.rig.readings import RigSnapshot
from rigpanel.settings import (
    LAST_MODEL,
    MARGIN_MIB,
    RPC_SERVERS,
    Setting,
    SettingsError,
    SettingsStore,
)
from rigpanel.ui.bridges import EngineBridge, WatchBridge
from rigpanel.ui.panes.load.adapters import Adapters
from rigpanel.ui.panes.load.file_head import CHOOSE, READING, FileHead
from rigpanel.ui.panes.load.file_work import CheckAnswer, FileWork, HeaderAnswer
from rigpanel.ui.panes.load.laid_over import Ground, ground_of
from rigpanel.ui.panes.load.load_foot import LoadFoot
from rigpanel.ui.panes.load.load_form import LoadForm
from rigpanel.ui.panes.load.loaded_card import LoadedCard
from rigpanel.ui.panes.load.outside import Outside
from rigpanel.ui.panes.load.pages import Pages
from rigpanel.ui.panes.load.problem_card import ProblemCard
from rigpanel.ui.panes.load.profiles import ProfileRow
from rigpanel.ui.panes.load.refusal import Refusal
from rigpanel.ui.panes.load.rpc_address import split_list
from rigpanel.ui.theme import DARK, Theme
from rigpanel.ui.widgets import button, centred, column, local_files, named, scroll_area
from rigpanel.watch.tick import Tick

if TYPE_CHECKING:
    from rigpanel.ui.panes.load.picture import Picture

CHECK_AFTER_MS = 120
"""Settings are looked over once a person has come to rest."""
FORM_PX = 560
"""A form wider than this is harder to read, not easier."""
MARGIN_PX = 16


class LoadPane(QWidget):
    """The file on top, the form below, the button always in view; errors stay until read."""

    fold_requested = Signal()

    def __init__(
        self,
        settings: SettingsStore,
        watch: WatchBridge,
        engine: EngineBridge,
        profiles: ProfileStore | None = None,
        theme: Theme = DARK,
        outside: Outside | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._engine = engine
        self._header: GgufHeader | None = None
        self._refusal: Refusal | None = None
        self._tried: LoadSettings | None = None
        self._theme = theme
        self._outside = outside or Outside()
        self._snapshot: RigSnapshot | None = None
        self.picture: Picture | None = None
        """Where the load goes; made when there is a model to show."""
        self._files = FileWork(self)
        self._rest = QTimer(self, singleShot=True, interval=CHECK_AFTER_MS)
        self.profiles = None if profiles is None else ProfileRow(profiles)
        self.setAcceptDrops(True)
        self._build()
        self._connect(watch)
        self.form.devices.set_servers(split_list(settings.get(RPC_SERVERS)))
        last = settings.get(LAST_MODEL)
        if last and Path(last).exists():
            self.set_model_path(last)
        self._enable()

    @Slot(str)
    def set_model_path(self, path: str) -> None:
        """Choose a file; its header is read at once."""
        self.file.path.setText(path)
        self._read_header()

    def load_settings(self) -> LoadSettings:
        """Return the settings as they stand in the pane."""
        return self.form.settings(self.file.chosen)

    @Slot()
    def choose_file(self) -> None:
        """Open the file chooser."""
        self.file.choose()

    @Slot()
    def open_library(self) -> None:
        """Show the models on this machine in the loader's place."""
        self.pages.open_library(self._theme)

    @Slot()
    def load(self) -> None:
        """Load what is chosen, or show why it would be refused."""
        if self._refusal is not None:
            self._go_to_refusal()
        elif self.foot.load_button.isEnabled():
            self.problem.show_problem("")
            self.foot.load_button.setEnabled(False)  # until the engine has said what it does
            self._tried = self.load_settings()
            self._engine.load(self._tried)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files of this machine."""
        if local_files(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Choose the file that was dropped; an adapter for the chosen model goes to the others."""
        files = local_files(event.mimeData())
        if files:
            event.acceptProposedAction()
        for file in files if self._header is not None else files[:1]:
            self._files.read_dropped(file)

    def _build(self) -> None:
        self._inside = QWidget()
        self._rows = rows = column(spacing=8)
        self._inside.setLayout(rows)
        self.file = FileHead()
        self.file.library_button.setVisible(self._outside.places is not None)
        rows.addWidget(self.file)
        self.problem = ProblemCard()
        rows.addWidget(self.problem)
        self.loaded = LoadedCard()
        rows.addWidget(self.loaded)
        rows.addSpacing(4)
        self._picture_row = rows.count()
        if self.profiles is not None:
            rows.addWidget(self.profiles)
            rows.addSpacing(4)
        self.form = LoadForm()
        rows.addWidget(self.form)
        rows.addStretch(1)
        self.foot = LoadFoot()
        whole = column(spacing=4)
        loader = QWidget()
        loader.setLayout(whole)
        self.pages = Pages(loader, self._settings, self._outside, self._rig)
        self.pages.chosen.connect(self.set_model_path)
        self.pages.closed.connect(self.file.path.setFocus)
        outer = column()
        self.setLayout(outer)
        outer.addWidget(self.pages)
        whole.addWidget(centred(self._head(), FORM_PX))
        self._area = scroll_area(self._inside)
        self._area.verticalScrollBar().rangeChanged.connect(self._make_room)
        self._make_room()
        whole.addWidget(self._area, 1)
        whole.addWidget(centred(self.foot, FORM_PX))
        keys = QShortcut(QKeySequence("Ctrl+Return"), self)
        keys.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        keys.activated.connect(self.load)
        self.setMinimumWidth(288)

    def _connect(self, watch: WatchBridge) -> None:
        self.file.settled.connect(self._read_header)
        self.file.library_requested.connect(self.open_library)
        self.file.demo_requested.connect(self._make_demo)
        self._files.header_read.connect(self._take_header)
        self._files.drop_read.connect(self._take_drop)
        self._files.demo_made.connect(self._take_demo)
        self._files.checked.connect(self._take_check)
        engine = self._engine
        engine.status_changed.connect(self._take_status)
        engine.load_progressed.connect(self.foot.take_progress)
        self.foot.load_requested.connect(self.load)
        self.foot.cancel_requested.connect(engine.cancel)
        self.foot.unload_requested.connect(engine.unload)
        self.foot.refusal_requested.connect(self._go_to_refusal)
        engine.model_loaded.connect(self._take_model)
        engine.load_failed.connect(self._take_failure)
        engine.load_cancelled.connect(self._take_cancelled)
        engine.devices_listed.connect(self._take_devices)
        engine.devices_failed.connect(self.form.devices.take_failure)
        watch.tick_ready.connect(self._take_tick)
        self._rest.timeout.connect(self._check)
        self.form.changed.connect(self._rest.start)
        self.form.changed.connect(self._reckon)
        self.form.devices.listing_requested.connect(engine.list_devices)
        self.form.devices.servers_changed.connect(self._keep_servers)
        if self.profiles is not None:
            self.profiles.chosen.connect(self.form.take)
            self.profiles.save_requested.connect(self._save_profile)

    def _head(self) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setContentsMargins(16, 10, 8, 0)
        head.addWidget(named(QLabel("Model"), "title"))
        head.addStretch(1)
        self.fold = button("«", "fold", "Fold the loader away (Ctrl+B)")
        self.fold.setAccessibleName("Fold the loader away")
        self.fold.setFixedSize(28, 28)
        self.fold.clicked.connect(self.fold_requested)
        head.addWidget(self.fold)
        return head

    @Slot()
    def _make_room(self) -> None:
        """Have the scroll bar take its width from the margin: all stays in line with the button."""
        bar = self._area.verticalScrollBar()
        taken = bar.sizeHint().width() if bar.maximum() > 0 else 0
        self._inside.setMaximumWidth(FORM_PX - taken)
        self._rows.setContentsMargins(MARGIN_PX, 4, MARGIN_PX - taken, MARGIN_PX)

    @Slot()
    def _read_header(self) -> None:
        self._header = self._refusal = None
        self._show_picture(shown=False)
        self.problem.show_problem("")
        if not self.file.path.text().strip():
            self.file.show_none(CHOOSE)
            self._enable()
            return
        self.file.show_none(READING)
        self._enable()
        self._files.read(self.file.chosen)

    @Slot(object)
    def _take_header(self, answer: HeaderAnswer) -> None:
        header = answer.header
        if answer.path != self.file.chosen:
            return  # Another file was chosen meanwhile.
        if isinstance(header, str):
            self.file.show_none(CHOOSE)
            self.problem.show_problem(header)
            self._take_limits(None)
            return
        self.problem.show_problem("")
        self.file.show_header(header)
        self._take_limits(header)
        self._keep(LAST_MODEL, str(answer.path))

    def _take_limits(self, header: GgufHeader | None) -> None:
        self._header = header
        self._refusal = None
        self.form.refuse(None)
        self.form.set_header(header)
        if self.profiles is not None:
            self.profiles.set_model(None if header is None else self.file.chosen)
        if header is not None and self.form.devices.servers and not self.form.devices.asked:
            self.form.devices.ask()
        self._show_picture(shown=header is not None)
        self._reckon()
        self._enable()

    def set_theme(self, theme: Theme) -> None:
        """Draw in another theme's colours."""
        self._theme = theme
        self.pages.set_theme(theme)
        if self.picture is not None:
            self.picture.set_theme(theme)

    @Slot()
    def _reckon(self) -> None:
        """Have the picture follow the settings."""
        if self._header is None or self._snapshot is None:
            return
        if self.picture is None:
            self.picture = self._make_picture()
        settings = self.load_settings()
        self.picture.show_load(self._header, settings, self._ground(self._snapshot, settings))

    def _make_picture(self) -> "Picture":
        from rigpanel.ui.panes.load.picture import Picture

        picture = Picture(self._theme, self._outside.dry_run)
        picture.recommended.connect(self.form.take)
        picture.divided.connect(self.form.split.set_shares)
        picture.show_loaded(self._engine.status.model)
        self._rows.insertWidget(self._picture_row, picture)
        self._rows.insertWidget(self._rows.count() - 1, picture.commands)  # above the stretch
        self.foot.add(picture.verdict)
        return picture

    def _show_picture(self, *, shown: bool) -> None:
        if self.picture is not None:
            for part in (self.picture, self.picture.verdict, self.picture.commands):
                part.setVisible(shown)

    def _ground(self, snapshot: RigSnapshot, settings: LoadSettings) -> Ground:
        pid = self._engine.pid
        return ground_of(
            snapshot,
            settings,
            self.form.devices.listed,
            self._settings.get(MARGIN_MIB),
            () if pid is None else (pid,),
        )

    def _rig(self) -> tuple[int, Ground] | None:
        if self._snapshot is None:
            return None
        settings = self.load_settings()
        return settings.n_ctx, self._ground(self._snapshot, settings)

    @Slot(object)
    def _take_drop(self, answer: HeaderAnswer) -> None:
        if isinstance(answer.header, GgufHeader) and self._is_adapter(answer.header):
            self.form.folds[Adapters].open()
            self.form.adapters.add_file(answer.path)
            return
        self.set_model_path(str(answer.path))

    def _is_adapter(self, header: GgufHeader) -> bool:
        """Whether a file has neither layers nor vocabulary, and is made for the chosen model."""
        bare = header.n_layer == 0 and header.n_vocab == 0
        return bare and self._header is not None and self._header.arch == header.arch

    def _keep(self, setting: Setting[str], value: str) -> None:
        try:
            self._settings.set(setting, value)
        except SettingsError as error:
            self.problem.show_problem(str(error))

    @Slot(object)
    def _keep_servers(self, servers: tuple[str, ...]) -> None:
        self._keep(RPC_SERVERS, ", ".join(servers))

    @Slot(str)
    def _save_profile(self, name: str) -> None:
        if self.profiles is not None:
            self.profiles.save(name, self.load_settings())

    @Slot()
    def _check(self) -> None:
        if self._header is not None:
            self._files.check(self.load_settings(), self._header, self.form.devices.listed)

    @Slot(object)
    def _take_check(self, answer: CheckAnswer) -> None:
        if self._header is None or answer.settings != self.load_settings():
            return  # Something was changed meanwhile; that is looked over in its turn.
        self._refusal = answer.refusal
        self.form.refuse(answer.refusal)
        self._enable()

    @Slot()
    def _go_to_refusal(self) -> None:
        row = None if self._refusal is None else self.form.field(self._refusal.field)
        if self._refusal is not None and row is None:
            self.problem.show_problem(self._refusal.sentence)
            self._area.ensureWidgetVisible(self.problem)
        elif row is not None:
            self._area.ensureWidgetVisible(row)
            row.editor.setFocus()

    @Slot(object)
    def _take_devices(self, devices: tuple[Device, ...]) -> None:
        self.form.devices.take_listed(devices)

    @Slot()
    def _make_demo(self) -> None:
        self.file.demo_button.setEnabled(False)
        self._files.make_demo(paths.data_dir() / "models" / "rigpanel-demo-random-weights.gguf")

    @Slot(object)
    def _take_demo(self, made: Path | str) -> None:
        self.file.demo_button.setEnabled(True)
        if isinstance(made, str):
            self.problem.show_problem(made)
        else:
            self.set_model_path(str(made))

    @Slot(object)
    def _take_tick(self, tick: Tick) -> None:
        self._snapshot = tick.snapshot
        self.form.set_cards(tick.snapshot.cards)
        self._reckon()

    @Slot(object)
    def _take_status(self, status: EngineStatus) -> None:
        if status.state is EngineState.LOADING and self.foot.progress.isHidden():
            self.foot.progress.setValue(0)
            self.problem.show_problem("")
        self.foot.progress.setVisible(status.state is EngineState.LOADING)
        if status.model is None:
            self.loaded.hide()
        if self.picture is not None:
            self.picture.show_loaded(status.model)
        if status.problem is not None:
            tried = status.settings or self._tried
            self.problem.show_problem(status.problem, tried, status.log_tail)
        self._enable()

    @Slot(object)
    def _take_model(self, model: LoadedModel) -> None:
        self.problem.show_problem("")
        self.loaded.show_model(model)
        if self.profiles is not None:
            self.profiles.remember(model.settings)

    @Slot(str)
    def _take_failure(self, sentence: str) -> None:
        if sentence != self.problem.sentence.text():  # A death has been told with its log.
            self.problem.show_problem(sentence, self._tried)
        self._enable()

    @Slot()
    def _take_cancelled(self) -> None:
        self.problem.show_problem("The load was cancelled; nothing is in memory.")
        self._enable()

    def _enable(self) -> None:
        self.foot.follow(
            self._engine.status.state,
            allowed=self._header is not None and self._refusal is None,
            refused=self._refusal is not None,
        )
