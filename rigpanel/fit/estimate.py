# SPDX-License-Identifier: MIT
"""The formula: where a model's memory goes, reckoned in milliseconds from its header."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rigpanel.errors import RigpanelError
from rigpanel.fit.architecture import Architecture, architecture_of
from rigpanel.fit.compute import Part, Pass, alike, compute_bytes
from rigpanel.fit.kv_cache import F32, cells, layer_bytes, widest_values
from rigpanel.fit.layer_graph import LAYER_NORM
from rigpanel.fit.load_settings import PROCESSOR, LoadSettings, Speculation, SplitMode
from rigpanel.fit.placement import HOST, Weights, numbered, place_layers
from rigpanel.fit.result import MIB, Device, DeviceUse, Fit, Use
from rigpanel.fit.tensor_split import UNSUPPORTED, Slices
from rigpanel.library.ggml_types import BLOCKS, KV_TYPES, QUANTIZED, row_bytes
from rigpanel.library.gguf_header import GgufHeader

INPUT_COPIES = 4
"""Of each input, when devices work one after another on several batches (GGML_SCHED_MAX_COPIES)."""
OFFLOADED_BATCH = 32
"""From this many tokens on a card also works on layers in host memory, a matrix at a time."""
SHARE_DIGITS = 3
"""Digits of a share by free memory."""
MOST_COMPUTED = 4096
"""Compute buffers remembered of one model."""


class FitError(RigpanelError):
    """Settings that llama.cpp would refuse for this model; the text says what to change."""


@contextlib.contextmanager
def _odd_tensors_told(header: GgufHeader) -> Iterator[None]:
    """Have a file refused whose tensors are not those of its architecture, or shaped otherwise."""
    try:
        yield
    except (LookupError, ArithmeticError) as error:
        raise FitError(
            f"{header.path} lacks tensors of a {header.arch} model, or has them in odd shapes, so "
            "it cannot be loaded. Choose another file."
        ) from error


@dataclass(frozen=True, slots=True)
class _Place:
    """One place that a model's parts go to."""

    index: int
    layers: tuple[int, ...]
    first: bool
    output: bool
    copies: int
    helps: bool
    """Whether it also works on matrices that lie in host memory."""


