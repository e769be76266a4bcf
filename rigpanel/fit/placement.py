# SPDX-License-Identifier: MIT
"""Which device holds which layer and which tensor, by llama.cpp's rules (llama-model.cpp)."""

import bisect
import itertools
import struct
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from rigpanel.fit.architecture import Architecture
from rigpanel.fit.load_settings import SplitMode
from rigpanel.fit.tensor_split import Slices
from rigpanel.library.gguf_header import GgufHeader, TensorInfo

HOST, CARD = -1, 0
"""Stand for host memory and for any card where a device's number is given."""
INPUT = ("token_embd.weight", "position_embd", "token_types", "per_layer_token_embd")
"""Tensors that only look rows up: llama.cpp keeps them in host memory."""
EVERYWHERE = ("rope_freqs", "rope_factors_long", "rope_factors_short")
"""Small tensors that every device with layers gets a copy of."""
OUTPUT = ("output", "cls", "dense_", "dec.output_norm", "enc.output_norm", "altup_")
"""Beginnings of the names of what is with the output layer."""
ALIGNMENT, HOST_ALIGNMENT = 128, 32
"""Memory is given out in multiples of so many bytes: a card's (CUDA) and the host's."""
REORDERED = {2, 12, 20, 39}
"""Tensor types that llama.cpp reorders for a processor with AVX2 (repack.cpp)."""
ROW_STEP = 128
"""Split mode row gives each card a multiple of this many rows."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The device of each layer; the last is the output layer."""

    devices: tuple[int, ...]

    def by_device(self) -> dict[int, tuple[int, ...]]:
        """Return the repeating layers on each device that has some."""
        on: dict[int, list[int]] = {}
        for il, device in enumerate(self.devices[:-1]):
            on.setdefault(device, []).append(il)
        return {device: tuple(layers) for device, layers in on.items()}

    @property
    def output(self) -> int:
        """The device of the output layer."""
        return self.devices[-1]


def _single(value: float) -> float:
    """Return `value` in single precision."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def place_layers(n_layer: int, n_gpu_layers: int, shares: Sequence[float]) -> Placement:
    """Return where each layer goes when `shares` of the offloaded ones go to each device.

    The last `n_gpu_layers` of the layers and the output layer are offloaded; each device takes
    its part of them in order. Single precision as in llama.cpp, so that a layer on the border
    falls as it does there.
    """
    n_offloaded = min(max(n_gpu_layers, 0), n_layer + 1)
    if sum(map(_single, shares)) <= 0 or n_offloaded == 0:
        return Placement((HOST,) * (n_layer + 1))
    ends = [0.0]
    for share in shares:
        ends.append(_single(ends[-1] + _single(share)))
    reached = [_single(end / ends[-1]) for end in ends[1:]]
    on_devices = (
        min(bisect.bisect_right(reached, _single(il / n_offloaded)), len(shares) - 1)
        for il in range(n_offloaded)
    )
    return Placement((HOST,) * (n_layer + 1 - n_offloaded) + tuple(on_devices))


def split_name(name: str) -> tuple[int | None, str]:
    """Return the layer of a tensor (None for one of no layer) and its name without it."""
    if name.startswith("blk."):
        _, number, rest = (*name.split(".", 2), "", "")[:3]
        if number.isdigit():
            return int(number), rest
    return None, name


class Weights:
    """The tensors of a model, ready to be placed again and again."""

    def __init__(self, header: GgufHeader, arch: Architecture) -> None:
        self._header = header
        self._arch = arch
        self._of_layers: list[list[tuple[str, TensorInfo]]] = [[] for _ in arch.layers]
        self._everywhere: list[tuple[str, TensorInfo]] = []
        self._input: list[tuple[str, TensorInfo]] = []
        self._output: list[tuple[str, TensorInfo]] = []
        for tensor in header.tensors:
            il, name = split_name(tensor.name)
            self._list_for(il, name).append((name, tensor))
        if not any(name == "output.weight" for name, _ in self._output):
            self._output += [item for item in self._input if item[0] == "token_embd.weight"]
        self.shapes = tuple(
            {name: tensor.shape for name, tensor in listed} for listed in self._of_layers
        )
        # With the output layer on the host the input's own table is used for it too, unless it is
        # kept in another order.
        kept = [i for i in self._output if i not in self._input or _reordered(i[1])]
        self._on_host = tuple(_bytes_of(listed, HOST) for listed in (*self._of_layers, kept))
        self._uncut = tuple(
            _Parts(_bytes_of(listed, CARD), ()) for listed in (*self._of_layers, self._output)
        )
        self._kinds = numbered(
            (
                arch.layers[il],
                arch.n_ff[il],
                tuple((n, t.type, t.shape, t.n_bytes) for n, t in listed),
            )
            for il, listed in enumerate(self._of_layers)
        )
        self._cut: tuple[object, tuple[_Parts, ...]] = (None, ())
        """What was cut last, and by what: settings are asked for again and again."""
        self._largest = tuple(
            max((tensor.n_bytes for _, tensor in listed), default=0) for listed in self._of_layers
        )

    def _list_for(self, il: int | None, name: str) -> list[tuple[str, TensorInfo]]:
        if il is not None:
            # Layers that only guess ahead are not loaded.
            return self._of_layers[il] if il < self._arch.n_trunk else []
        if name.startswith(EVERYWHERE):
            return self._everywhere
        if name.startswith(INPUT):
            return self._input
        if name.startswith(OUTPUT) or not self._of_layers:
            return self._output
        return self._of_layers[0]

    def largest(self, layers: Sequence[int]) -> int:
        """Return the bytes of the largest tensor of some layers."""
        return max((self._largest[il] for il in layers), default=0)

    def by_device(
        self, placement: Placement, mode: SplitMode, shares: Sequence[float]
    ) -> dict[int, int]:
        """Return the bytes on each device and in host memory (`HOST`)."""
        total = dict.fromkeys(range(len(shares)), 0) | {HOST: _bytes_of(self._input, HOST)}
        layers = self._layers_in_parts(mode, tuple(shares))
        for place, device in enumerate(placement.devices):
            if device == HOST:
                total[HOST] += self._on_host[place]
                continue
            total[device] += layers[place].whole
            for index, size in enumerate(layers[place].cut):
                total[index] += size
        used = set(placement.devices[:-1])
        if mode is SplitMode.TENSOR and used != {HOST}:
            used |= set(range(len(shares)))
        for device in used:
            total[device] += _bytes_of(self._everywhere, device)
        return total

    def _layers_in_parts(self, mode: SplitMode, shares: tuple[float, ...]) -> "tuple[_Parts, ...]":
        """Return each layer, and the output layer as the last, as the split mode cuts it."""
        if mode not in {SplitMode.TENSOR, SplitMode.ROW}:
            return self._uncut
        if self._cut[0] != (mode, shares):
            tensor_mode = mode is SplitMode.TENSOR
            cutter = Slices(self._header, self._arch, shares) if tensor_mode else _Rows(shares)
            known: dict[tuple[int, int], _Parts] = {}
            parts = []
            for il, listed in enumerate(self._of_layers):
                key = (self._kinds[il], cutter.turn(il))
                if key not in known:
                    known[key] = _in_parts(listed, cutter, il)
                parts.append(known[key])
            parts.append(_in_parts(self._output, cutter, None))
            self._cut = ((mode, shares), tuple(parts))
        return self._cut[1]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The bytes of a layer on cards: what stays with its own, and what is cut for each."""

    whole: int
    cut: tuple[int, ...]


