# SPDX-License-Identifier: MIT
"""The parts of a Sampling that are written as text: how each is read and written."""

import ast
from collections.abc import Callable
from dataclasses import dataclass

from rigpanel.engine.messages import EngineError, Sampling, TokenBias


@dataclass(frozen=True, slots=True)
class TextParameter:
    """One field of `Sampling` that is written in; `read` raises EngineError."""

    name: str
    label: str
    hint: str
    sentence: str
    read: Callable[[str], object]
    write: Callable[[Sampling], str]
    lines: int = 3


def _whole(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError as error:
        raise EngineError(f"{text.strip()!r} is not a whole number.") from error


def _number_of(value: int | None) -> str:
    return "" if value is None else str(value)


def _each_line(text: str) -> tuple[str, ...]:
    return tuple(_unescaped(line) for line in text.split("\n") if line)


def _biases(text: str) -> tuple[TokenBias, ...]:
    biases = []
    for line in filter(str.strip, text.split("\n")):
        word, equals, number = line.rpartition("=")
        try:
            bias = float(number)
        except ValueError:
            equals, bias = "", 0.0
        if not equals:
            raise EngineError(f"{line.strip()!r}: write it as word = -2.5.")
        biases.append(TokenBias(_unescaped(word.strip()), bias))
    return tuple(biases)


def _unless_blank(text: str) -> str:
    return text if text.strip() else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _unescaped(line: str) -> str:
    """Return a line with its backslash escapes as what they stand for."""
    try:
        return str(ast.literal_eval('"' + line.replace('"', '\\"') + '"'))
    except (SyntaxError, ValueError):
        return line


TEXTS = (
    TextParameter(
        "seed",
        "Seed",
        "drawn anew each time",
        "A whole number: the same reply each time.",
        _whole,
        lambda sampling: _number_of(sampling.seed),
        lines=1,
    ),
    TextParameter(
        "max_tokens",
        "Most tokens",
        "until the model stops",
        "A reply is cut after so many tokens.",
        _whole,
        lambda sampling: _number_of(sampling.max_tokens),
        lines=1,
    ),
    TextParameter(
        "stop",
        "Stop strings",
        "one a line; \\n is a new line",
        "A reply ends before the first of these.",
        _each_line,
        lambda sampling: "\n".join(map(_escaped, sampling.stop)),
    ),
    TextParameter(
        "dry_sequence_breakers",
        "DRY breakers",
        "one a line; \\n is a new line",
        "DRY does not look for repetitions across these.",
        _each_line,
        lambda sampling: "\n".join(map(_escaped, sampling.dry_sequence_breakers)),
    ),
    TextParameter(
        "logit_bias",
        "Logit bias",
        "word = -2.5, one a line; -inf forbids",
        "Added to the logit of each token of the text.",
        _biases,
        lambda sampling: "\n".join(f"{_escaped(b.text)} = {b.bias:g}" for b in sampling.logit_bias),
    ),
    TextParameter(
        "grammar",
        "Grammar (GBNF)",
        "root ::= …",
        "A reply can only be what the grammar allows; thoughts that the template begins are free.",
        _unless_blank,
        lambda sampling: sampling.grammar,
    ),
    TextParameter(
        "json_schema",
        "JSON schema",
        '{"type": "object", …}',
        "A reply can only be JSON of this shape.",
        _unless_blank,
        lambda sampling: sampling.json_schema,
    ),
)
