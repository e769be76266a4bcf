# SPDX-License-Identifier: MIT
"""What importing the command line costs beside a bare interpreter.

Run: python -m tests.benchmarks.import_cli [--runs N]
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).parents[2]
AIM_MS = 100.0


def milliseconds(script: str) -> float:
    """Start an interpreter, run `script`, wait for its end."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], cwd=TOP, check=True)
    return (time.perf_counter() - begun) * 1000


def main() -> int:
    """Print the medians of pairs taken by turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="pairs of starts")
    options = parser.parse_args()
    bare: list[float] = []
    cli: list[float] = []
    for _ in range(options.runs):
        bare.append(milliseconds("pass"))
        cli.append(milliseconds("import rigpanel.cli"))
    extra = statistics.median(cli) - statistics.median(bare)
    print(f"bare interpreter {statistics.median(bare):.0f} ms, rigpanel.cli {extra:.0f} ms more")
    return 0 if extra <= AIM_MS else 1


if __name__ == "__main__":
    sys.exit(main())
