# SPDX-License-Identifier: MIT
"""Recommended settings, with the reasons in words; never any that do not fit by these figures."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rigpanel.fit.estimate import Estimator, FitError, shares_by_memory
from rigpanel.fit.load_settings import PROCESSOR, LoadSettings, SplitMode
from rigpanel.fit.result import Device, Fit, Use
from rigpanel.fit.tensor_split import UNSUPPORTED
from rigpanel.library.ggml_types import QUANTIZED
from rigpanel.library.gguf_header import GgufHeader

SMALLER_CACHE = "q8_0"
SMALLEST_CTX = 1024
CTX_STEP = 256
ALL_FIT = "All layers fit on the cards."
WHY_TENSOR = (
    "NVLink joins the cards, so split mode tensor lets them work on each layer together; llama.cpp "
    "calls it experimental, and split mode layer is the safe choice."
)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Settings, where everything goes with them, and why."""

    fit: Fit
    why: tuple[str, ...]

    @property
    def settings(self) -> LoadSettings:
        """The settings, given in full."""
        return self.fit.settings


def recommend(
    header: GgufHeader,
    asked: LoadSettings,
    devices: Sequence[Device],
    host_free_mib: float | None = None,
    estimator: Estimator | None = None,
) -> Recommendation | None:
    """Return the best settings that fit, for the context asked for if at all possible.

    None where nothing fits, not even in host memory.
    """
    estimator = estimator or Estimator(header)
    if asked.devices == (PROCESSOR,):
        devices = ()
    for n_ctx in _contexts(asked.n_ctx):
        smaller = replace(asked, n_ctx=n_ctx)
        found = _Search(header, smaller, devices, host_free_mib, estimator).run()
        if found is not None:
            if n_ctx < asked.n_ctx:
                short = f"A context of {asked.n_ctx} does not fit beside the weights."
                found = replace(found, why=(*found.why, short))
            return found
    return None


