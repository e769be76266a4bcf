# SPDX-License-Identifier: MIT
"""Phases shade the time axis."""

from rigpanel.watch.phases import PhaseKind, PhaseLog


def test_a_phase_ends_where_the_next_begins() -> None:
    log = PhaseLog()
    log.begin(PhaseKind.PREFILL, 1.0)
    log.begin(PhaseKind.DECODE, 3.0)
    assert [(p.kind, p.begin_s, p.end_s) for p in log.since(0.0)] == [
        (PhaseKind.PREFILL, 1.0, 3.0),
        (PhaseKind.DECODE, 3.0, None),
    ]
    log.end(9.0)
    assert [p.begin_s for p in log.since(4.0)] == [3.0]
    assert log.since(9.5) == ()
