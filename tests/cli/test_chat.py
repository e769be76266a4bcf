# SPDX-License-Identifier: MIT
"""`rigpanel chat` as a program: one reply, its JSON, and a line for every expected failure."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rigpanel.library.demo_model import DemoShape, write_demo_model
from tests.fakes.nvml import FakeRig


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "demo.gguf")


def chat(
    *arguments: object, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "rigpanel", "chat", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )


def test_one_reply_as_json(model: Path) -> None:
    done = chat(model, "-p", "hello", "-n", 8, "--seed", 1, "--ignore-eos", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["text"].strip()
    assert (said["n_gen"], said["finish_reason"]) == (8, "length")
    assert said["n_cached"] == 0
    assert said["tg_tps"] > 0
    assert said["settings"]["n_gpu_layers"] == 5
    assert said["energy_j"] is None
    assert said["missing"]["energy_j"] == "not_supported"
    again = json.loads(
        chat(model, "-p", "hello", "-n", 8, "--seed", 1, "--ignore-eos", "--json").stdout
    )
    assert again["text"] == said["text"]


def test_the_cards_energy_is_measured_by_their_counters(model: Path, fake_nvml: FakeRig) -> None:
    done = chat(model, "-p", "hello", "-n", 2, "--ignore-eos", "--json", env=fake_nvml.env())
    said = json.loads(done.stdout)
    assert said["energy_j"] == 0.0
    assert said["missing"] == {}


def test_plain_text_goes_to_stdout_and_figures_to_stderr(model: Path) -> None:
    done = chat(model, "-p", "hello", "-n", 8, "--ignore-eos")
    assert done.stdout.strip()
    assert "8 tokens" in done.stderr
    assert "tokens/s" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("/none.gguf", "-p", "x"), 1, "does not exist"),
        ((__file__, "-p", "x"), 1, "not a GGUF"),
        ((), 2, "MODEL"),
        (("m.gguf", "-n", "0"), 2, "whole number from 1"),
        (("m.gguf", "--temp", "nan"), 2, "must be a number"),
    ],
)
def test_an_expected_failure_is_a_line(arguments: tuple[str, ...], status: int, says: str) -> None:
    done = chat(*arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_prompt_longer_than_the_context_is_a_line(model: Path) -> None:
    done = chat(model, "-p", "warm " * 500, "--ctx", 256)
    assert done.returncode == 1
    assert "larger context" in done.stderr


def test_ctrl_c_ends_the_reply_and_its_figures_are_told(tmp_path: Path) -> None:
    shape = DemoShape(n_embd=768, n_layer=8, n_head=12, n_head_kv=4, n_ff=2048, n_vocab=4096)
    slow = write_demo_model(tmp_path / "slow.gguf", shape)
    process = subprocess.Popen(
        [sys.executable, "-m", "rigpanel", "chat", str(slow), "-p", "hello", "--ignore-eos"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "cancelled" in told.decode()
