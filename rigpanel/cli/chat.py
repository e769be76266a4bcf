# SPDX-License-Identifier: MIT
"""`rigpanel chat`: one streamed reply, or an interactive chat in the terminal."""

import argparse
import asyncio
import json
import math
import signal
import sys
from pathlib import Path
from typing import Any

from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    EngineError,
    EngineState,
    LoadedModel,
    ReplyFinished,
    ReplyStats,
    Sampling,
    TextGenerated,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.errors import UsageError
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.library.gguf_header import read_header
from rigpanel.rig import open_source
from rigpanel.rig.as_json import with_reasons
from rigpanel.rig.energy import energy_between
from rigpanel.rig.readings import Missing, Reading
from rigpanel.rig.source import RigSource

DEFAULT_CTX = 4096
INTERRUPTED = 130
"""Exit status after Ctrl+C, as shells have it (128 + SIGINT)."""
MAX_SEED = 2**32 - 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a GGUF file")
    parser.add_argument("-p", "--prompt", metavar="TEXT", help="say this and stop after the reply")
    parser.add_argument("-n", "--max-tokens", metavar="N", type=_whole(1), help="tokens at most")
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--temp", metavar="T", type=_temperature, default=0.8, help="temperature")
    parser.add_argument("--seed", metavar="S", type=_whole(0, MAX_SEED), help="seed of the sampler")
    parser.add_argument("--ctx", metavar="N", type=_whole(16), help="context in tokens")
    parser.add_argument("--ngl", metavar="N", type=_whole(-1), default=-1, help="GPU layers")
    parser.add_argument("--threads", metavar="N", type=_whole(1, 1024), help="CPU threads")
    parser.add_argument("--ignore-eos", action="store_true", help="go on past the end of reply")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Load the model in an engine process, chat, and end the engine."""
    header = read_header(options.model)
    prompt = _prompt(options)
    settings = LoadSettings(
        model=options.model,
        n_ctx=options.ctx or min(DEFAULT_CTX, header.n_ctx_train or DEFAULT_CTX),
        n_gpu_layers=options.ngl,
        threads=options.threads,
    )
    source = open_source(demo=False)
    try:
        return asyncio.run(_Chat(options, source).run(settings, prompt))
    finally:
        source.close()


def _prompt(options: argparse.Namespace) -> str | None:
    """Return what to say; None for an interactive chat. Raises UsageError."""
    prompt: str | None = options.prompt
    if prompt is None:
        if sys.stdin is None:
            raise UsageError("there is no standard input; give the prompt with -p")
        if sys.stdin.isatty():
            if options.json:
                raise UsageError(
                    "--json prints one reply: give the prompt with -p or on standard input"
                )
            return None
        prompt = sys.stdin.buffer.read().decode("utf-8", "replace").strip()
    if not prompt.strip():
        raise UsageError("the prompt is empty; give it with -p or on standard input")
    return prompt


class _Chat:
    """One run of the command."""

    def __init__(self, options: argparse.Namespace, source: RigSource) -> None:
        self._options = options
        self._source = source
        self._engine = ProcessEngine()
        self._sampling = Sampling(
            temperature=options.temp,
            seed=options.seed,
            max_tokens=options.max_tokens,
            ignore_eos=options.ignore_eos,
        )
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = False
        self._messages: list[ChatMessage] = []
        if options.system:
            self._messages.append(ChatMessage("system", options.system))

    async def run(self, settings: LoadSettings, prompt: str | None) -> int:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGTERM, self._quit)
        try:
            model = await self._engine.load(settings, _show_progress)
            _say(f"{model.name}: {model.file_type}, context {model.n_ctx}")
            if model.template != "file":
                _say(f"Chat template: {model.template}")
            if prompt is not None:
                await self._reply(prompt, model)
            else:
                await self._interactive(model)
        except asyncio.CancelledError:
            return INTERRUPTED
        finally:
            await self._engine.stop()
        return 0

    def _interrupted(self) -> None:
        """Stop the load or reply under way; asked again, or between replies, end the command."""
        busy = self._engine.status.state in {EngineState.LOADING, EngineState.GENERATING}
        if busy and not self._cancelling:
            self._cancelling = True
            self._engine.cancel()
        else:
            self._quit()

    def _quit(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _interactive(self, model: LoadedModel) -> None:
        _say("Write a message; an empty line or Ctrl+D ends.")
        while line := await _ask():
            try:
                await self._reply(line, model)
            except EngineError as error:
                if self._engine.status.model is None:
                    raise
                _say(str(error))

    async def _reply(self, prompt: str, model: LoadedModel) -> None:
        self._cancelling = False
        before = await asyncio.to_thread(self._source.read)
        asked = [*self._messages, ChatMessage("user", prompt)]
        text = ""
        stats: ReplyStats | None = None
        async for event in self._engine.chat(ChatRequest(tuple(asked), self._sampling)):
            if isinstance(event, TextGenerated):
                text += event.text
                if not self._options.json:
                    sys.stdout.write(event.text)
                    sys.stdout.flush()
            elif isinstance(event, ReplyFinished):
                stats = event.stats
        if stats is None:
            raise EngineError("The reply ended without its figures.")
        self._messages = [*asked, ChatMessage("assistant", text)]
        after = await asyncio.to_thread(self._source.read)
        energy_j = energy_between(before, after)
        if self._options.json:
            json.dump(_as_json(text, stats, energy_j, model), sys.stdout, allow_nan=False)
            sys.stdout.write("\n")
        else:
            sys.stdout.write("\n")
            _say(_stats_line(stats, energy_j))


def _as_json(
    text: str, stats: ReplyStats, energy_j: Reading[float], model: LoadedModel
) -> dict[str, Any]:
    settings = model.settings
    per_token: Reading[float] = Missing.NOT_SUPPORTED
    if isinstance(energy_j, Missing):
        per_token = energy_j
    elif stats.n_gen:
        per_token = energy_j / stats.n_gen

    def rate(value: float | None) -> float | Missing:
        return Missing.NOT_SUPPORTED if value is None else value

    layers = settings.n_gpu_layers
    return with_reasons(
        {
            "text": text,
            "finish_reason": stats.finish_reason.value,
            "n_prompt": stats.n_prompt,
            "n_cached": stats.n_cached,
            "n_gen": stats.n_gen,
            "ttft_s": rate(stats.ttft_s),
            "pp_tps": rate(stats.pp_tps),
            "tg_tps": rate(stats.tg_tps),
            "energy_j": energy_j,
            "j_per_token": per_token,
            "settings": {
                "n_ctx": model.n_ctx,
                "n_ubatch": settings.n_ubatch,
                "n_gpu_layers": model.n_layer + 1 if layers < 0 else layers,
                "split_mode": settings.split_mode.value,
                "tensor_split": list(settings.tensor_split),
                "type_k": settings.type_k,
                "type_v": settings.type_v,
                "flash_attn": settings.flash_attn,
            },
        }
    )


def _stats_line(stats: ReplyStats, energy_j: Reading[float]) -> str:
    parts = [f"{stats.n_gen} tokens", f"prompt {stats.n_prompt} ({stats.n_cached} cached)"]
    if stats.tg_tps is not None:
        parts.append(f"{stats.tg_tps:.1f} tokens/s")
    if stats.ttft_s is not None:
        parts.append(f"first token after {stats.ttft_s:.2f} s")
    if not isinstance(energy_j, Missing) and stats.n_gen:
        parts.append(f"{energy_j / stats.n_gen:.1f} J/token")
    parts.append(stats.finish_reason.value)
    return " · ".join(parts)


def _show_progress(fraction: float) -> None:
    if sys.stderr.isatty():
        end = "\n" if fraction >= 1.0 else ""
        sys.stderr.write(f"\rLoading {fraction * 100:.0f} %{end}")
        sys.stderr.flush()


async def _ask() -> str:
    """Return a line from the terminal, or "" at its end; Ctrl+C gets through while it waits."""
    sys.stderr.write("> ")
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline().strip()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _whole(low: int, high: int = 2**31 - 1) -> Any:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from {low}")
        return value

    return parse


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number from 0")
    return value
