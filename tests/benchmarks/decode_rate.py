# SPDX-License-Identifier: MIT
"""The engine against the least that llama.cpp needs: decode, prefill and memory, as ratios.

The bare loop is C (`bare_loop.c`); the engine is measured from outside its process, as the window
has it. Both hold the same model and take turns, so that a busy machine slows both: reply by reply,
and in long replies second by second, one stopped while the other runs. Exits 1 when the median of
a ratio is below its aim. On a machine that others use, `--threads 1` scatters least.
`--tokens 128,1000,4000` is the long one.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import psutil

from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    PrefillProgressed,
    ReplyFinished,
    Sampling,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.demo_model import DemoShape, write_demo_model

TINY = DemoShape()
LARGE = DemoShape(
    n_embd=2048, n_layer=8, n_head=16, n_head_kv=4, n_ff=5632, n_vocab=16000, n_ctx_train=8192
)
"""Some 850 MB."""
AIM_LARGE, AIM_TINY, AIM_PREFILL = 0.97, 0.80, 0.97
MOST_MIB = 150.0
N_PREFILL = 512
LONG = 1000
"""Replies of more tokens take turns second by second."""
N_SHORT_PROMPT = 24
"""About what a few words and the template come to; a thousandth of a long reply."""
SLICE_S = 1.0
MIB = 1024 * 1024


@dataclass(frozen=True)
class Timing:
    prefill_s: float
    decode_s: float
    inside_s: float = 0.0
    """The decode as the engine's own figures have it."""


class BareLoop:
    """The C program, holding a model."""

    def __init__(self, program: Path, settings: LoadSettings) -> None:
        words = [program, settings.model, settings.threads, settings.n_ctx, settings.n_batch]
        self.process = subprocess.Popen(
            [*map(str, words), str(int(settings.use_mmap))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # As the engine is: the scheduler shares out by session.
        )
        self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the bare loop ended")
        return line

    def reply(self, n_prompt: int, n_gen: int) -> Timing:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{n_prompt} {n_gen}\n")
        self.process.stdin.flush()
        return Timing(*map(float, self._line().split()))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def bare_program() -> Iterator[Path]:
    """Compile the C program against the llama.cpp that llama-cpp-python brought."""
    package = Path(llama_cpp.__file__).parent
    libraries = package / "lib"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "bare_loop")
        subprocess.run(
            [
                "gcc", "-O2", "-o", program, Path(__file__).with_name("bare_loop.c"),
                f"-I{package.parent / 'include'}", f"-L{libraries}", f"-Wl,-rpath,{libraries}",
                "-Wl,--unresolved-symbols=ignore-in-shared-libs",
                "-lllama", "-lggml", "-lggml-base", "-lm",
            ],
            check=True,
        )  # fmt: skip
        yield program


async def engine_reply(engine: ProcessEngine, text: str, n_gen: int) -> tuple[int, Timing]:
    """Return the prompt's length and the times as they are seen from outside the engine."""
    request = ChatRequest(
        (ChatMessage("user", text),), Sampling(seed=1, max_tokens=n_gen, ignore_eos=True)
    )
    begun = read = time.monotonic()
    async for event in engine.chat(request):
        if isinstance(event, PrefillProgressed):
            if event.n_done == event.n_cached:
                begun = time.monotonic()
            read = time.monotonic()
        elif isinstance(event, ReplyFinished):
            assert event.stats.n_gen == n_gen
            n_new = event.stats.n_prompt - event.stats.n_cached
            return n_new, Timing(read - begun, time.monotonic() - read, event.stats.decode_s)
    raise RuntimeError("the reply had no end")


