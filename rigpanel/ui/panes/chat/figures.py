# SPDX-License-Identifier: MIT
"""What a reply took, in words: measured, or left out with the reason."""

from rigpanel.chat.conversation import ReplyRecord
from rigpanel.engine.messages import FinishReason, ReplyStats
from rigpanel.rig.readings import Missing
from rigpanel.ui import words
from rigpanel.ui.panes.chat.talk import Said

NOT_READ = "No energy: the cards were not read while it came."
LEAST_READ = 8
"""Prompt tokens from which on their rate says something: one alone is a call, not a reading."""


def author(said: Said) -> str:
    """Return who said it."""
    return "You" if said.role == "user" else said.model or "Model"


def note_of(said: Said) -> tuple[str, str, bool]:
    """Return the line under a message, its tooltip, and whether it tells of a failure."""
    if not said.finished:
        return "\n".join([*said.notices, said.progress]).strip(), "", False
    lines = [*said.notices]
    tip = ""
    if said.record is not None:
        lines.append(reply_line(said.record, said.n_ctx))
        tip = "\n".join(energy_lines(said.record, said.energy_missing))
    if said.note:
        lines.append(said.note)
    return "\n".join(lines), tip, bool(said.note)


def reply_line(record: ReplyRecord, n_ctx: int | None) -> str:
    """Return what a reply took as one line, with joules a token where every card tells them."""
    line = stats_line(record.stats, n_ctx)
    each_j = record.j_per_token
    return line if isinstance(each_j, Missing) else f"{line} · {each_j:.2f} J/token"


def energy_lines(record: ReplyRecord, missing: str) -> list[str]:
    """Return what each card took, or the reason why that is not known."""
    if not record.energy:
        return [missing or NOT_READ]
    lines = [f"{card.name}: {words.reading(card.energy_j, '{:.0f} J')}" for card in record.energy]
    total_j = record.energy_j
    if isinstance(total_j, Missing):
        return [*lines, f"No J/token: a card's energy is missing ({words.WORDS[total_j]})."]
    return [*lines, f"Together {total_j:.0f} J, from the cards' own counters"]


def counted_tokens(count: int) -> str:
    """Return how many tokens, in words."""
    return "1 token" if count == 1 else f"{count} tokens"


def stats_line(stats: ReplyStats, n_ctx: int | None) -> str:
    """Return what a reply took, measured, as one line; `n_ctx` is the model's context."""
    parts = [counted_tokens(stats.n_gen)]
    if stats.tg_tps is not None:
        parts.append(f"{stats.tg_tps:.1f} tokens/s")
    if stats.ttft_s is not None:
        parts.append(f"first token after {stats.ttft_s:.2f} s")
    cached = f" ({stats.n_cached} cached)" if stats.n_cached else ""
    parts.append(f"prompt {counted_tokens(stats.n_prompt)}{cached}")
    if stats.pp_tps is not None and stats.n_prompt - stats.n_cached >= LEAST_READ:
        parts.append(f"read at {stats.pp_tps:.0f} tokens/s")
    if stats.n_drafted:
        parts.append(f"{stats.n_accepted} of {stats.n_drafted} guesses taken")
    if stats.finish_reason is FinishReason.CANCELLED:
        parts.insert(0, "Stopped")
    elif stats.finish_reason is FinishReason.LENGTH:
        full = n_ctx is not None and stats.n_prompt + stats.n_gen >= n_ctx - 1
        parts.insert(0, "Cut: the context is full" if full else "Cut at its limit of tokens")
    return " · ".join(parts)


def reasoning_title(said: Said) -> str:
    """Return what is known of the thoughts: `Thought for 12 s · 340 tokens`."""
    if not said.finished and not said.text:
        return "Thinking …"
    title = "Thought"
    if said.thinking_s is not None:
        decimals = 0 if said.thinking_s >= 10 else 1
        title = f"Thought for {said.thinking_s:.{decimals}f} s"
    if said.record is not None and said.record.stats.n_reasoning:
        title += f" · {counted_tokens(said.record.stats.n_reasoning)}"
    return title
