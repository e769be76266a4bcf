# SPDX-License-Identifier: MIT
"""Settings: one typed declaration makes the commented TOML file and the settings pane."""

import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import tomlkit
import tomlkit.exceptions

from rigpanel.errors import RigpanelError

T = TypeVar("T", bool, int, float, str)


class SettingsError(RigpanelError):
    """The settings file cannot be used or written; the text names the line or key and the mend."""


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting: where it stands in the file, what it may be, and a sentence for people."""

    key: str
    """`section.name` in the TOML file."""
    default: T
    label: str
    sentence: str
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    def check(self, value: object) -> T:
        """Return `value` as this setting's type, or raise SettingsError with what it may be."""
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise SettingsError(f"{self.key} = {value!r}: must be {self.allowed}")
        if self.choices and value not in self.choices:
            raise SettingsError(f"{self.key} = {value!r}: must be {self.allowed}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = self.minimum if self.minimum is not None else value
            high = self.maximum if self.maximum is not None else value
            if not low <= value <= high:
                raise SettingsError(f"{self.key} = {value!r}: must be {self.allowed}")
        return value

    @property
    def allowed(self) -> str:
        """What the value may be, in words."""
        if self.choices:
            return "one of " + ", ".join(f'"{choice}"' for choice in self.choices)
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, str):
            return "text"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        if self.minimum is not None and self.maximum is not None:
            kind += f" from {self.minimum:g} to {self.maximum:g}"
        return f"{kind} {self.unit}".strip()


THEME = Setting(
    "window.theme",
    "system",
    "Theme",
    "Colours of the window; `system` follows the desktop.",
    choices=("system", "dark", "light"),
)
KEEP_IN_TRAY = Setting(
    "window.keep_in_tray",
    True,
    "Closing keeps it in the tray",
    "Closing the window leaves rigpanel running in the tray, where there is one.",
)
INTERVAL_S = Setting(
    "watch.interval_s",
    1.0,
    "Sampling interval",
    "Time between two readings of the cards.",
    minimum=0.1,
    maximum=10.0,
    unit="s",
)
HOT_C = Setting(
    "alerts.hot_c",
    85.0,
    "Alert above",
    "A card hotter than this for the hold time raises an alert.",
    minimum=50.0,
    maximum=110.0,
    unit="°C",
)
COOL_C = Setting(
    "alerts.cool_c",
    82.0,
    "Clear below",
    "The alert clears when the card is cooler than this; must be below the alert.",
    minimum=40.0,
    maximum=109.0,
    unit="°C",
)
HOLD_S = Setting(
    "alerts.hold_s",
    3.0,
    "Hold time",
    "How long a card must be above before the alert is raised.",
    minimum=0.0,
    maximum=120.0,
    unit="s",
)
NOTIFY = Setting(
    "alerts.notify",
    True,
    "Desktop notifications",
    "Show alerts as desktop notifications, beside the window and the tray.",
)
ISOLATION = Setting(
    "engine.isolation",
    "process",
    "Run models in",
    "`process`: a crash of llama.cpp costs only the model. `thread`: inside the panel, for "
    "platforms where a child process is not wanted. Takes effect at the next start.",
    choices=("process", "thread"),
)
HANG_LIMIT_S = Setting(
    "engine.hang_limit_s",
    300.0,
    "Hang limit",
    "A load or reply without any sign of life for so long has its process ended, and that is told. "
    "Takes effect at the next start.",
    minimum=10.0,
    maximum=3600.0,
    unit="s",
)
MARGIN_MIB = Setting(
    "load.margin_mib",
    512.0,
    "Keep free on each card",
    "Memory that a model leaves free on each card: for the driver's own needs and for programs "
    "that come later.",
    minimum=0.0,
    maximum=16384.0,
    unit="MiB",
)
LIBRARY_FOLDERS = Setting(
    "library.folders",
    "",
    "Folders with models",
    "Folders that are looked through for models, beside those of other programs; several with : "
    "between them.",
)
LAST_MODEL = Setting("load.last_model", "", "Last model", "File the load pane opens with.")
RPC_SERVERS = Setting(
    "load.rpc_servers",
    "",
    "RPC servers",
    "Addresses of llama.cpp RPC servers whose devices the loader offers, `host:port`, with commas "
    "between. Their protocol has no authentication: loopback or a private network only.",
)

