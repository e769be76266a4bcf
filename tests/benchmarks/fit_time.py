# SPDX-License-Identifier: MIT
"""Reading a header with a large vocabulary beside a tiny one, fits, advice, and 500 cached files.

Run: python -m tests.benchmarks.fit_time
"""

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rigpanel.fit.estimate import Estimator
from rigpanel.fit.load_settings import LoadSettings, SplitMode
from rigpanel.fit.recommend import recommend
from rigpanel.fit.result import Device
from rigpanel.library.demo_model import DemoShape, write_demo_model
from rigpanel.library.discovery import find_models
from rigpanel.library.gguf_header import GgufHeader, read_header
from rigpanel.library.header_cache import HeaderCache
from rigpanel.library.places import Place
from tests.fit.made_architectures import llama_70b

AIM_HEADER_TIMES, AIM_FIT_MS, AIM_ADVICE_S, AIM_LIST_S = 5.0, 16.0, 1.0, 1.0
FILES, RUNS = 500, 15


def milliseconds(
    work: Callable[[], object], choose: Callable[[list[float]], float] = statistics.median
) -> float:
    """Return the median time of `work`, or another of several."""
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return choose(times) * 1000


def slider_ms(estimator: Estimator, model: Path, mode: SplitMode) -> float:
    """Return the median time of a fit whose settings were not asked for before."""
    cards = [Device(f"GPU {index}", None, 24_000.0) for index in range(8)]
    steps = itertools.count(1)

    def move() -> None:
        step = next(steps)
        shares = (1.0 + step / 10, *[1.0] * 7)
        estimator.fit(
            LoadSettings(model, n_ctx=8192 + 256 * step, split_mode=mode, tensor_split=shares),
            cards,
        )

    return milliseconds(move)


def seconds_of_advice(header: GgufHeader, free_mib: float) -> float:
    """Return how long advice takes for sixteen cards with so much free memory."""
    cards = [Device(f"GPU {index}", None, free_mib) for index in range(16)]
    begun = time.perf_counter()
    recommend(header, LoadSettings(header.path, n_ctx=8192), cards, 64_000.0)
    return time.perf_counter() - begun


def main() -> int:
    """Print the figures; the status is 1 where an aim was missed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny = write_demo_model(folder / "tiny.gguf", DemoShape(n_embd=32, n_vocab=600))
        wide = write_demo_model(folder / "wide.gguf", DemoShape(n_embd=32, n_vocab=128_000))
        tiny_ms = milliseconds(lambda: read_header(tiny), min)
        wide_ms = milliseconds(lambda: read_header(wide), min)
        times = wide_ms / tiny_ms
        print(
            f"header: {tiny_ms:.2f} ms, with 128k tokens {wide_ms:.2f} ms, {times:.1f} times "
            f"(aim {AIM_HEADER_TIMES:g})"
        )
        header = read_header(llama_70b(folder / "70b.gguf"))
        estimator = Estimator(header)
        fit_ms = max(slider_ms(estimator, header.path, mode) for mode in SplitMode)
        print(
            f"one fit of a 70B on eight cards while its context changes: {fit_ms:.1f} ms in the "
            f"slowest split mode (aim {AIM_FIT_MS:g})"
        )
        advice_s = max(seconds_of_advice(header, free_mib) for free_mib in (24_000, 2600, 300))
        print(f"advice for a 70B on sixteen cards: {advice_s:.2f} s (aim {AIM_ADVICE_S:g})")
        many = folder / "many"
        many.mkdir()
        data = tiny.read_bytes()
        for index in range(FILES):
            (many / f"model-{index}.gguf").write_bytes(data)

        def look() -> None:
            with contextlib.closing(HeaderCache(folder / "headers.sqlite3")) as cache:
                assert len(find_models([Place("folder", many)], cache).models) == FILES

        begun = time.perf_counter()
        look()
        first_s = time.perf_counter() - begun
        again_s = milliseconds(look) / 1000
        print(
            f"{FILES} files: {first_s:.2f} s at first, {again_s:.2f} s cached (aim {AIM_LIST_S:g})"
        )
    met = (
        times <= AIM_HEADER_TIMES,
        fit_ms <= AIM_FIT_MS,
        advice_s <= AIM_ADVICE_S,
        again_s <= AIM_LIST_S,
    )
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
