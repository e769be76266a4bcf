# SPDX-License-Identifier: MIT
"""Which room may import what, and that the checks of it bite."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


def python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    script = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", script, "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(
        TOP / "rigpanel", tmp_path / "rigpanel", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_command_line_starts_without_qt_and_llama_cpp() -> None:
    done = python(
        "import sys, rigpanel.cli; "
        "print(sorted({n.split('.')[0] for n in sys.modules} & {'PySide6', 'llama_cpp', 'numpy'}))"
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_rooms_below_ui_import_where_qt_is_absent() -> None:
    done = python(
        "import runpy, sys\n"
        "for name in ('PySide6', 'pyqtgraph', 'qasync', 'shiboken6'): sys.modules[name] = None\n"
        "runpy.run_path('packaging/lib/import_core.py', run_name='__main__')"
    )
    assert done.returncode == 0, done.stderr
    assert "modules import without Qt" in done.stdout


def test_the_rooms_keep_their_contracts(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("rig/readings.py", "import rigpanel.watch.tick", "A lower room"),
        ("library/__init__.py", "import rigpanel.rig.readings", "A lower room"),
        ("errors.py", "import rigpanel.codec", "A lower room"),
        ("storage.py", "import rigpanel.chat.store", "A lower room"),
        ("engine/messages.py", "import rigpanel.chat.store", "A lower room"),
        ("chat/store.py", "import PySide6.QtCore", "Qt lives"),
        ("storage.py", "import PySide6.QtCore", "Qt lives"),
        ("engine/messages.py", "import PySide6.QtCore", "Qt lives"),
        ("watch/alerts.py", "import qasync", "Qt lives"),
        ("cli/gpus.py", "import PySide6.QtCore", "Qt lives"),
        ("engine/messages.py", "import llama_cpp", "engine.llama"),
        ("cli/gpus.py", "import llama_cpp", "engine.llama"),
        ("rig/readings.py", "import pynvml", "NVML modules"),
        ("engine/messages.py", "import pynvml", "NVML modules"),
        ("cli/fans.py", "import rigpanel.rig.nvml_control", "can set anything"),
        ("cli/fans.py", "import rigpanel.cooling.hardware", "opens the cards"),
        ("cooling/loop.py", "import numpy", "fan helper is small"),
    ],
)
def test_a_broken_contract_is_found(copy: Path, module: str, line: str, contract: str) -> None:
    file = copy / "rigpanel" / module
    file.write_text(f"{file.read_text()}\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode == 1
    broken = [row for row in done.stdout.splitlines() if " BROKEN" in row]
    assert [contract in row for row in broken] == [True]
