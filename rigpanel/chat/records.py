# SPDX-License-Identifier: MIT
"""How a reply came about, as the columns of its row and back."""

import functools
import json

from rigpanel.chat.conversation import ReplyRecord
from rigpanel.codec import from_plain, to_plain
from rigpanel.engine.messages import ReplyStats, Sampling
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.rig.energy import CardEnergy

Columns = tuple[str | None, str | None, str | None, str | None]


def to_columns(record: ReplyRecord | None) -> Columns:
    """Return stats, settings, sampling and energy as JSON texts; all None for no record."""
    if record is None:
        return (None, None, None, None)
    return (
        json.dumps(to_plain(record.stats)),
        None if record.settings is None else json.dumps(to_plain(record.settings)),
        json.dumps(to_plain(record.sampling)),
        json.dumps(to_plain(record.energy)),
    )


def from_columns(
    stats: str | None, settings: str | None, sampling: str | None, energy: str | None
) -> ReplyRecord | None:
    """Return the record; None where there is none, or none that this version can read."""
    if stats is None:
        return None
    try:
        return ReplyRecord(
            from_plain(ReplyStats, json.loads(stats)),
            None if settings is None else _settings(settings),
            Sampling() if sampling is None else _sampling(sampling),
            _energy(energy or "[]"),
        )
    except (ValueError, TypeError):
        return None


# The replies of a conversation share these, and building them takes most of opening it.
@functools.lru_cache(maxsize=64)
def _energy(text: str) -> tuple[CardEnergy, ...]:
    return tuple(from_plain(CardEnergy, card) for card in json.loads(text))


@functools.lru_cache(maxsize=64)
def _settings(text: str) -> LoadSettings:
    return from_plain(LoadSettings, json.loads(text))


@functools.lru_cache(maxsize=64)
def _sampling(text: str) -> Sampling:
    return from_plain(Sampling, json.loads(text))
