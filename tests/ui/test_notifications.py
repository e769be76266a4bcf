# SPDX-License-Identifier: MIT
"""Notifications where there is no bus: told once in the log, and nothing else suffers."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from rigpanel.rig.simulated import SimulatedRig
from rigpanel.ui.notifications import Notifier
from rigpanel.watch.alerts import AlertBook, Thresholds
from rigpanel.watch.tick import Tick
from tests.ui.conftest import Run


@pytest.mark.parametrize("address", [None, "unix:path=/nowhere", "nonsense"])
def test_without_a_bus_it_says_so_once(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    address: str | None,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    if address is None:
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    book = AlertBook(Thresholds(hot_c=50.0, cool_c=45.0, hold_s=0.0))
    read = SimulatedRig(lambda: 0.0).read()

    async def work() -> None:
        notifier = Notifier()
        for temperature_c in (60.0, 40.0, 60.0):
            gpus = tuple(replace(gpu, temperature_c=temperature_c) for gpu in read.cards)
            notifier.take_tick(Tick(0.0, replace(read, gpus=gpus), book.step(gpus, 0.0), ()))
            await asyncio.sleep(0.05)
        await notifier.close()

    run(work())
    assert caplog.text.count("no desktop notifications") == 1