SETTINGS: tuple[Setting[Any], ...] = (
    THEME,
    KEEP_IN_TRAY,
    INTERVAL_S,
    HOT_C,
    COOL_C,
    HOLD_S,
    NOTIFY,
    ISOLATION,
    HANG_LIMIT_S,
    MARGIN_MIB,
    LIBRARY_FOLDERS,
    LAST_MODEL,
    RPC_SERVERS,
)


class SettingsStore:
    """The settings in force, read from a TOML file and written back with its comments kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        self._listeners: list[Callable[[], None]] = []
        self.problems: tuple[str, ...] = ()
        """What in the file could not be used, a sentence each; defaults stand in."""
        self._load()

    @property
    def path(self) -> Path:
        """The TOML file; it exists once a setting has been changed."""
        return self._path

    def get(self, setting: Setting[T]) -> T:
        """Return the value in force."""
        value: T = self._values.get(setting.key, setting.default)
        return value

    def set(self, setting: Setting[T], value: T) -> None:
        """Put a value in force and write the file; raises SettingsError and changes nothing."""
        checked = setting.check(value)
        before = dict(self._values)
        self._values[setting.key] = checked
        try:
            self._check_together()
            self._write(setting, checked)
        except SettingsError:
            self._values = before
            raise
        for listener in self._listeners:
            listener()

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change, on the thread that made it."""
        self._listeners.append(listener)

    def _check_together(self) -> None:
        if self.get(COOL_C) >= self.get(HOT_C):
            raise SettingsError(
                f"{COOL_C.key} must be below {HOT_C.key} ({self.get(HOT_C):g} °C), so that an "
                "alert does not flutter"
            )

    def _load(self) -> None:
        try:
            document = tomllib.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            self.problems = (
                (
                    f"Settings file {self._path} cannot be read ({error}); defaults are in force. "
                    "Mend or remove it."
                ),
            )
            return
        problems = []
        for setting, value in _values_in(document):
            try:
                self._values[setting.key] = setting.check(value)
            except SettingsError as error:
                problems.append(f"{self._path}: {error}; its default is in force.")
        try:
            self._check_together()
        except SettingsError as error:
            problems.append(f"{self._path}: {error}; the defaults of both are in force.")
            self._values.pop(COOL_C.key, None)
            self._values.pop(HOT_C.key, None)
        self.problems = tuple(problems)

    def _write(self, setting: Setting[Any], value: object) -> None:
        """Write one value; whatever else a person has changed in the file meanwhile stays."""
        try:
            document = tomlkit.parse(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            document = _new_document()
        except (OSError, UnicodeDecodeError, tomlkit.exceptions.TOMLKitError) as error:
            raise SettingsError(
                f"{self._path} cannot be read ({error}), so nothing was saved. Mend or remove it."
            ) from error
        section, name = setting.key.split(".")
        table: Any = document.setdefault(section, tomlkit.table())
        if not isinstance(table, dict):
            raise SettingsError(
                f"{self._path}: `{section}` must be a table of settings, so nothing was saved. "
                f"Remove the line that sets it."
            )
        table[name] = value
        try:
            write_atomically(self._path.resolve(), tomlkit.dumps(document))
        except OSError as error:
            raise SettingsError(
                f"{self._path} cannot be written ({error.strerror}), so nothing was saved."
            ) from error


def _values_in(document: dict[str, Any]) -> Iterator[tuple[Setting[Any], object]]:
    for setting in SETTINGS:
        section, name = setting.key.split(".")
        table = document.get(section)
        if isinstance(table, dict) and name in table:
            yield setting, table[name]


def _new_document() -> tomlkit.TOMLDocument:
    document = tomlkit.document()
    document.add(tomlkit.comment("Settings of rigpanel. Lines that start with # show defaults."))
    for setting in SETTINGS:
        section, name = setting.key.split(".")
        if section not in document:
            document.add(tomlkit.nl())
            document.add(section, tomlkit.table())
        table: Any = document[section]
        allowed = setting.allowed[0].upper() + setting.allowed[1:]
        table.add(tomlkit.comment(f"{setting.sentence} {allowed}."))
        table.add(tomlkit.comment(f"{name} = {tomlkit.item(setting.default).as_string()}"))
    return document


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by a whole new one, so that no reader and no power cut sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
