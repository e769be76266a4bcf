# SPDX-License-Identifier: MIT
"""The numbers that decide how the next token is chosen: range, plain sentence, and presets."""

import math
import re
from dataclasses import dataclass

from rigpanel.engine.messages import EngineError, Sampling

MAX_SEED = 2**32 - 2
"""The number after it means "draw one" to llama.cpp."""
MOST_TOKENS = 2**31 - 1
LONGEST_STOP = 1000
LONGEST_GRAMMAR = 1_000_000
DEEPEST_GRAMMAR = 200
"""Brackets within brackets: llama.cpp reads each level by calling itself."""
STRONGEST_BIAS = 1000.0
_LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|\[(?:\\.|[^\]\\\n])*\]|#[^\n]*')
"""What stands for itself in GBNF, and comments."""
_REPEATED = re.compile(r"\{\s*(\d{1,18})\s*,\s*(\d{1,18})\s*\}")
_UNREADABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SamplingParameter:
    """One number of `Sampling`; the command line and the window's form are made from these."""

    name: str
    """The field of `Sampling`."""
    label: str
    sentence: str
    minimum: float
    maximum: float
    step: float
    """What one click changes; a whole number where the parameter is one."""
    off: float | None
    """The value that switches it off; None where nothing does."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are taken."""
        return isinstance(getattr(_DEFAULT, self.name), int)


_DEFAULT = Sampling()

PARAMETERS = (
    SamplingParameter(
        "temperature",
        "Temperature",
        "How freely it chooses: low is steady, high is surprising; 0 always takes the likeliest.",
        0.0, 100.0, 0.05, None,
    ),
    SamplingParameter(
        "top_k", "Top-k", "Chooses among this many of the likeliest tokens; 0 is off.",
        0, 1_000_000, 1, 0,
    ),
    SamplingParameter(
        "top_p",
        "Top-p",
        "Chooses among the likeliest tokens that together have this probability; 1 is off.",
        0.0, 1.0, 0.01, 1.0,
    ),
    SamplingParameter(
        "min_p",
        "Min-p",
        "Leaves out tokens less probable than this share of the likeliest; 0 is off.",
        0.0, 1.0, 0.01, 0.0,
    ),
    SamplingParameter(
        "typical_p",
        "Typical-p",
        "Prefers tokens about as surprising as the text so far would have them; 1 is off.",
        0.0, 1.0, 0.01, 1.0,
    ),
    SamplingParameter(
        "repeat_last_n",
        "Look back",
        "How many tokens the three penalties look back on; -1 is the whole context, 0 is off.",
        -1, 1_000_000, 16, 0,
    ),
    SamplingParameter(
        "repeat_penalty",
        "Repeat penalty",
        "Makes tokens that have come before less likely; 1 is off, above 1.3 hurts most models.",
        0.01, 10.0, 0.01, 1.0,
    ),
    SamplingParameter(
        "presence_penalty",
        "Presence penalty",
        "Taken off every token that has come before, however often; 0 is off.",
        -10.0, 10.0, 0.05, 0.0,
    ),
    SamplingParameter(
        "frequency_penalty",
        "Frequency penalty",
        "Taken off a token for each time it has come before; 0 is off.",
        -10.0, 10.0, 0.05, 0.0,
    ),
    SamplingParameter(
        "dry_multiplier",
        "DRY strength",
        "How hard it is held off from saying a passage over again; 0 is off, 0.8 is usual.",
        0.0, 100.0, 0.05, 0.0,
    ),
    SamplingParameter(
        "dry_base",
        "DRY base",
        "How fast the DRY penalty grows with the length of the repetition.",
        1.0, 10.0, 0.05, None,
    ),
    SamplingParameter(
        "dry_allowed_length",
        "DRY allowed length",
        "Repetitions of up to this many tokens are not penalized by DRY.",
        0, 1_000_000, 1, None,
    ),
    SamplingParameter(
        "dry_penalty_last_n",
        "DRY look back",
        "How many tokens DRY looks back on; -1 is the whole context, 0 is off.",
        -1, 1_000_000, 64, 0,
    ),
    SamplingParameter(
        "xtc_probability",
        "XTC probability",
        "How often the likeliest tokens are left out, to make it more inventive; 0 is off.",
        0.0, 1.0, 0.05, 0.0,
    ),
    SamplingParameter(
        "xtc_threshold",
        "XTC threshold",
        "Only tokens at least this probable may be left out by XTC; above 0.5 it does nothing.",
        0.0, 1.0, 0.05, None,
    ),
    SamplingParameter(
        "mirostat",
        "Mirostat",
        "Steers to an even measure of surprise, in place of top-k, top-p and the like; 0 is off, "
        "1 and 2 are its versions.",
        0, 2, 1, 0,
    ),
    SamplingParameter(
        "mirostat_tau",
        "Mirostat target",
        "The measure of surprise Mirostat steers to; lower is steadier.",
        0.0, 100.0, 0.1, None,
    ),
    SamplingParameter(
        "mirostat_eta",
        "Mirostat rate",
        "How fast Mirostat corrects itself.",
        0.0, 1.0, 0.01, None,
    ),
)  # fmt: skip
"""In the order a form shows them; llama.cpp's own order of samplers, as far as it has one."""

