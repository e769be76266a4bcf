# SPDX-License-Identifier: MIT
"""How much memory a graph of operations needs when each result lives only until its last use."""

import bisect

ENDLESS = 2**62


class Arena:
    """A buffer that gives out the tightest free gap, and grows only when none is large enough.

    llama.cpp plans its compute buffer so (ggml-alloc.c); its gaps make the buffer larger than the
    sum of what lives at once.
    """

    def __init__(self, alignment: int) -> None:
        self._alignment = alignment
        self._gaps: list[tuple[int, int]] = [(0, ENDLESS)]
        """Offset and size, by offset; the last is the end of the buffer."""
        self.peak = 0

    def round_up(self, size: int) -> int:
        """Return `size` as it is given out."""
        return -(-size // self._alignment) * self._alignment

    def take(self, size: int) -> int:
        """Take `size` bytes and return where they begin."""
        size = self.round_up(size)
        inner = [(gap[1], -index) for index, gap in enumerate(self._gaps[:-1]) if gap[1] >= size]
        index = -min(inner)[1] if inner else len(self._gaps) - 1
        at, room = self._gaps[index]
        if room == size:
            del self._gaps[index]
        else:
            self._gaps[index] = (at + size, room - size)
        self.peak = max(self.peak, at + size)
        return at

    def give_back(self, at: int, size: int) -> None:
        """Give back what was taken."""
        end = at + self.round_up(size)
        index = bisect.bisect(self._gaps, (at, 0))
        if index < len(self._gaps) and self._gaps[index][0] == end:
            end += self._gaps.pop(index)[1]
        if index and sum(self._gaps[index - 1]) == at:
            at = self._gaps.pop(index - 1)[0]
            index -= 1
        self._gaps.insert(index, (at, end - at))


class Graph:
    """Operations in the order they run; a result is an index given by `input` or `add`."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._sources: list[tuple[int, ...]] = []
        self._inplace: list[bool] = []
        self._inputs: list[int] = []
        self._lasting: set[int] = set()

    def input(self, size: int, *, lasting: bool = False) -> int:
        """Add what is there before the first operation; `lasting` is there to the end."""
        result = self._append(size, (), inplace=False)
        self._inputs.append(result)
        if lasting:
            self._lasting.add(result)
        return result

    def add(self, size: int, *sources: int, inplace: bool = False) -> int:
        """Add an operation with a result of `size` bytes.

        `inplace` lets it write over a source of the same size that nothing else needs any more.
        """
        return self._append(size, sources, inplace=inplace)

    def _append(self, size: int, sources: tuple[int, ...], *, inplace: bool) -> int:
        self._sizes.append(size)
        self._sources.append(sources)
        self._inplace.append(inplace)
        return len(self._sizes) - 1

    def peak(self, alignment: int = 128) -> int:
        """Return the bytes its buffer needs."""
        uses = [0] * len(self._sizes)
        for sources in self._sources:
            for source in sources:
                uses[source] += 1
        for lasting in self._lasting:
            uses[lasting] += 1
        arena = Arena(alignment)
        places: dict[int, int] = {}
        for given in self._inputs:
            places[given] = arena.take(self._sizes[given])
        for result, sources in enumerate(self._sources):
            if result not in places:
                places[result] = self._place(result, uses, places, arena)
            for source in sources:
                uses[source] -= 1
                if uses[source] == 0 and source in places:
                    arena.give_back(places.pop(source), self._sizes[source])
        return arena.peak

    def _place(self, result: int, uses: list[int], places: dict[int, int], arena: Arena) -> int:
        if self._inplace[result]:
            for source in self._sources[result]:
                same = self._sizes[source] == self._sizes[result]
                if same and uses[source] == 1 and source in places:
                    return places.pop(source)
        return arena.take(self._sizes[result])