async def by_turns(
    engine: ProcessEngine, bare: BareLoop, text: str, n_gen: int
) -> tuple[float, float]:
    """Return the seconds each of them ran for a whole reply: the bare loop's, then the engine's."""
    pids = (bare.process.pid, engine.pid or 0)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    replies: tuple[asyncio.Future[object], asyncio.Future[object]] = (
        asyncio.ensure_future(asyncio.to_thread(bare.reply, N_SHORT_PROMPT, n_gen)),
        asyncio.ensure_future(engine_reply(engine, text, n_gen)),
    )
    ran_s = [0.0, 0.0]
    turn = 0
    try:
        while not all(reply.done() for reply in replies):
            begun = time.monotonic()
            os.kill(pids[turn], signal.SIGCONT)
            alone = replies[1 - turn].done()
            await asyncio.wait({replies[turn]}, timeout=None if alone else SLICE_S)
            os.kill(pids[turn], signal.SIGSTOP)
            ran_s[turn] += time.monotonic() - begun
            turn = 1 - turn
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    for reply in replies:
        reply.result()
    return ran_s[0], ran_s[1]


def unique_mib(pid: int) -> float:
    """Return what a process holds of memory for itself alone."""
    return float(psutil.Process(pid).memory_full_info().uss) / MIB


