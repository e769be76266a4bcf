# SPDX-License-Identifier: MIT
"""Asks llama.cpp for its devices in a process of their own, which a bad RPC server may end."""

import asyncio

from rigpanel.engine.child import Child
from rigpanel.engine.devices import Device
from rigpanel.engine.endings import lost_a_server, no_answer, silent
from rigpanel.engine.events import DevicesListed, ListDevices, Quit
from rigpanel.engine.messages import EngineError
from rigpanel.engine.rpc_peer import who_is_gone

LIMIT_S = 30.0
"""For starting llama.cpp and greeting the servers; a driver that hangs takes longer."""
GOODBYE_S = 1.0


async def list_devices(rpc_servers: tuple[str, ...]) -> tuple[Device, ...]:
    """Return this machine's devices and those of `rpc_servers`; raises EngineError."""
    child = await Child.start()
    answer: DevicesListed | None = None
    in_time = False
    try:
        child.post(ListDevices(0, rpc_servers))
        answer = await asyncio.wait_for(_answer(child), LIMIT_S)
        in_time = True
        child.post(Quit())
    except TimeoutError:
        pass
    finally:
        if not in_time:
            child.kill()
        await child.ends(GOODBYE_S)  # One that a driver holds is left to its end.
        child.close()
    if not in_time:
        raise EngineError(await _why_late(rpc_servers))
    if answer is None:
        lines = list(child.lines)
        gone = await asyncio.to_thread(who_is_gone, rpc_servers) if lost_a_server(lines) else ()
        raise EngineError(no_answer(child.process.returncode, lines, gone, rpc_servers))
    if answer.problem:
        raise EngineError(answer.problem)
    return answer.devices


async def _why_late(rpc_servers: tuple[str, ...]) -> str:
    late = f"llama.cpp did not list its devices within {LIMIT_S:.0f} s."
    if servers := await asyncio.to_thread(who_is_gone, rpc_servers):
        return f"{late} {silent(servers)}"
    return f"{late} Does the driver still answer (nvidia-smi)?"


async def _answer(child: Child) -> DevicesListed | None:
    while (event := await child.next_event()) is not None:
        if isinstance(event, DevicesListed):
            return event
    return None