def _in_parts(
    listed: Sequence[tuple[str, TensorInfo]], cutter: "Slices | _Rows", il: int | None
) -> _Parts:
    whole, cut = 0, [0] * cutter.n_devices
    for name, tensor in listed:
        sizes = cutter.parts(tensor, name, il)
        if sizes is None:
            whole += _in_memory(tensor.n_bytes, CARD)
        else:
            for index, size in enumerate(sizes):
                cut[index] += _in_memory(size, CARD)
    return _Parts(whole, tuple(cut))


def numbered(things: Iterable[Hashable]) -> tuple[int, ...]:
    """Return a number for each thing that its equals share."""
    numbers: dict[Hashable, int] = {}
    return tuple(numbers.setdefault(thing, len(numbers)) for thing in things)


def _reordered(tensor: TensorInfo) -> bool:
    """Whether a matrix is kept in an order that the processor multiplies faster."""
    return tensor.type in REORDERED and len(tensor.shape) > 1 and tensor.shape[1] % 8 == 0


def _bytes_of(listed: Sequence[tuple[str, TensorInfo]], device: int) -> int:
    return sum(_in_memory(tensor.n_bytes, device) for _, tensor in listed)


def _in_memory(n_bytes: int, device: int) -> int:
    step = HOST_ALIGNMENT if device == HOST else ALIGNMENT
    return -(-n_bytes // step) * step


class _Rows:
    """Split mode row: matrices are cut into rows, all else stays with its layer."""

    def __init__(self, shares: Sequence[float]) -> None:
        self._shares = shares
        self.n_devices = len(shares)

    @staticmethod
    def turn(_il: int) -> int:
        """Return 0: the devices come in one order in all layers."""
        return 0

    def parts(self, tensor: TensorInfo, name: str, _il: int | None) -> list[int] | None:
        """Return the bytes of a matrix on each device; None for a tensor that is not cut."""
        if len(tensor.shape) != 2 or not name.endswith(".weight") or tensor.shape[1] < ROW_STEP:
            return None
        rows = tensor.shape[1]
        reached = list(itertools.accumulate(self._shares))
        ends = [0, *(int(rows * end / reached[-1]) for end in reached)]
        ends = [end - end % ROW_STEP for end in ends[:-1]] + [rows]
        line = tensor.n_bytes // rows
        return [(high - low) * line for low, high in itertools.pairwise(ends)]
