# SPDX-License-Identifier: MIT
"""The devices a model may use: this machine's, and those that RPC servers lend."""

import dataclasses

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QLineEdit, QWidget

from rigpanel.engine.devices import HOLDERS, Device, DeviceKind
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.rig.readings import GpuSample
from rigpanel.ui import words
from rigpanel.ui.panes.load.field_row import FieldRow, SettingsGroup, remove_button
from rigpanel.ui.panes.load.rpc_address import address_problem, is_public
from rigpanel.ui.panes.load.split import Target
from rigpanel.ui.widgets import ElidedLabel, button, column, label, named

NO_CARD = "No card here: models run on the CPU."
NONE_SEEN = "llama.cpp sees no card here: models run on the CPU."
NONE_CHOSEN = "No device is chosen: everything runs on the CPU."
ASKING = "Asking llama.cpp …"
NOT_ASKED = "llama.cpp uses every device it finds."
OPEN_TO_ALL = (
    "llama.cpp's RPC has no authentication and no encryption: only on this machine or in a private "
    "network."
)
PUBLIC = "A public address: whoever is on the way can read and change everything."


class Devices(SettingsGroup):
    """A checkbox a device with its memory; below, the servers that lend more of them."""

    KEYS = ("devices", "rpc_servers")

    listing_requested = Signal(object)
    """The addresses of the RPC servers to ask beside this machine; a tuple of `host:port`."""
    servers_changed = Signal(object)
    """A person added or removed one; the addresses as they are now."""

    def __init__(self) -> None:
        super().__init__(spacing=8)
        self._cards: tuple[GpuSample, ...] = ()
        self._listed: tuple[Device, ...] | None = None
        self._wanted: tuple[str, ...] | None = None
        """Names of the devices to use; None is all of them."""
        self._servers: tuple[str, ...] = ()
        self.boxes: dict[str, QCheckBox] = {}
        """The checkbox of each device, by llama.cpp's name of it."""
        self._rows = self._part()
        self.add("devices", FieldRow("Use", self._rows, NOT_ASKED, "devices", wide=True))
        self.again = button("Ask llama.cpp again", "link", "List the devices anew")
        self.again.clicked.connect(self.ask)
        self.rows.addWidget(self.again, 0, Qt.AlignmentFlag.AlignLeft)
        self._server_rows = self._part()
        servers = FieldRow("RPC servers", self._server_rows, OPEN_TO_ALL, "rpc", wide=True)
        self.add("rpc_servers", servers)
        self.use_servers = QCheckBox("Use what they lend")
        self.use_servers.setChecked(True)
        self.use_servers.setToolTip("Off: only this machine's devices")
        self.use_servers.toggled.connect(self._switch_servers)
        self.rows.addWidget(self.use_servers)
        line = QHBoxLayout()
        line.setSpacing(8)
        self.address = QLineEdit(placeholderText="host:port")
        self.address.setAccessibleName("Address of an RPC server")
        self.address.setToolTip("Where `rigpanel lend-devices` or llama.cpp's rpc-server listens")
        self.address.returnPressed.connect(self._add_server)
        self.add_button = button("Add", "", "Use the devices of this server too")
        self.add_button.clicked.connect(self._add_server)
        line.addWidget(self.address, 1)
        line.addWidget(self.add_button)
        self.rows.addLayout(line)
        self.problem = label("", "error")
        self.problem.hide()
        self.rows.addWidget(self.problem)
        self._show_servers()

    @property
    def asked(self) -> bool:
        """Whether llama.cpp has told its devices."""
        return self._listed is not None

    @property
    def listed(self) -> tuple[Device, ...]:
        """What llama.cpp says there is of this machine and the servers in use; empty before."""
        servers = self.servers
        return tuple(
            one
            for one in self._listed or ()
            if one.kind is not DeviceKind.RPC or one.address in servers
        )

    @property
    def servers(self) -> tuple[str, ...]:
        """The RPC servers in use."""
        return self._servers if self.use_servers.isChecked() else ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """What can have a share of the model, in the order llama.cpp fills it."""
        if self._listed is None:
            return tuple(Target(f"GPU {gpu.index}", gpu.label) for gpu in self._cards)
        return tuple(
            Target(device.name, f"{device.name} · {_place(device)}") for device in self._chosen
        )

    @property
    def why_none(self) -> str:
        """Why there is nothing to put layers on, where there is nothing."""
        if self._listed is None:
            return NO_CARD
        return NONE_CHOSEN if self._choosable else NONE_SEEN

    def set_cards(self, cards: tuple[GpuSample, ...]) -> None:
        """Take the cards the driver knows; they stand in until llama.cpp has told its devices."""
        before = [gpu.uuid for gpu in self._cards]
        self._cards = cards
        if [gpu.uuid for gpu in cards] != before:
            self.changed.emit()

    def set_servers(self, servers: tuple[str, ...]) -> None:
        """Take the RPC servers known from before."""
        self._servers = servers
        self._show_servers()

    @Slot()
    def ask(self) -> None:
        """Have llama.cpp asked for its devices."""
        self.fields["devices"].say(ASKING)
        self._tell("")
        self.listing_requested.emit(self.servers)

    def take_listed(self, devices: tuple[Device, ...]) -> None:
        """Show what llama.cpp says there is."""
        self._listed = devices
        self._show_devices()
        self.changed.emit()

    def take_failure(self, sentence: str) -> None:
        """Say why llama.cpp could not tell."""
        self._say_devices()
        self._tell(sentence)

    def apply(self, settings: LoadSettings) -> LoadSettings:
        """Return `settings` with the devices.

        With a server in use they are all named, in the order that shares are given in; and all
        servers are, because llama.cpp numbers their devices through.
        """
        if self._listed is None:
            return dataclasses.replace(
                settings, devices=self._wanted or (), rpc_servers=self.servers
            )
        chosen = self._chosen
        lent = any(device.kind is DeviceKind.RPC for device in chosen)
        named_ones = lent or len(chosen) < len(self._choosable)
        return dataclasses.replace(
            settings,
            devices=tuple(device.name for device in chosen) if named_ones else (),
            rpc_servers=self.servers if lent else (),
            n_gpu_layers=settings.n_gpu_layers if chosen or not self._choosable else 0,
        )

    def take(self, settings: LoadSettings) -> None:
        """Show the devices of `settings`; servers that are new are added."""
        known = tuple(one for one in self._servers if one not in settings.rpc_servers)
        more = settings.rpc_servers + known
        used = bool(settings.rpc_servers) or not self._servers
        ask = (more, used) != (self._servers, self.use_servers.isChecked())
        self._servers = more
        with QSignalBlocker(self.use_servers):
            self.use_servers.setChecked(used)
        self._wanted = settings.devices or None
        self._show_servers()
        self._show_devices()
        self.changed.emit()
        if (ask and (self.servers or self.asked)) or (settings.devices and not self.asked):
            self.ask()

    def summary(self) -> str:
        """Return how many of the devices are used."""
        if self._listed is None:
            count = len(self._cards)
            if count == 0:
                return "CPU"
            return "1 card" if count == 1 else f"{count} cards"
        chosen, all_of_them = len(self._chosen), len(self._choosable)
        if all_of_them == 0:
            return "CPU"
        if chosen < all_of_them:
            return f"{chosen} of {all_of_them} devices"
        return "1 device" if chosen == 1 else f"{chosen} devices"

    @property
    def _choosable(self) -> tuple[Device, ...]:
        """What can hold layers; lent ones first, as llama.cpp has it."""
        usable = [one for one in self._listed or () if one.kind in HOLDERS]
        return tuple(sorted(usable, key=lambda one: one.kind is not DeviceKind.RPC))

    @property
    def _chosen(self) -> tuple[Device, ...]:
        wanted = self._wanted
        return tuple(one for one in self._choosable if wanted is None or one.name in wanted)

    def _part(self) -> QWidget:
        part = QWidget()
        part.setLayout(column(spacing=6))
        return part

    def _show_devices(self) -> None:
        _empty(self._rows)
        self.boxes = {}
        held = self._rows.layout()
        if self._listed is None or held is None:
            return
        self.again.setText("Ask llama.cpp again")
        chosen = self._chosen
        for device in self._choosable:
            box = QCheckBox(device.name)
            box.setChecked(device in chosen)
            box.setAccessibleName(f"Use {device.name}, {_place(device)}, {_memory(device)}")
            box.setToolTip(f"{device.name}: {device.description}\n{device.address}".strip())
            box.toggled.connect(self._choose)
            self.boxes[device.name] = box
            line = QHBoxLayout()
            line.addWidget(box, 1)
            line.addWidget(named(QLabel(_memory(device)), "muted"))
            place = named(ElidedLabel(), "muted")
            place.setText(_place(device))
            place.setToolTip(_place(device))
            place.setContentsMargins(24, 0, 0, 0)
            whole = QWidget()
            stack = column(spacing=0)
            whole.setLayout(stack)
            stack.addLayout(line)
            stack.addWidget(place)
            held.addWidget(whole)
        self.order_tabs()
        self._say_devices()

    def _say_devices(self) -> None:
        missing = [name for name in self._wanted or () if name not in self.boxes]
        if self._listed is None:
            sentence = NOT_ASKED
        elif missing:
            sentence = f"Not there now: {', '.join(missing)}."
        elif self._chosen:
            sentence = "Free memory of all; what is not put on them stays on the CPU."
        else:
            sentence = self.why_none
        self.fields["devices"].say(sentence)

    def _tell(self, problem: str) -> None:
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))

    def _show_servers(self) -> None:
        _empty(self._server_rows)
        held = self._server_rows.layout()
        for server in self._servers:
            row = QHBoxLayout()
            row.setSpacing(6)
            name = ElidedLabel()
            name.setText(server)
            name.setToolTip(server)
            row.addWidget(name, 1)
            remove = remove_button(f"Remove {server}")
            remove.setProperty("server", server)
            remove.clicked.connect(self._remove_server)
            row.addWidget(remove)
            whole = QWidget()
            stack = column(spacing=2)
            whole.setLayout(stack)
            stack.addLayout(row)
            if is_public(server):
                stack.addWidget(label(PUBLIC, "error"))
            if held is not None:
                held.addWidget(whole)
        self.order_tabs()
        self.use_servers.setVisible(bool(self._servers))

    @Slot()
    def _choose(self) -> None:
        names = tuple(name for name, box in self.boxes.items() if box.isChecked())
        self._wanted = None if len(names) == len(self.boxes) else names
        self._say_devices()
        self.changed.emit()

    @Slot()
    def _switch_servers(self) -> None:
        self.changed.emit()
        self.ask()

    @Slot()
    def _add_server(self) -> None:
        server = self.address.text().strip()
        problem = address_problem(server)
        if server in self._servers:
            problem = f"{server} is there already."
        self._tell(problem)
        if not problem:
            self.address.clear()
            with QSignalBlocker(self.use_servers):
                self.use_servers.setChecked(True)
            self._change_servers((*self._servers, server))

    @Slot()
    def _remove_server(self) -> None:
        sender = self.sender()
        if sender is not None:
            gone = sender.property("server")
            self.address.setFocus()
            self._change_servers(tuple(one for one in self._servers if one != gone))

    def _change_servers(self, servers: tuple[str, ...]) -> None:
        self._wanted = None  # llama.cpp numbers lent devices anew
        self._servers = servers
        self._show_servers()
        self.servers_changed.emit(servers)
        self.changed.emit()
        self.ask()


def _memory(device: Device) -> str:
    """Return free of all memory."""
    return f"{device.free_mib / 1024:.1f} of {words.gib(device.total_mib)}"


def _place(device: Device) -> str:
    """Return where a lent device stands, and what an own one is."""
    if device.kind is DeviceKind.RPC:
        return device.address
    return device.description.removeprefix("NVIDIA ").removeprefix("GeForce ")


def _empty(part: QWidget) -> None:
    for old in part.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
        old.hide()
        old.setParent(None)
        old.deleteLater()
