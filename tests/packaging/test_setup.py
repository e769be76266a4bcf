# SPDX-License-Identifier: MIT
"""The set-up: what it builds, what it says is missing, and that half a build is never used."""

import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
BUILT_LIBRARIES = "libcuda.so.1 (libc6,x86-64) => /usr/lib/libcuda.so.1"


def shell(
    script: str, path: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `script` with the set-up's functions, `path` first among the folders of commands."""
    folders = os.environ["PATH"] if path is None else f"{path}:{os.environ['PATH']}"
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"RIGPANEL_LLAMA_BUILD", "CMAKE_ARGS"}
    }
    return subprocess.run(
        [
            "bash",
            "-c",
            f"set -euo pipefail; top={TOP}; source $top/packaging/lib/setup.sh; {script}",
        ],
        env=inherited | {"PATH": folders} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def command(folder: Path, name: str, body: str = "exit 0") -> None:
    """Put a command into `folder` that does `body`."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/bash\n{body}\n")
    file.chmod(0o755)


def test_builds_for_the_processor_where_nvcc_has_no_driver(tmp_path: Path) -> None:
    command(tmp_path / "bin", "nvcc")
    command(tmp_path / "bin", "ldconfig", "echo libm.so.6")
    done = shell('choose_build; echo "$build|$build_why|$(cmake_args)"', tmp_path / "bin")
    build, why, arguments = done.stdout.strip().split("|")
    assert build == "cpu"
    assert "driver" in why
    assert arguments == "-DGGML_RPC=ON"


def test_builds_for_the_cards_where_nvcc_and_a_driver_are(tmp_path: Path) -> None:
    command(tmp_path / "bin", "nvcc")
    command(tmp_path / "bin", "ldconfig", f"echo '{BUILT_LIBRARIES}'")
    done = shell('has_card() { :; }; choose_build; echo "$build $(cmake_args)"', tmp_path / "bin")
    assert done.stdout.startswith("cuda -DGGML_RPC=ON -DGGML_CUDA=ON")
    assert "-DCMAKE_CUDA_ARCHITECTURES=native" in done.stdout


def test_builds_for_the_processor_where_the_driver_sees_no_card(tmp_path: Path) -> None:
    command(tmp_path / "bin", "nvcc")
    command(tmp_path / "bin", "ldconfig", f"echo '{BUILT_LIBRARIES}'")
    done = shell("has_card() { false; }; choose_build; echo $build", tmp_path / "bin")
    assert done.stdout.strip() == "cpu"


@pytest.mark.parametrize("build", ["cpu", "cuda"])
def test_the_variable_decides_the_build(build: str) -> None:
    assert shell("choose_build; echo $build", RIGPANEL_LLAMA_BUILD=build).stdout.strip() == build


def test_an_unknown_build_is_refused() -> None:
    done = shell("choose_build; echo went on", RIGPANEL_LLAMA_BUILD="opencl")
    assert done.returncode == 1
    assert "must be cpu or cuda" in done.stderr
    assert "went on" not in done.stdout


def test_builds_with_different_flags_do_not_share_a_wheel(tmp_path: Path) -> None:
    script = "choose_build; wheel_folder"
    plain = shell(script, RIGPANEL_LLAMA_BUILD="cpu", XDG_CACHE_HOME=str(tmp_path))
    flagged = shell(
        script,
        RIGPANEL_LLAMA_BUILD="cpu",
        XDG_CACHE_HOME=str(tmp_path),
        CMAKE_ARGS="-DGGML_AVX=OFF",
    )
    cuda = shell(script, RIGPANEL_LLAMA_BUILD="cuda", XDG_CACHE_HOME=str(tmp_path))
    folders = {done.stdout.strip() for done in (plain, flagged, cuda)}
    assert len(folders) == 3
    assert all(folder.startswith(f"{tmp_path}/rigpanel/wheels/") for folder in folders)


@pytest.mark.parametrize("body", ["exit 3", 'touch "${@: -2:1}/half.whl"; exit 3'])
def test_a_failed_build_leaves_nothing_to_use(tmp_path: Path, body: str) -> None:
    command(tmp_path / "bin", "pip", f'echo "error: no room"; {body}')
    done = shell(
        f"venv={tmp_path} logs={tmp_path}; choose_build; build_llama $(wheel_folder) || exit 9",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        RIGPANEL_LLAMA_BUILD="cpu",
    )
    assert done.returncode == 9
    assert "error: no room" in done.stderr
    assert not list((tmp_path / "cache").rglob("*.whl"))


def test_a_build_is_told_its_flags_and_kept(tmp_path: Path) -> None:
    command(
        tmp_path / "bin",
        "pip",
        'echo "$CMAKE_ARGS" >$(dirname "$0")/flags; touch "${@: -2:1}/llama.whl"',
    )
    done = shell(
        f"venv={tmp_path} logs={tmp_path}; choose_build; build_llama $(wheel_folder); wheel_folder",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        RIGPANEL_LLAMA_BUILD="cpu",
    )
    assert (Path(done.stdout.strip()) / "llama.whl").is_file()
    assert (tmp_path / "bin/flags").read_text().strip() == "-DGGML_RPC=ON"


@pytest.mark.parametrize(
    ("manager", "says"),
    [
        ("apt-get", "sudo apt-get install libxcb-cursor0 g++"),
        ("dnf", "sudo dnf install xcb-util-cursor gcc-c++"),
        ("pacman", "sudo pacman -S --needed xcb-util-cursor gcc"),
    ],
)
def test_missing_packages_are_named_where_they_may_not_be_installed(
    tmp_path: Path, manager: str, says: str
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "basename", "cat"):
        (tools / name).symlink_to(Path("/bin") / name)
    command(tools, manager, "echo installed >&2")
    command(tools, "sudo", "exit 1")
    done = shell(
        f"is_root() {{ false; }}; PATH={tools}; "
        "require_system 'the panel' libxcb-cursor.so.0 g++; echo went on"
    )
    assert done.returncode == 1
    assert says in done.stderr
    assert "went on" not in done.stdout
    assert "installed" not in done.stderr


def test_packages_are_installed_without_a_question_where_they_may_be(tmp_path: Path) -> None:
    command(tmp_path / "bin", "apt-get", f'echo "$DEBIAN_FRONTEND $*" >>{tmp_path}/calls')
    done = shell(
        f"logs={tmp_path}; is_root() {{ :; }}; "
        "require_system 'the panel' libEGL.so.1 libgthread-2.0.so.0",
        tmp_path / "bin",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == (
        "noninteractive install -y --no-install-recommends libegl1 libglib2.0-0\n"
    )


def test_every_need_has_a_package_in_each_distribution() -> None:
    rows = (TOP / "packaging/lib/system-packages.txt").read_text().splitlines()
    assert all(len(row.split()) == 4 for row in rows)
    script = 'printf "%s\\n" "${QT_LIBRARIES[@]}"'
    needs = set(shell(script).stdout.split())
    assert needs
    assert needs <= {row.split()[0] for row in rows}


def test_a_second_set_up_does_nothing(tmp_path: Path) -> None:
    script = f"""
    choose_build; top={tmp_path}; lib=$top/packaging/lib
    mkdir -p $top/.venv/bin $lib; touch $lib/setup.sh $lib/system-packages.txt $top/pyproject.toml
    ln -sf /bin/true $top/.venv/bin/python
    make_environment() {{ echo "made with $1"; echo "$(stamp) $1" >"$venv/rigpanel-stamp"; }}
    set_up .venv panel,demo; set_up .venv panel,demo
    set_up .venv panel,demo,test; set_up .venv panel,demo
    echo changed >>$top/pyproject.toml; set_up .venv panel,demo
    """
    done = shell(script, RIGPANEL_LLAMA_BUILD="cpu")
    assert done.stdout.splitlines() == [
        "made with panel,demo",
        "made with panel,demo,test",
        "made with panel,demo",
    ], done.stderr


def test_two_set_ups_take_turns(tmp_path: Path) -> None:
    script = f"""
    choose_build; top={tmp_path}; lib=$top/packaging/lib
    mkdir -p $top/.venv/bin $lib; touch $lib/setup.sh $lib/system-packages.txt $top/pyproject.toml
    ln -sf /bin/true $top/.venv/bin/python
    make_environment() {{
      mkdir $top/busy || echo "at once"; sleep 0.5; rmdir $top/busy; echo made
      echo "$(stamp) $1" >"$venv/rigpanel-stamp"
    }}
    (set_up .venv panel,demo) & (set_up .venv panel,demo) & wait
    """
    done = shell(script, RIGPANEL_LLAMA_BUILD="cpu")
    assert done.stdout.splitlines() == ["made"], done.stderr
    assert "waiting" in done.stderr
