# SPDX-License-Identifier: MIT
"""Damages a GGUF file at places that matter, the same way for the same seed."""

import random
import struct

INTEGERS = (0, 1, 2, 3, 31, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, 2**64 - 1)
FLOATS = (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), float("-inf"))
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of each scalar type of GGUF."""


class Layout:
    """Where the numbers of a GGUF file stand: offsets and sizes in bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.numbers: list[tuple[int, int]] = [(4, 4), (8, 8), (16, 8)]
        n_tensors, n_values = struct.unpack_from("<QQ", data, 8)
        at = 24
        for _ in range(n_values):
            at = self._value(self._string(at))
        for _ in range(n_tensors):
            at = self._tensor(at)
        self.header_end = at

    def _string(self, at: int) -> int:
        self.numbers.append((at, 8))
        return at + 8 + int(struct.unpack_from("<Q", self._data, at)[0])

    def _value(self, at: int) -> int:
        kind = struct.unpack_from("<I", self._data, at)[0]
        self.numbers.append((at, 4))
        if kind == 8:
            return self._string(at + 4)
        if kind != 9:
            self.numbers += [(at + 4, SIZES[kind])] * 6  # What the model is: more often than most.
            return at + 4 + SIZES[kind]
        of, count = struct.unpack_from("<IQ", self._data, at + 4)
        self.numbers += [(at + 4, 4), (at + 8, 8)]
        at += 16
        if of != 8:
            return at + int(count) * SIZES[of]
        for _ in range(count):
            at += 8 + int(struct.unpack_from("<Q", self._data, at)[0])
        return at

    def _tensor(self, at: int) -> int:
        at = self._string(at)
        n_dims = struct.unpack_from("<I", self._data, at)[0]
        self.numbers += [(at, 4), *((at + 4 + 8 * n, 8) for n in range(n_dims))]
        at += 4 + 8 * n_dims
        self.numbers += [(at, 4), (at + 4, 8)]
        return at + 12


def mutated(data: bytes, layout: Layout, seed: int) -> bytes:
    """Return `data` with one to four damages."""
    draw = random.Random(seed)  # noqa: S311 - the same for the same seed is what is wanted
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        kind = draw.random()
        if kind < 0.6:
            at, size = draw.choice(layout.numbers)
            changed[at : at + size] = _number(draw, bytes(changed[at : at + size]))
        elif kind < 0.8:
            at = draw.randrange(layout.header_end)
            changed[at] ^= 1 << draw.randrange(8)
        elif kind < 0.9:
            at = draw.randrange(layout.header_end)
            changed[at : at + draw.randrange(1, 64)] = draw.randbytes(draw.randrange(64))
        else:
            del changed[draw.randrange(len(changed)) :]
            break
        if len(changed) < len(data) // 2:
            break
    return bytes(changed)


def _number(draw: random.Random, now: bytes) -> bytes:
    size = len(now)
    choice = draw.random()
    if choice < 0.5:
        value = draw.choice(INTEGERS)
    elif choice < 0.9 or size != 4:
        value = int.from_bytes(now, "little") + draw.choice((-1, 1, 2, 16, -16))
    else:
        return struct.pack("<f", draw.choice(FLOATS))
    return int(value % 2 ** (8 * size)).to_bytes(size, "little")
