# SPDX-License-Identifier: MIT
"""What `rigpanel chat` can be told: the loading of the model, and the sampling of its replies."""

import argparse
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rigpanel.cli.values import whole
from rigpanel.engine.checks import FLASH_ATTN
from rigpanel.engine.messages import EngineError, Sampling, TokenBias, WhenFull
from rigpanel.engine.sampling import MAX_SEED, PARAMETERS, PRESETS, SamplingParameter, check
from rigpanel.errors import UsageError
from rigpanel.fit.load_settings import LoadSettings, Speculation, SplitMode
from rigpanel.library.ggml_types import KV_TYPES

DEFAULT_CTX = 4096
SHORT = {"temperature": "temp"}
"""Options that llama.cpp's own programs call otherwise than the value."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a GGUF file")
    parser.add_argument("-p", "--prompt", metavar="TEXT", help="say this and stop after the reply")
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--demo", action="store_true", help="take the energy from the simulated rig's cards"
    )
    _add_loading(parser.add_argument_group("how the model is loaded"))
    _add_reply(parser.add_argument_group("the reply"))
    sampling = parser.add_argument_group("how the next token is chosen")
    sampling.add_argument("--preset", choices=PRESETS, help="begin with these values")
    for parameter in PARAMETERS:
        _add_parameter(sampling, parameter)


def _add_loading(group: Any) -> None:
    group.add_argument("--ctx", metavar="N", type=whole(16), help="context in tokens")
    group.add_argument("--ubatch", metavar="N", type=whole(1), help="tokens computed at once")
    group.add_argument("--ngl", metavar="N", type=whole(-1), default=-1, help="GPU layers")
    group.add_argument("--threads", metavar="N", type=whole(1, 1024), help="CPU threads")
    modes = [mode.value for mode in SplitMode]
    group.add_argument("--split-mode", choices=modes, default="layer", help="over several devices")
    group.add_argument("--tensor-split", metavar="A,B", type=_shares, default=(), help="shares")
    group.add_argument("--type-k", choices=KV_TYPES, default="f16", help="KV cache: keys")
    group.add_argument("--type-v", choices=KV_TYPES, default="f16", help="KV cache: values")
    group.add_argument("--flash-attn", choices=FLASH_ATTN, default="auto", help="flash attention")
    group.add_argument(
        "--rpc",
        metavar="HOST:PORT",
        action="append",
        default=[],
        help="use the devices of a llama.cpp RPC server too (no authentication: trusted nets only)",
    )
    group.add_argument("--chat-template", metavar="NAME", default="", help="in place of the file's")
    guesses = group.add_mutually_exclusive_group()
    guesses.add_argument("--draft", metavar="MODEL", type=Path, help="a small model that guesses")
    guesses.add_argument("--lookup", action="store_true", help="guess from the conversation itself")
    group.add_argument("--n-draft", metavar="N", type=whole(1, 64), default=8, help="guesses")


def _add_reply(group: Any) -> None:
    group.add_argument("-n", "--max-tokens", metavar="N", type=whole(1), help="tokens at most")
    group.add_argument("--seed", metavar="S", type=whole(0, MAX_SEED), help="seed of the sampler")
    group.add_argument("--ignore-eos", action="store_true", help="go on past the end of reply")
    group.add_argument(
        "--stop", metavar="TEXT", action="append", default=[], help="end the reply before this"
    )
    group.add_argument(
        "--logit-bias",
        metavar="TEXT=B",
        action="append",
        type=_bias,
        default=[],
        help="add B to the logits of these tokens; -inf forbids them",
    )
    shapes = group.add_mutually_exclusive_group()
    shapes.add_argument("--grammar-file", metavar="FILE", type=Path, help="GBNF the reply follows")
    shapes.add_argument("--json-schema", metavar="FILE", type=Path, help="schema it follows")
    group.add_argument(
        "--when-full",
        choices=[choice.value for choice in WhenFull],
        default=WhenFull.STOP.value,
        help="what becomes of a conversation the context does not hold",
    )


def _add_parameter(group: Any, parameter: SamplingParameter) -> None:
    low, high = parameter.minimum, parameter.maximum
    group.add_argument(
        "--" + SHORT.get(parameter.name, parameter.name).replace("_", "-"),
        dest=parameter.name,
        metavar="N",
        type=whole(int(low), int(high)) if parameter.whole else _number(low, high),
        help=parameter.sentence.replace("%", "%%"),
    )


def load_settings(options: argparse.Namespace, n_ctx_train: int) -> LoadSettings:
    """Return how the model is to be loaded."""
    speculation = Speculation.NONE
    if options.draft is not None:
        speculation = Speculation.DRAFT_MODEL
    elif options.lookup:
        speculation = Speculation.PROMPT_LOOKUP
    settings = LoadSettings(
        model=options.model,
        n_ctx=options.ctx or min(DEFAULT_CTX, n_ctx_train or DEFAULT_CTX),
        n_gpu_layers=options.ngl,
        split_mode=SplitMode(options.split_mode),
        tensor_split=options.tensor_split,
        threads=options.threads,
        type_k=options.type_k,
        type_v=options.type_v,
        flash_attn=options.flash_attn,
        rpc_servers=tuple(options.rpc),
        speculation=speculation,
        model_draft=options.draft,
        n_draft=options.n_draft,
        chat_template=options.chat_template,
    )
    if options.ubatch is None:
        return settings
    n_batch = max(settings.n_batch, options.ubatch)
    return dataclasses.replace(settings, n_batch=n_batch, n_ubatch=options.ubatch)


def sampling(options: argparse.Namespace) -> Sampling:
    """Return how replies are sampled: the preset, and over it what was given.

    Raises UsageError for a file that cannot be read, and for what cannot be sampled with.
    """
    names = [parameter.name for parameter in PARAMETERS]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    chosen = dataclasses.replace(
        PRESETS[options.preset] if options.preset else Sampling(),
        **given,
        seed=options.seed,
        max_tokens=options.max_tokens,
        ignore_eos=options.ignore_eos,
        logit_bias=tuple(options.logit_bias),
        stop=tuple(options.stop),
        grammar=_text_of(options.grammar_file),
        json_schema=_text_of(options.json_schema),
    )
    try:
        check(chosen)
    except EngineError as error:
        raise UsageError(str(error)) from error
    return chosen


def _text_of(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{path} cannot be read: {why}") from error
    if not text.strip():
        raise UsageError(f"{path} is empty")
    return text


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: must be a number from {low:g} to {high:g}")
        return value

    return parse


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(share) for share in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: must be numbers like 3,2") from None


def _bias(text: str) -> TokenBias:
    what, _, bias = text.rpartition("=")
    try:
        return TokenBias(what, float(bias))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: must be TEXT=NUMBER") from None
