# SPDX-License-Identifier: MIT
"""`rigpanel chat`: one streamed reply, or an interactive chat in the terminal."""

import argparse
import asyncio
import json
import os
import signal
import sys
from typing import Any

from rigpanel.cli import INTERRUPTED, chat_options
from rigpanel.cli.terminal import harmless
from rigpanel.engine.messages import (
    ChatMessage,
    ChatRequest,
    ContextNearlyFull,
    EngineError,
    EngineState,
    LoadCancelledError,
    LoadedModel,
    PrefillProgressed,
    ReplyEvent,
    ReplyFinished,
    ReplyStats,
    Sampling,
    TextGenerated,
    TurnsDropped,
    WhenFull,
)
from rigpanel.engine.process_engine import ProcessEngine
from rigpanel.engine.sampling import check_text
from rigpanel.errors import UsageError
from rigpanel.fit.load_settings import LoadSettings, Speculation
from rigpanel.library.gguf_header import read_header
from rigpanel.rig import open_source
from rigpanel.rig.as_json import with_reasons
from rigpanel.rig.energy import energy_between
from rigpanel.rig.readings import Missing, Reading
from rigpanel.rig.source import RigSource

LONG_PROMPT = 1024
"""Tokens from which on a person is told how far the prompt has been read."""
HELP = """/regen           answer the last message anew
/system [TEXT]   another system prompt, or none
/clear           begin a new conversation
/quit            end (so does an empty line, or Ctrl+D)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    chat_options.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Load the model in an engine process, chat, and end the engine."""
    header = read_header(options.model)
    prompt = _prompt(options)
    _check_text("The system prompt", options.system or "")
    settings = chat_options.load_settings(options, header.n_ctx_train)
    sampling = chat_options.sampling(options)
    source = open_source(demo=options.demo)
    if options.demo:
        _say("The rig is simulated, and so is the energy told; the model runs for real.")
    try:
        return asyncio.run(_Chat(options, sampling, source).run(settings, prompt))
    finally:
        source.close()


def _prompt(options: argparse.Namespace) -> str | None:
    """Return what to say; None for an interactive chat. Raises UsageError."""
    prompt: str | None = options.prompt
    if prompt is None:
        if sys.stdin.isatty():
            if options.json:
                raise UsageError(
                    "--json prints one reply: give the prompt with -p or on standard input"
                )
            return None
        prompt = sys.stdin.buffer.read().decode("utf-8", "replace").strip()
    if not prompt.strip():
        raise UsageError("the prompt is empty; give it with -p or on standard input")
    _check_text("The prompt", prompt)
    return prompt


def _check_text(what: str, text: str) -> None:
    """Raise UsageError where no model could be given it, before one is loaded."""
    try:
        check_text(what, text)
    except EngineError as error:
        raise UsageError(str(error)) from error


class _Chat:
    """One run of the command."""

    def __init__(self, options: argparse.Namespace, sampling: Sampling, source: RigSource) -> None:
        self._json: bool = options.json
        self._source = source
        self._engine = ProcessEngine()
        self._sampling = sampling
        self._when_full = WhenFull(options.when_full)
        self._system: str = options.system or ""
        self._task: asyncio.Task[Any] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._cancelling = False
        self._messages: list[ChatMessage] = []

    async def run(self, settings: LoadSettings, prompt: str | None) -> int:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGTERM, self._quit)
        try:
            model = await self._engine.load(settings, lambda done: _show_progress("Loading", done))
            if self._cancelling:  # Asked for when the load was all but done.
                return INTERRUPTED
            template = {"": "none", "file": "the file's own"}.get(model.template, model.template)
            about = f"{model.file_type}, context {model.n_ctx}, chat template: {template}"
            _say(f"{model.name}: {about}")
            if prompt is not None:
                await self._reply([], prompt, model)
            else:
                await self._interactive(model)
        except LoadCancelledError as error:
            _say(str(error))
            return INTERRUPTED
        except asyncio.CancelledError:
            return INTERRUPTED
        finally:
            self._task = None  # It ends; a Ctrl+C from now on changes nothing.
            await (self._ending or self._engine.stop())
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
        """End the command, and the engine first: what waits for a reply waits no longer then."""
        if self._task is not None and self._ending is None:
            self._ending = asyncio.create_task(self._engine.stop())
            self._task.cancel()

    async def _interactive(self, model: LoadedModel) -> None:
        _say("Write a message; /help tells what else there is. An empty line or Ctrl+D ends.")
        while (line := await _ask()) and line != "/quit":
            try:
                await self._obey(line, model)
            except EngineError as error:
                if self._engine.status.model is None:
                    raise
                _say(str(error))

    async def _obey(self, line: str, model: LoadedModel) -> None:
        """Do what a line asks for: it is a message, or a command with a slash before it."""
        word, _, rest = line.partition(" ")
        if not word.startswith("/"):
            await self._reply(self._messages, line, model)
        elif word == "/regen":
            if not self._messages:
                _say("There is no message yet to answer anew.")
                return
            *earlier, asked, _ = self._messages
            await self._reply(earlier, asked.content, model)
        elif word == "/system":
            self._system = rest.strip()
            _say("It holds from the next message on.")
        elif word == "/clear":
            self._messages.clear()
            _say("A new conversation.")
        else:
            _say(HELP if word == "/help" else f"There is no {word}.\n{HELP}")

    async def _reply(self, earlier: list[ChatMessage], prompt: str, model: LoadedModel) -> None:
        """Have an answer written; it and the prompt are then what follows `earlier`."""
        self._cancelling = False
        before = await asyncio.to_thread(self._source.read)
        asked = [*earlier, ChatMessage("user", prompt)]
        system = (ChatMessage("system", self._system),) if self._system else ()
        request = ChatRequest((*system, *asked), self._sampling, self._when_full)
        shown = _Shown(self._json)
        async for event in self._engine.chat(request):
            shown.take(event)
        stats = shown.stats
        if stats is None:
            raise EngineError("The reply ended without its figures.")
        self._messages = [*asked, ChatMessage("assistant", shown.answer)]
        after = await asyncio.to_thread(self._source.read)
        energy_j = energy_between(before, after)
        if self._json:
            said = _as_json(shown, stats, energy_j, model)
            if after.simulated:
                said = {"simulated": True, **said}
            json.dump(said, sys.stdout, allow_nan=False)
            sys.stdout.write("\n")
        else:
            sys.stdout.write("\n")
            _say(_stats_line(stats, energy_j, simulated=after.simulated))