def processor_s(pid: int) -> float:
    """Return the processor time of all of a process's threads, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def told(what: str, ratios: list[float], aim: float) -> bool:
    median = statistics.median(ratios)
    kept = median >= aim
    print(
        f"{what:<44} {median:6.3f}  ({min(ratios):.3f} to {max(ratios):.3f}; aim {aim:.2f})"
        f"{'' if kept else '  BELOW'}",
        flush=True,
    )
    return kept


async def compare(
    name: str, settings: LoadSettings, program: Path, tokens: list[int], rounds: int, aim: float
) -> bool:
    """Measure one model; returns whether every aim was reached."""
    engine, bare = ProcessEngine(), BareLoop(program, settings)
    kept = True
    try:
        await engine.load(settings, lambda _: None)
        await engine_reply(engine, "warm", 8)
        bare.reply(8, 8)
        pid = engine.pid or 0
        for n_gen in tokens:
            ratios, inside, by_processor = [], [], []
            for turn in range(rounds):
                before = processor_s(pid), processor_s(bare.process.pid)
                text = f"{turn} warm stone"
                if n_gen > LONG:
                    bare_s, engine_s = await by_turns(engine, bare, text, n_gen)
                    ratios.append(bare_s / engine_s)
                else:
                    n_prompt, ours = await engine_reply(engine, text, n_gen)
                    theirs = bare.reply(n_prompt, n_gen)
                    ratios.append(theirs.decode_s / ours.decode_s)
                    inside.append(theirs.decode_s / ours.inside_s)
                used_s = processor_s(pid) - before[0]
                by_processor.append((processor_s(bare.process.pid) - before[1]) / used_s)
            kept &= told(f"{name}: decode of {n_gen} tokens, engine/bare", ratios, aim)
            if inside:
                told("    by the engine's own figures", inside, aim)
            told("    by processor time, prompt and all", by_processor, aim)
        ratios = []
        for turn in range(rounds):
            text = f"{turn} " + "a,.?!" * (N_PREFILL // 5)
            n_prompt, ours = await engine_reply(engine, text, 1)
            ratios.append(bare.reply(n_prompt, 1).prefill_s / ours.prefill_s)
        kept &= told(f"{name}: prefill of {n_prompt} tokens, engine/bare", ratios, AIM_PREFILL)
    finally:
        bare.close()
        await engine.stop()
    return kept


SETTLED_S = 12.0
"""By then the panel has drawn its first frames and read the simulated cards for some seconds."""


def panel_mib() -> float:
    """Return what the panel's own process holds, drawn offscreen, on the simulated rig.

    Measured at a second start, which finds everything compiled.
    """
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {
            "QT_QPA_PLATFORM": "offscreen",
            "RIGPANEL_HOME": home,
            "XDG_RUNTIME_DIR": home,
            "PYTHONPYCACHEPREFIX": f"{home}/bytecode",
        }
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        found = 0.0
        for _ in range(2):
            with subprocess.Popen([sys.executable, "-m", "rigpanel", "--demo"], env=env) as panel:
                try:
                    time.sleep(SETTLED_S)
                    found = unique_mib(panel.pid)
                finally:
                    panel.terminate()
        return found


async def compare_memory(settings: LoadSettings, program: Path) -> bool:
    """Measure what panel and engine hold more than the bare loop, weights in memory in both."""
    engine, bare = ProcessEngine(), BareLoop(program, settings)
    try:
        await engine.load(settings, lambda _: None)
        n_prompt, _ = await engine_reply(engine, "warm stone", 64)
        bare.reply(n_prompt, 64)
        assert engine.pid is not None
        ours, theirs = unique_mib(engine.pid), unique_mib(bare.process.pid)
    finally:
        bare.close()
        await engine.stop()
    panel = panel_mib()
    more = panel + ours - theirs
    print(
        f"memory: panel {panel:.0f} MiB, engine {ours:.0f} MiB, bare {theirs:.0f} MiB: "
        f"{more:.0f} more (aim {MOST_MIB:.0f})"
    )
    return more <= MOST_MIB


def beside(settings: LoadSettings, tokens: list[int], program: Path) -> None:
    """Show llama-cpp-python's own chat beside the bare loop, for the record."""
    llama = llama_cpp.Llama(
        str(settings.model), n_ctx=settings.n_ctx, n_threads=settings.threads, verbose=False,
        n_batch=settings.n_batch,
    )  # fmt: skip
    bare = BareLoop(program, settings)
    try:
        for n_gen in tokens:
            stream = llama.create_chat_completion(
                [{"role": "user", "content": "warm stone"}], stream=True, max_tokens=n_gen,
                logit_bias={llama.token_eos(): -1e9}, seed=1, temperature=0.8,
            )  # fmt: skip
            next(iter(stream))
            begun = time.monotonic()
            n_events = sum(1 for _ in stream)
            took_s = time.monotonic() - begun
            ratio = bare.reply(40, n_gen).decode_s / took_s
            print(f"create_chat_completion, {n_gen} tokens, {n_events} events: {ratio:.3f} of bare")
    finally:
        bare.close()
        llama.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", default="128", help="lengths of replies of the large model")
    parser.add_argument("--tiny-tokens", default="128,1000,4000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--only", choices=["tiny", "large", "memory", "beside"])
    parser.add_argument("--models", type=Path, help="keep the made models here")
    options = parser.parse_args()
    tokens = [int(n) for n in options.tokens.split(",")]
    tiny_tokens = [int(n) for n in options.tiny_tokens.split(",")]

    def wanted(what: str) -> bool:
        return options.only in {None, what}

    with tempfile.TemporaryDirectory() as temporary, bare_program() as program:
        folder = options.models or Path(temporary)
        tiny, large = folder / "tiny.gguf", folder / "large.gguf"
        for path, shape in ((tiny, TINY), (large, LARGE)):
            if not path.exists() and (path == tiny or wanted("large")):
                write_demo_model(path, shape)
        settings = LoadSettings(tiny, n_ctx=4608, threads=options.threads)
        large_settings = LoadSettings(large, n_ctx=4608, threads=options.threads)
        kept = True
        if wanted("tiny"):
            kept &= asyncio.run(
                compare("tiny", settings, program, tiny_tokens, 5 * options.rounds, AIM_TINY)
            )
        if wanted("memory"):
            private = LoadSettings(tiny, n_ctx=4608, threads=options.threads, use_mmap=False)
            kept &= asyncio.run(compare_memory(private, program))
        if wanted("beside"):
            beside(settings, tiny_tokens, program)
        if wanted("large"):
            kept &= asyncio.run(
                compare("850 MB", large_settings, program, tokens, options.rounds, AIM_LARGE)
            )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