PRESETS = {
    "precise": Sampling(temperature=0.2, top_k=20, top_p=0.8, min_p=0.1),
    "balanced": Sampling(),
    "creative": Sampling(
        temperature=1.1, top_k=0, top_p=1.0, min_p=0.05, dry_multiplier=0.8,
        xtc_probability=0.3, xtc_threshold=0.1,
    ),
}  # fmt: skip
"""Precise for facts and code, balanced is llama.cpp's default, creative for stories."""


def check(sampling: Sampling) -> None:
    """Raise EngineError with a sentence for the first value that cannot be sampled with."""
    for parameter in PARAMETERS:
        _check_number(parameter, getattr(sampling, parameter.name))
    if sampling.seed is not None and not 0 <= sampling.seed <= MAX_SEED:
        raise EngineError(f"Seed {sampling.seed}: must be from 0 to {MAX_SEED}.")
    if sampling.max_tokens is not None and not 1 <= sampling.max_tokens <= MOST_TOKENS:
        raise EngineError(f"At most {sampling.max_tokens} tokens: must be 1 or more.")
    _check_texts(sampling)
    _check_grammar(sampling)


def _check_number(parameter: SamplingParameter, value: float) -> None:
    low, high = parameter.minimum, parameter.maximum
    whole = parameter.whole and not isinstance(value, int)
    if whole or not math.isfinite(value) or not low <= value <= high:
        number = "a whole number" if parameter.whole else "a number"
        raise EngineError(f"{parameter.label} {value}: must be {number} from {low:g} to {high:g}.")


def _check_texts(sampling: Sampling) -> None:
    for what, texts in (
        ("stop string", sampling.stop),
        ("DRY sequence breaker", sampling.dry_sequence_breakers),
        ("text with a logit bias", tuple(bias.text for bias in sampling.logit_bias)),
    ):
        if any(not 1 <= len(text) <= LONGEST_STOP for text in texts):
            raise EngineError(f"A {what} must have from 1 to {LONGEST_STOP} characters.")
        check_text(f"A {what}", *texts)
    for bias in sampling.logit_bias:
        if not (bias.bias == -math.inf or abs(bias.bias) <= STRONGEST_BIAS):
            raise EngineError(
                f"Logit bias {bias.bias} for {bias.text!r}: must be from {-STRONGEST_BIAS:g} to "
                f"{STRONGEST_BIAS:g}, or minus infinity to forbid it."
            )


def _check_grammar(sampling: Sampling) -> None:
    if not (sampling.grammar or sampling.json_schema):
        return
    if sampling.grammar and sampling.json_schema:
        raise EngineError("A grammar and a JSON schema cannot hold at once; take one of them out.")
    if sampling.ignore_eos:
        raise EngineError(
            "A grammar says where the reply ends, so the end cannot be ignored; take one of them "
            "out."
        )
    for what, text in (("grammar", sampling.grammar), ("JSON schema", sampling.json_schema)):
        check_text(f"The {what}", text)
        if len(text) > LONGEST_GRAMMAR:
            raise EngineError(f"The {what} is longer than {LONGEST_GRAMMAR} characters.")
        if nesting(text) > DEEPEST_GRAMMAR:
            raise EngineError(f"The {what} is nested more than {DEEPEST_GRAMMAR} levels deep.")
    check_grammar(sampling.grammar)


def check_grammar(grammar: str) -> None:
    """Raise EngineError for a grammar that llama.cpp would read for ever."""
    for low, high in _REPEATED.findall(_LITERAL.sub("", grammar)):
        if int(low) > int(high):
            raise EngineError(
                f"The grammar repeats something {{{low},{high}}} times: the first number must not "
                "be above the second."
            )


def check_text(what: str, *texts: str) -> None:
    """Raise EngineError where llama.cpp cannot be given a text: NUL, half a character."""
    for text in texts:
        found = _UNREADABLE.search(text)
        if found and found[0] == "\0":
            raise EngineError(f"{what} has a NUL character in it, which a model cannot read.")
        if found:
            raise EngineError(
                f"{what} has half a character in it (a lone surrogate). Write or paste it anew."
            )


def nesting(text: str) -> int:
    """Return how deep brackets stand within brackets, wherever they stand."""
    deepest = depth = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    return deepest
