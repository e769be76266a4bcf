# SPDX-License-Identifier: MIT
"""Reading a header with a large vocabulary beside a tiny one, one fit, and 500 cached files.

Run: python -m tests.benchmarks.fit_time
"""

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rigpanel.fit.estimate import Estimator
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.result import Device
from rigpanel.library.demo_model import DemoShape, write_demo_model
from rigpanel.library.discovery import find_models
from rigpanel.library.gguf_header import read_header
from rigpanel.library.header_cache import HeaderCache
from rigpanel.library.places import Place
from tests.fit.made_architectures import llama_70b

AIM_FIT_MS, AIM_LIST_S = 16.0, 1.0
FILES, RUNS = 500, 15


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median time of `work`."""
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def main() -> int:
    """Print the figures; the status is 1 where an aim was missed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny = write_demo_model(folder / "tiny.gguf", DemoShape(n_embd=32, n_vocab=600))
        wide = write_demo_model(folder / "wide.gguf", DemoShape(n_embd=32, n_vocab=128_000))
        tiny_ms = milliseconds(lambda: read_header(tiny))
        wide_ms = milliseconds(lambda: read_header(wide))
        print(f"header: {tiny_ms:.1f} ms, with 128k tokens {wide_ms:.1f} ms")
        header = read_header(llama_70b(folder / "70b.gguf"))
        estimator = Estimator(header)
        cards = [Device(f"GPU {index}", None, 24_000.0) for index in range(2)]
        settings = LoadSettings(model=header.path, n_ctx=8192)
        fit_ms = milliseconds(lambda: estimator.fit(settings, cards))
        print(f"one fit of a 70B: {fit_ms:.1f} ms (aim {AIM_FIT_MS:g})")
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
    return 0 if fit_ms <= AIM_FIT_MS and again_s <= AIM_LIST_S else 1


if __name__ == "__main__":
    sys.exit(main())