def _contexts(n_ctx: int) -> Iterator[int]:
    """Yield the context asked for and ever smaller ones."""
    yield n_ctx
    while (n_ctx := n_ctx // 2 // CTX_STEP * CTX_STEP) >= SMALLEST_CTX:
        yield n_ctx


class _Search:
    """Tries settings from the fastest to the slowest."""

    def __init__(
        self,
        header: GgufHeader,
        asked: LoadSettings,
        devices: Sequence[Device],
        host_free_mib: float | None,
        estimator: Estimator,
    ) -> None:
        self._arch = header.arch
        self._n_layer = header.n_layer
        self._asked = replace(asked, n_gpu_layers=-1, flash_attn="auto", tensor_split=())
        self._devices = tuple(devices)
        self._host_free_mib = host_free_mib
        self._estimator = estimator

    def run(self) -> Recommendation | None:
        if self._is_hopeless():
            return None
        if any(device.usable_mib > 0 for device in self._devices):
            for cached, why in self._caches(self._asked):
                if found := self._all_on_cards(cached, why):
                    return found
            found = self._fewer_layers()
            if found is not None:
                return found
        return self._on_host()

    def _is_hopeless(self) -> bool:
        """Whether weights and cache at their smallest exceed all memory there is, wherever put."""
        if self._host_free_mib is None:
            return False
        room = self._host_free_mib + sum(device.usable_mib for device in self._devices)
        alone = replace(self._asked, n_gpu_layers=0, split_mode=SplitMode.LAYER)
        hosts = []
        for cached, _ in self._caches(alone):
            with contextlib.suppress(FitError):
                hosts.append(self._estimator.fit(cached, ()).host)
        return all(use.weights_mib + use.kv_mib > room for use in hosts)

    def _fit(self, settings: LoadSettings, *, on_host: bool = True) -> Fit | None:
        """Return the fit of these settings if everything fits, else None.

        Without `on_host` only the cards are looked at.
        """
        try:
            fit = self._estimator.fit(settings, self._devices)
        except FitError:
            return None
        fit = replace(fit, host_free_mib=self._host_free_mib if on_host else None)
        return fit if fit.fits else None

    @staticmethod
    def _caches(asked: LoadSettings) -> Iterator[tuple[LoadSettings, tuple[str, ...]]]:
        """Yield the cache as asked for, then a quantized one."""
        yield asked, ()
        if {asked.type_k, asked.type_v}.isdisjoint(QUANTIZED):
            yield (
                replace(asked, type_k=SMALLER_CACHE, type_v=SMALLER_CACHE),
                (_why_smaller_cache(asked.n_ctx),),
            )

    def _all_on_cards(self, settings: LoadSettings, why: tuple[str, ...]) -> Recommendation | None:
        order = sorted(
            range(len(self._devices)), key=lambda index: -self._devices[index].usable_mib
        )
        if len(order) > 1:
            alone = replace(settings, split_mode=SplitMode.NONE, main_gpu=order[0])
            if fit := self._fit(alone):
                one = f"It fits on {self._devices[order[0]].name} alone; a second card adds room, "
                return Recommendation(fit, (one + "not speed.", *why))
        if self._bridged() and (fit := self._fit(replace(settings, split_mode=SplitMode.TENSOR))):
            return Recommendation(fit, (ALL_FIT, WHY_TENSOR, *why))
        return self._by_layers(settings, why)

    def _by_layers(self, settings: LoadSettings, why: tuple[str, ...]) -> Recommendation | None:
        plain = replace(settings, split_mode=SplitMode.LAYER)
        words = [ALL_FIT]
        if len(self._devices) > 1:
            words.append(self._why_layer())
        if fit := self._fit(plain):
            return Recommendation(fit, (*words, *why))
        if len(self._devices) > 1 and (fit := self._balanced(plain)):
            counts = " and ".join(f"{share:g}" for share in fit.settings.tensor_split)
            words.append(
                f"The layers are divided {counts}: divided by free memory alone, one card would "
                "overflow while another has room."
            )
            return Recommendation(fit, (*words, *why))
        return None

    def _why_layer(self) -> str:
        if self._bridged() and self._arch in UNSUPPORTED:
            return f"Split mode layer: llama.cpp cannot split {self._arch} by tensors."
        if self._bridged():
            return "Split mode layer: split by tensors it does not fit."
        return "Split mode layer: without an NVLink bridge the cards exchange least that way."

    def _bridged(self) -> bool:
        """Whether NVLink joins every card with every other."""
        uuids = {device.uuid for device in self._devices if device.uuid is not None}
        return len(self._devices) == len(uuids) > 1 and all(
            uuids - {device.uuid} <= set(device.peers) for device in self._devices
        )

    def _balanced(self, settings: LoadSettings, *, on_host: bool = True) -> Fit | None:
        """Return a fit with layers counted out so that no card overflows while another has room."""
        total = self._n_layer + 1 if settings.n_gpu_layers < 0 else settings.n_gpu_layers
        counts = _counted(total, shares_by_memory(self._devices))
        tried: set[tuple[int, ...]] = set()
        while tuple(counts) not in tried:
            tried.add(tuple(counts))
            given = replace(settings, tensor_split=tuple(map(float, counts)))
            try:
                fit = self._estimator.fit(given, self._devices)
            except FitError:
                return None
            fit = replace(fit, host_free_mib=self._host_free_mib if on_host else None)
            if fit.fits:
                return fit
            kept = sum(use.use.weights_mib + use.use.kv_mib for use in fit.devices)
            if kept > sum(device.usable_mib for device in self._devices):
                return None
            room = [use.device.usable_mib - use.use.total_mib for use in fit.devices]
            fullest, emptiest = room.index(min(room)), room.index(max(room))
            if min(room) >= 0 or max(room) <= 0 or counts[fullest] == 0:
                return None
            moved = _layers_in(min(-room[fullest], room[emptiest]), fit.devices[fullest].use)
            moved = min(moved, counts[fullest])
            counts[fullest] -= moved
            counts[emptiest] += moved
        return None

    def _fewer_layers(self) -> Recommendation | None:
        """Return settings with as many layers on the cards as fit, the rest in host memory."""
        best: Fit | None = None
        why_cache: tuple[str, ...] = ()
        for cached, _ in self._caches(self._asked):
            for spread in self._spreads(cached):
                fit = self._most_layers(spread)
                if fit is None or (best is not None and _on_cards(fit) <= _on_cards(best)):
                    continue
                if best is not None and fit.settings.type_k != best.settings.type_k:
                    why_cache = (_why_more_layers(_on_cards(fit) - _on_cards(best)),)
                best = fit
        if best is None:
            return None
        alone = best.settings.split_mode is SplitMode.NONE and len(self._devices) > 1
        where = self._devices[best.settings.main_gpu].name + " alone" if alone else "the cards"
        count = _on_cards(best)
        fits = (
            f"{count} of {self._n_layer} layers fit on {where}; the others run"
            if count
            else f"Only the output layer fits on {where}; the others run"
        )
        why = (
            f"{fits} on the processor, which is much slower. A smaller quantization or a smaller "
            "context fits more of them."
        )
        return Recommendation(best, (why, *why_cache))

    def _spreads(self, settings: LoadSettings) -> Iterator[LoadSettings]:
        """Yield layers over all cards, then over the roomiest: another may be full."""
        yield replace(settings, split_mode=SplitMode.LAYER)
        if len(self._devices) > 1:
            usable = [device.usable_mib for device in self._devices]
            roomiest = usable.index(max(usable))
            yield replace(settings, split_mode=SplitMode.NONE, main_gpu=roomiest)

    def _most_layers(self, settings: LoadSettings) -> Fit | None:
        """Return the fit with the most layers on the cards, None where not one goes there."""
        low, high, best = 1, self._n_layer, None
        while low <= high:
            middle = (low + high) // 2
            tried = replace(settings, n_gpu_layers=middle)
            # With fewer layers here more are on the host: its room is looked at in the end.
            fit = self._fit(tried, on_host=False)
            if fit is None and settings.split_mode is SplitMode.LAYER:
                fit = self._balanced(tried, on_host=False)
            if fit is not None:
                best, low = fit, middle + 1
            else:
                high = middle - 1
        best = None if best is None else replace(best, host_free_mib=self._host_free_mib)
        return best if best is not None and best.fits else None

    def _on_host(self) -> Recommendation | None:
        settings = replace(self._asked, n_gpu_layers=0, split_mode=SplitMode.LAYER)
        reason = (
            "No card is there, so everything runs on the processor."
            if not self._devices
            else "Not one layer fits on the cards, so everything runs on the processor."
        )
        # With no layer on it a card still works on large batches, and may lack room even for that.
        fit = self._fit(settings) or self._fit(replace(settings, devices=(PROCESSOR,)))
        return None if fit is None else Recommendation(fit, (reason,))


def _why_smaller_cache(n_ctx: int) -> str:
    return (
        f"The KV cache is quantized to {SMALLER_CACHE}: at f16 a context of {n_ctx} does not fit "
        "beside the weights."
    )


def _why_more_layers(count: int) -> str:
    more = "1 more layer fits" if count == 1 else f"{count} more layers fit"
    return f"The KV cache is quantized to {SMALLER_CACHE}: so {more} on the cards."


def _on_cards(fit: Fit) -> int:
    return sum(use.use.layers for use in fit.devices)


def _layers_in(mib: float, use: Use) -> int:
    """Return how many layers of the size of those in `use` are in so much memory, at least 1."""
    size_mib = (use.weights_mib + use.kv_mib) / max(use.layers, 1)
    return max(int(mib / size_mib), 1) if size_mib > 0 else 1


def _counted(total: int, shares: Sequence[float]) -> list[int]:
    """Return `total` layers counted out by shares."""
    whole = sum(shares)
    counts = [int(total * share / whole) for share in shares]
    for index in range(total - sum(counts)):
        counts[index % len(counts)] += 1
    return counts