class Estimator:
    """The formula for one model, asked again and again as settings change.

    Raises FitError for a file that is no language model.
    """

    def __init__(self, header: GgufHeader) -> None:
        if header.arch == "clip":
            raise FitError(
                f"{header.path.name} is a projector (mmproj), not a language model. Choose the "
                "model it belongs to."
            )
        self._header = header
        with _odd_tensors_told(header):
            self._arch = architecture_of(header)
        if not self._arch.layers:
            raise FitError(
                f"{header.path} does not say how many layers it has, so it cannot be loaded. "
                "Choose another file."
            )
        self._weights = Weights(header, self._arch)
        names = {tensor.name for tensor in header.tensors}
        self._kinds = numbered(
            (layer, tuple(sorted(shapes.items())))
            for layer, shapes in zip(self._arch.layers, self._weights.shapes, strict=True)
        )
        self._computed: dict[tuple[object, Part], int] = {}
        """Compute buffers reckoned before: most cards of a rig have one alike."""
        self._layer_norm = "output_norm.bias" in names or header.arch in LAYER_NORM
        self._positions = "position_embd.weight" in names

    @property
    def architecture(self) -> Architecture:
        """The model's sizes."""
        return self._arch

    def resolve(self, settings: LoadSettings, devices: Sequence[Device]) -> LoadSettings:
        """Return the settings with everything named that llama.cpp would choose itself.

        Raises FitError where llama.cpp would refuse them.
        """
        flash = "on" if settings.flash_attn == "auto" else settings.flash_attn
        if self._header.arch == "grok":
            flash = "off"  # Whatever is asked for.
        self._check(replace(settings, flash_attn=flash), devices)
        n = len(self._arch.layers)
        layers = n + 1 if settings.n_gpu_layers < 0 else min(settings.n_gpu_layers, n + 1)
        return replace(
            settings,
            n_gpu_layers=layers if devices else 0,
            tensor_split=self._shares(settings, devices),
            flash_attn=flash,
        )

    def _shares(self, settings: LoadSettings, devices: Sequence[Device]) -> tuple[float, ...]:
        if settings.split_mode is SplitMode.NONE:
            return tuple(float(index == settings.main_gpu) for index in range(len(devices)))
        if any(settings.tensor_split):
            given = [float(share) for share in settings.tensor_split]
            return (*given, *[0.0] * (len(devices) - len(given)))
        return shares_by_memory(devices)

    def _check(self, settings: LoadSettings, devices: Sequence[Device]) -> None:
        if len(settings.tensor_split) > len(devices) > 0:
            raise FitError(
                f"tensor_split names {len(settings.tensor_split)} devices and there are "
                f"{len(devices)}. Give one share a device."
            )
        if settings.flash_attn == "off" and settings.type_v in QUANTIZED:
            raise FitError(
                f"A {settings.type_v} V cache needs flash attention; turn it on, or take f16 for V."
            )
        self._check_blocks("K", settings.type_k, {layer.head_k for layer in self._arch.layers})
        self._check_blocks("V", settings.type_v, {layer.head_v for layer in self._arch.layers})
        if self._arch.keys_only and settings.type_k != settings.type_v:
            raise FitError(
                f"{self._header.arch} keeps keys and values as one: type_k and type_v must be the "
                "same."
            )
        if settings.split_mode is not SplitMode.TENSOR:
            return
        if settings.flash_attn == "off":
            raise FitError("Split mode tensor needs flash attention; turn it on.")
        if self._header.arch in UNSUPPORTED:
            raise FitError(
                f"llama.cpp cannot split {self._header.arch} by tensors; take split mode layer."
            )

    @staticmethod
    def _check_blocks(what: str, kind: str, heads: Iterable[int]) -> None:
        """Refuse a cache in blocks that do not go into the length of a head."""
        block, _ = BLOCKS[KV_TYPES[kind]]
        odd = sorted(length for length in heads if length % block)
        if odd:
            raise FitError(
                f"A {kind} {what} cache comes in blocks of {block}, and a head of this model has "
                f"{odd[0]} numbers; take f16 for {what}."
            )

    def fit(self, settings: LoadSettings, devices: Sequence[Device]) -> Fit:
        """Return where everything goes; raises FitError for settings that cannot be loaded."""
        if settings.devices == (PROCESSOR,):
            devices = ()
        with _odd_tensors_told(self._header):
            return self._fit(self.resolve(settings, devices), devices)

    def _fit(self, full: LoadSettings, devices: Sequence[Device]) -> Fit:
        shares = full.tensor_split
        tensor_mode = full.split_mode is SplitMode.TENSOR
        placement = place_layers(
            len(self._arch.layers), full.n_gpu_layers, (1.0,) if tensor_mode else shares
        )
        weights = self._weights.by_device(placement, full.split_mode, shares)
        slices = Slices(self._header, self._arch, shares) if tensor_mode and devices else None
        copies = self._copies(full, devices)
        # In split mode none llama.cpp knows of no other card.
        helper = full.main_gpu if full.split_mode is SplitMode.NONE else 0
        layers = placement.by_device()
        uses = []
        for index, device in enumerate(devices):
            at = 0 if tensor_mode else index
            place = _Place(
                index=index,
                layers=layers.get(at, ()) if shares[index] > 0 else (),
                first=False,
                output=placement.output == at and shares[index] > 0,
                copies=copies,
                helps=index == helper and not device.lent,
            )
            use = self._use(full, layers, place, weights[index], slices)
            uses.append(DeviceUse(device, use))
        host_layers = layers.get(HOST, ())
        host = _Place(HOST, host_layers, True, placement.output == HOST, copies, helps=False)
        return Fit(full, tuple(uses), self._use(full, layers, host, weights[HOST], None))

    def _copies(self, settings: LoadSettings, devices: Sequence[Device]) -> int:
        pipelined = (
            len(devices) > 1
            and settings.split_mode is SplitMode.LAYER
            and settings.n_gpu_layers > len(self._arch.layers)
        )
        return INPUT_COPIES if pipelined else 1

    def _use(
        self,
        settings: LoadSettings,
        layers: Mapping[int, tuple[int, ...]],
        place: _Place,
        weights: int,
        slices: Slices | None,
    ) -> Use:
        """Return what goes to one place; `layers` are those on each device."""
        n_ubatch = min(settings.n_ubatch, settings.n_batch)
        n_outputs = settings.n_draft + 1 if settings.speculation is not Speculation.NONE else 1
        on_host = layers.get(HOST, ())
        compute = self._compute(settings, on_host, place, n_ubatch, n_outputs)
        if place.helps and on_host and n_ubatch >= OFFLOADED_BATCH:
            compute += self._weights.largest(on_host)
        if place.first:
            compute += self._arch.n_vocab * n_outputs * F32  # The logits as they are handed out.
        return Use(
            layers=len(place.layers),
            output=place.output,
            weights_mib=weights / MIB,
            kv_mib=self._kv(settings, place, slices, n_ubatch) / MIB,
            compute_mib=compute / MIB,
        )

    def _compute(
        self,
        settings: LoadSettings,
        on_host: Sequence[int],
        place: _Place,
        n_ubatch: int,
        n_outputs: int,
    ) -> int:
        """Return the compute buffer of one place, but for what a card needs to help the host."""
        arch, flash = self._arch, settings.flash_attn == "on"
        before = place.layers[0] - 1 if place.layers else HOST
        on = alike(self._kinds, place.layers)
        part = Part(
            on=on,
            inputs=alike(self._kinds, range(len(arch.layers))) if place.first else on,
            first=place.first,
            output=place.output,
            after=tuple(self._weights.shapes[before]) if before in on_host else (),
            copies=place.copies,
        )
        types = (settings.type_k, settings.type_v)
        key = ((settings.n_ctx, n_ubatch, n_outputs, flash, types), part)
        if key not in self._computed:
            if len(self._computed) >= MOST_COMPUTED:
                self._computed.clear()
            # Split by tensors, each card still has room for every result in its whole size.
            whole = Pass(
                arch=arch,
                name=self._header.arch,
                layers=self._weights.shapes,
                layer_norm=self._layer_norm,
                positions=self._positions,
                n_ctx=settings.n_ctx,
                n_ubatch=n_ubatch,
                flash=flash,
                types=types,
                n_outputs=n_outputs,
            )
            self._computed[key] = compute_bytes(whole, part)
        return self._computed[key]

    def _kv(
        self, settings: LoadSettings, place: _Place, slices: Slices | None, n_ubatch: int
    ) -> int:
        """Return the bytes that the layers of one place keep of a conversation."""
        types = (settings.type_k, settings.type_v)
        sliced = slices if place.index != HOST else None
        turn = (lambda _: 0) if sliced is None else sliced.turn
        total = 0
        for (kind, turned), count in Counter(
            (self._kinds[il], turn(il)) for il in place.layers
        ).items():
            layer = self._arch.layers[self._kinds.index(kind)]
            if sliced is not None:
                layer = sliced.layer(layer, turned, place.index)
            keys, values, state = layer_bytes(self._arch, layer, settings.n_ctx, n_ubatch, types)
            if values and settings.flash_attn == "off":
                n = cells(self._arch, layer, settings.n_ctx, n_ubatch)
                values = n * row_bytes(KV_TYPES[settings.type_v], widest_values(self._arch))
            total += count * (keys + values + state)
        return total


def shares_by_memory(devices: Sequence[Device]) -> tuple[float, ...]:
    """Return llama.cpp's own shares, by free memory, with that of the largest as 1."""
    free = [device.usable_mib for device in devices]
    most = max(free, default=0.0)
    if most <= 0:
        return (1.0,) * len(devices)
    return tuple(round(amount / most, SHARE_DIGITS) for amount in free)
