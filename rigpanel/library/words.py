# SPDX-License-Identifier: MIT
"""Sizes of models as people say them."""


def count_words(n: int) -> str:
    """Return a number of parameters: `70.6 B`, `853 k`."""
    for step, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if n >= step:
            return f"{n / step:.1f} {unit}" if n < 100 * step else f"{n / step:.0f} {unit}"
    return str(n)


def size_words(mib: float) -> str:
    """Return a size in MiB as `39.6 GiB` or `120 MiB`."""
    if mib >= 1024:
        return f"{mib / 1024:.1f} GiB"
    return f"{mib:.0f} MiB" if mib >= 10 else f"{mib:.1f} MiB"
