# SPDX-License-Identifier: MIT
"""What llama.cpp logs: the last lines, and what it reports of devices while loading."""

import contextlib
import copy
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from rigpanel.engine.messages import DeviceUse

_BUFFER = re.compile(
    r":\s+(\S+)\s+(model|KV|RS|compute|output|LoRA) buffer size\s*=\s*(\d+(?:\.\d+)?) MiB"
)
_LAYER = re.compile(r"layer\s+(\d+) assigned to device (\S+?),")
_META = re.compile(r"Meta\(.*\)")
"""The one device that tensor split makes of several; told is the largest of their parts."""
_REASON = "error loading model: "
_FAILURE = re.compile(r"error|fail|unable|cannot|requires|does not|not supported", re.IGNORECASE)
_EMPTY = re.compile(r"failed to load model( from .*)?$|failed to initialize the context$")
"""Says that it failed, and not why."""
_FUNCTION = re.compile(r"^[\w:~]+: +")
_PART = {"model": 0, "LoRA": 0, "KV": 1, "RS": 1, "compute": 2, "output": 2}
_NOTES = (
    (
        re.compile(r"failed to mlock"),
        (
            "The model could not be locked in memory: this user may lock less than it needs "
            "(`ulimit -l`). It runs, and may be swapped out."
        ),
    ),
    (
        re.compile(r"n_ctx_seq \((\d+)\) > n_ctx_train \((\d+)\)"),
        (
            "The context of {0} tokens is longer than the {1} the model was trained for; past "
            "those its replies may get worse. RoPE scaling helps."
        ),
    ),
    (
        re.compile(r"Meta\(.*\) model buffer size"),
        (
            "Split mode tensor: llama.cpp tells the memory of the device with the largest share "
            "only; that of the others is reckoned from their shares."
        ),
    ),
)


class LlamaLog:
    """Collects lines; safe to feed with anything llama.cpp may print."""

    def __init__(self, keep: int = 200) -> None:
        self.lines: deque[str] = deque(maxlen=keep)
        self.echo: Callable[[str], None] | None = None
        """Given each whole line too."""
        self._partial = ""
        self._errors: list[str] = []
        self._notes: dict[str, None] = {}
        self._sizes: dict[str, list[float]] = {}
        self.layers: dict[int, str] = {}
        """The device of each layer since the last load began; the last is the output layer."""
        self._buffer_names: Mapping[str, str] = {}
        self._split: Mapping[str, float] = {}

    def feed(self, text: str, *, is_error: bool = False) -> None:
        """Take a piece of the log, which may be part of a line."""
        *whole, self._partial = (self._partial + text).split("\n")
        for line in whole:
            self.lines.append(line)
            if self.echo is not None:
                self.echo(line)
            if is_error and line.strip():
                self._errors.append(line.strip())
            self._take_size(line)
            self._take_note(line)

    def feed_layer(self, line: str) -> None:
        """Take a line that says on which device a layer is; the line itself is not kept."""
        if found := _LAYER.search(line):
            self.layers[int(found[1])] = found[2]

    def _take_size(self, line: str) -> None:
        if found := _BUFFER.search(line):
            device = self._buffer_names.get(found[1], found[1])
            device = device.removesuffix("_Mapped").removesuffix("_REPACK")
            device = "CPU" if device.endswith("_Host") else device
            self._sizes.setdefault(device, [0.0, 0.0, 0.0])[_PART[found[2]]] += float(found[3])

    def _take_note(self, line: str) -> None:
        for pattern, sentence in _NOTES:
            if found := pattern.search(line):
                self._notes[sentence.format(*found.groups())] = None

    def begin_load(self) -> None:
        """Start anew, so that an earlier load's sizes and errors are not told of this one."""
        self._sizes.clear()
        self.layers.clear()
        self._errors.clear()
        self._notes.clear()
        self.lines.clear()
        self._buffer_names, self._split = {}, {}

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Take what comes meanwhile for its reasons only: it leaves no trace in what is told."""
        kept = copy.deepcopy((self.lines, self._errors, self._notes, self._sizes, self.layers))
        try:
            yield
        finally:
            self.lines, self._errors, self._notes, self._sizes, self.layers = kept

    def names_devices(self, buffer_names: Mapping[str, str], split: Mapping[str, float]) -> None:
        """Be told whose buffers bear another name, and each device's share of a tensor split."""
        self._buffer_names, self._split = buffer_names, split

    def devices(self) -> tuple[DeviceUse, ...]:
        """Return the memory reported for each device since the last load began, MiB."""
        uses: list[DeviceUse] = []
        for name, (weights, kv, compute) in sorted(self._sizes.items()):
            layers = list(self.layers.values()).count(name) if self.layers else None
            if _META.fullmatch(name):
                largest = max(self._split.values(), default=1.0)
                uses += [
                    DeviceUse(each, weights * part / largest, kv * part / largest, compute, layers)
                    for each, part in self._split.items()
                ]
            else:
                uses.append(DeviceUse(name, weights, kv, compute, layers))
        return tuple(uses)

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of this load though it went well."""
        return tuple(self._notes)

    def last_error(self) -> str | None:
        """Return why llama.cpp failed, as far as its log since the load began tells."""
        lines = [line.strip() for line in reversed(self.lines)]
        told = [line.split(_REASON, 1)[1] for line in lines if _REASON in line]
        told += [line for line in self._errors if _REASON not in line]
        told += [line for line in lines if _FAILURE.search(line)]
        reasons = [_FUNCTION.sub("", line) for line in told]
        return next((reason for reason in reasons if not _EMPTY.search(reason)), None)