class _Shown:
    """Takes a reply's events: the answer goes to stdout, the reasoning dimmed to a terminal."""

    def __init__(self, as_json: bool) -> None:
        self.answer = ""
        self.reasoning = ""
        self.stats: ReplyStats | None = None
        self._streams = not as_json
        self._to_terminal = sys.stdout.isatty()
        self._dims = not as_json and sys.stderr.isatty()

    def take(self, event: ReplyEvent) -> None:
        match event:
            case TextGenerated(text, _, True):
                self._think(text)
            case TextGenerated(text):
                self._answer(text)
            case PrefillProgressed(n_done, n_prompt, n_cached):
                if n_prompt - n_cached >= LONG_PROMPT:
                    _show_progress("Reading", (n_done - n_cached) / (n_prompt - n_cached))
            case TurnsDropped(n_messages):
                _say(f"The oldest {n_messages} messages are left out, so that the rest fits.")
            case ContextNearlyFull(n_used, n_ctx):
                _say(f"\nThe context is nearly full: {n_used} of {n_ctx} tokens.")
            case ReplyFinished(stats):
                self.stats = stats

    def _think(self, text: str) -> None:
        self.reasoning += text
        if self._dims:
            sys.stderr.write(f"\x1b[2m{harmless(text)}\x1b[0m")
            sys.stderr.flush()

    def _answer(self, text: str) -> None:
        if self._dims and self.reasoning and not self.answer:
            sys.stderr.write("\n\n")
            sys.stderr.flush()
        self.answer += text
        if self._streams:
            sys.stdout.write(harmless(text) if self._to_terminal else text)
            sys.stdout.flush()


def _as_json(
    shown: _Shown, stats: ReplyStats, energy_j: Reading[float], model: LoadedModel
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
            "text": shown.answer,
            **({"reasoning": shown.reasoning} if shown.reasoning else {}),
            "finish_reason": stats.finish_reason.value,
            "n_prompt": stats.n_prompt,
            "n_cached": stats.n_cached,
            "n_gen": stats.n_gen,
            "ttft_s": rate(stats.ttft_s),
            "pp_tps": rate(stats.pp_tps),
            "tg_tps": rate(stats.tg_tps),
            **_extras(stats, settings.speculation),
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


def _extras(stats: ReplyStats, speculation: Speculation) -> dict[str, int]:
    """Return the counts that only some models and settings have."""
    extras = {"n_reasoning": stats.n_reasoning} if stats.n_reasoning else {}
    if speculation is not Speculation.NONE:
        extras |= {"n_drafted": stats.n_drafted, "n_accepted": stats.n_accepted}
    return extras


def _stats_line(stats: ReplyStats, energy_j: Reading[float], *, simulated: bool) -> str:
    thought = f" ({stats.n_reasoning} of them reasoning)" if stats.n_reasoning else ""
    parts = [f"{stats.n_gen} tokens{thought}", f"prompt {stats.n_prompt} ({stats.n_cached} cached)"]
    if stats.tg_tps is not None:
        parts.append(f"{stats.tg_tps:.1f} tokens/s")
    if stats.ttft_s is not None:
        parts.append(f"first token after {stats.ttft_s:.2f} s")
    if stats.n_drafted:
        parts.append(f"{stats.n_accepted} of {stats.n_drafted} guesses right")
    if not isinstance(energy_j, Missing) and stats.n_gen:
        mark = " (simulated)" if simulated else ""
        parts.append(f"{energy_j / stats.n_gen:.1f} J/token{mark}")
    parts.append(stats.finish_reason.value)
    return " · ".join(parts)


def _show_progress(what: str, fraction: float) -> None:
    if sys.stderr.isatty():
        end = "\n" if fraction >= 1.0 else ""
        sys.stderr.write(f"\r{what} {fraction * 100:.0f} %{end}")
        sys.stderr.flush()


async def _ask() -> str:
    """Return a line from the terminal, or "" at its end; Ctrl+C gets through while it waits."""
    sys.stderr.write("> ")
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    whole = asyncio.Event()
    stdin, typed = sys.stdin.fileno(), bytearray()

    def take() -> None:
        more = os.read(stdin, 65536)
        typed.extend(more)
        if not more or more.endswith(b"\n"):
            whole.set()

    loop.add_reader(stdin, take)
    try:
        await whole.wait()
    finally:
        loop.remove_reader(stdin)
    return typed.decode("utf-8", "replace").strip()


def _say(text: str) -> None:
    print(harmless(text), file=sys.stderr)
