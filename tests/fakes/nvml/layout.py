# SPDX-License-Identifier: MIT
"""The fake driver's state: declared once, mapped by tests, printed as C for the library."""

import ctypes
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, get_type_hints

MAGIC = 0x5249474E564D4C31
MAX_CARDS, MAX_FANS, MAX_LINKS, MAX_PROCESSES = 8, 4, 18, 8
MAX_FAULTS, MAX_COUNTERS, MAX_WRITES = 32, 96, 1024
NOBODY = -1
"""Peer of a link that leads to no card of this rig (a switch, say)."""

I32 = Annotated[int, ctypes.c_int32]
U32 = Annotated[int, ctypes.c_uint32]
I64 = Annotated[int, ctypes.c_int64]
U64 = Annotated[int, ctypes.c_uint64]
Text = Annotated[bytes, ctypes.c_char * 96]
S = TypeVar("S", bound=ctypes.Structure)
C_NAMES = {
    ctypes.c_int32: "int32_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_int64: "int64_t",
    ctypes.c_uint64: "uint64_t",
}


def layout(structure: type[S]) -> type[S]:
    hints = get_type_hints(structure, include_extras=True)
    structure._fields_ = [
        (name, hints[name].__metadata__[0])
        for name in structure.__annotations__
        if name not in {"_fields_", "_pack_"}
    ]
    return structure


@layout
class Fan(ctypes.Structure):
    duty_pct: U32
    target_pct: U32
    rpm: U32
    manual: U32
    """Outlives every process, as on a real card."""
    auto_pct: U32
    """Duty that the card's own control runs it at."""
    deaf: U32
    """Takes every order without error and obeys none."""
    late_ms: U32
    """So long after an order it shows; a later order does not put that off."""
    due_ms: I64
    """When the order under way shows, on CLOCK_MONOTONIC; 0 while none is."""
    due_manual: U32
    due_pct: U32


@layout
class Process(ctypes.Structure):
    memory_bytes: U64
    pid: U32
    graphics: U32


@layout
class Card(ctypes.Structure):
    name: Text
    uuid: Text
    pci_bus_id: Text
    memory_total_bytes: U64
    memory_used_bytes: U64
    memory_reserved_bytes: U64
    energy_mj: U64
    throttle_mask: U64
    nvlink_kib: U64
    temperature_c: I32
    frozen: I32
    frozen_c: I32
    slowdown_c: U32
    shutdown_c: U32
    margin_c: I32
    slowdown_tlimit_c: I32
    shutdown_tlimit_c: I32
    power_mw: U32
    limit_mw: U32
    limit_default_mw: U32
    limit_min_mw: U32
    limit_max_mw: U32
    utilization_pct: U32
    clock_sm_mhz: U32
    clock_mem_mhz: U32
    fan_count: I32
    """-1 has the driver say that it does not know of fans on this card."""
    min_duty_pct: U32
    max_duty_pct: U32
    pcie_gen: U32
    pcie_width: U32
    pcie_max_gen: U32
    pcie_max_width: U32
    pcie_tx_kib_s: U32
    pcie_rx_kib_s: U32
    link_count: I32
    """-1 has the driver say that this card has no NVLink."""
    link_active_mask: U32
    link_version: U32
    process_count: U32
    lost: I32
    """0 there; 1 gone, though still counted; 2 gone, but a handle still tells its name and UUID."""
    lost_error: I32
    unlisted: I32
    """1 leaves the card out when the driver next starts."""
    times_lost: U32
    """Handles from before a loss stay dead until NVML is started anew."""
    slow_ms: U32
    link_peer: Annotated["ctypes.Array[ctypes.c_int32]", ctypes.c_int32 * MAX_LINKS]
    fans: Annotated["ctypes.Array[Fan]", Fan * MAX_FANS]
    processes: Annotated["ctypes.Array[Process]", Process * MAX_PROCESSES]


@layout
class Fault(ctypes.Structure):
    function: Text
    card: I32
    """-1 for every card."""
    error: I32
    after: I32
    """Calls that still succeed before it bites."""


@layout
class Counter(ctypes.Structure):
    function: Text
    calls: U64


@layout
class Write(ctypes.Structure):
    function: Text
    at_ms: I64
    """On CLOCK_MONOTONIC."""
    pid: I32
    card: I32
    fan: I32
    value: I32
    status: I32


@layout
class State(ctypes.Structure):
    magic: U64
    size: U64
    driver_version: Text
    nvml_version: Text
    init_error: I32
    card_count: I32
    setters_allowed: I32
    root_only: I32
    """1 refuses setters to every process that is not root's, as drivers do."""
    range_unchecked: I32
    """Takes a duty out of range without an error, as some drivers did."""
    slow_ms: U32
    pcie_block_ms: U32
    inits: U32
    counter_count: U32
    write_count: U32
    fault_count: U32
    faults: Annotated["ctypes.Array[Fault]", Fault * MAX_FAULTS]
    counters: Annotated["ctypes.Array[Counter]", Counter * MAX_COUNTERS]
    writes: Annotated["ctypes.Array[Write]", Write * MAX_WRITES]
    cards: Annotated["ctypes.Array[Card]", Card * MAX_CARDS]


def _members(structure: Any) -> Iterator[str]:
    for name, kind in structure._fields_:
        length = getattr(kind, "_length_", None)
        inner = kind if length is None else kind._type_
        c_name = "char" if inner is ctypes.c_char else C_NAMES.get(inner, inner.__name__)
        yield f"  {c_name} {name}{'' if length is None else f'[{length}]'};"


def as_c() -> str:
    """Return the layout as a C header."""
    limits = {
        "MAX_CARDS": MAX_CARDS,
        "MAX_FANS": MAX_FANS,
        "MAX_LINKS": MAX_LINKS,
        "MAX_COUNTERS": MAX_COUNTERS,
        "MAX_WRITES": MAX_WRITES,
    }
    lines = [f"#define {name} {value}" for name, value in limits.items()]
    lines += [f"#define STATE_MAGIC {MAGIC}ULL", f"#define STATE_SIZE {ctypes.sizeof(State)}UL"]
    for structure in (Fan, Process, Card, Fault, Counter, Write, State):
        lines += ["typedef struct {", *_members(structure), f"}} {structure.__name__};"]
    return "\n".join(lines) + "\n"
