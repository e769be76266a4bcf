# SPDX-License-Identifier: MIT
"""Import every module below ui, and fail when that needs or brings Qt."""

import importlib
import sys
from pathlib import Path

import rigpanel

WITH_QT = ("rigpanel.ui", "rigpanel.app", "rigpanel.picture", "rigpanel.__main__")


def core_modules() -> list[str]:
    """Return the names of every module that may not need Qt, cli with them."""
    package = Path(rigpanel.__file__).parent
    names = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not name.startswith(WITH_QT):
            names.append(name)
    return names


def main() -> int:
    """Import them all and print how many there are."""
    names = core_modules()
    for name in names:
        importlib.import_module(name)
    loaded = {name.split(".")[0] for name, module in sys.modules.items() if module is not None}
    qt = sorted(loaded & {"PySide6", "pyqtgraph", "qasync"})
    if qt:
        print("Qt came with the core:", ", ".join(qt), file=sys.stderr)
        return 1
    print(f"{len(names)} modules import without Qt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
