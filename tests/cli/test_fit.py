# SPDX-License-Identifier: MIT
"""`rigpanel fit` and its JSON: any rig, this machine's, the simulated one, and bad usage."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rigpanel.cli import main
from rigpanel.cli.fit import as_table
from rigpanel.fit.estimate import Estimator
from rigpanel.fit.load_settings import LoadSettings
from rigpanel.fit.result import Device
from rigpanel.library.demo_model import write_demo_model
from rigpanel.library.gguf_header import read_header
from rigpanel.settings import MARGIN_MIB
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import MIB, UNKNOWN
from tests.fit.made_architectures import llama_70b

SETTINGS = {
    "n_ctx",
    "n_ubatch",
    "n_gpu_layers",
    "split_mode",
    "tensor_split",
    "type_k",
    "type_v",
    "flash_attn",
}
USE = {"layers", "weights_mib", "kv_mib", "compute_mib", "total_mib"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "demo.gguf")


@pytest.fixture(scope="module")
def article_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_70b(tmp_path_factory.mktemp("models") / "llama-70b.gguf")


def shown(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["fit", *map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def run(*words: object, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "rigpanel", "fit", *map(str, words)],
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )


def test_a_rig_that_is_only_asked_about(
    article_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(capsys, article_model, "--ctx", 8192, "--vram", "24100,24100")
    assert set(found) == {
        *("model", "settings", "devices", "host", "fits", "method", "recommended", "command")
    }
    assert found["model"] == {
        "path": str(article_model),
        "arch": "llama",
        "name": "made-up llama",
        "params": 70553706560,
        "file_type": "Q4_K_M",
        "size_mib": found["model"]["size_mib"],
        "n_layer": 80,
        "n_ctx_train": 131072,
    }
    assert found["settings"] == {
        "n_ctx": 8192,
        "n_ubatch": 512,
        "n_gpu_layers": 81,
        "split_mode": "layer",
        "tensor_split": [1.0, 1.0],
        "type_k": "f16",
        "type_v": "f16",
        "flash_attn": "on",
    }
    first, second = found["devices"]
    assert set(first) == {"device", "uuid", *USE, "free_mib", "fits", "missing"}
    assert (first["device"], first["uuid"]) == ("GPU 0", None)
    assert first["missing"] == {"uuid": "not_supported"}
    assert (first["layers"], second["layers"]) == (41, 39)
    assert first["weights_mib"] == pytest.approx(20039, abs=0.5)
    assert second["weights_mib"] == pytest.approx(19941, abs=0.5)
    for use in (first, second, found["host"]):
        parts = use["weights_mib"] + use["kv_mib"] + use["compute_mib"]
        assert use["total_mib"] == pytest.approx(parts, abs=0.01)
    assert set(found["host"]) == USE
    assert (found["fits"], found["method"]) == (True, "formula")
    assert set(found["recommended"]) == {"settings", "why"}
    assert set(found["recommended"]["settings"]) == SETTINGS
    assert found["command"] == (
        f"llama-server -m {article_model} -ngl 99 --split-mode layer --tensor-split 1,1 -c 8192"
    )


def test_it_does_not_fit_on_one_card_of_32_gb_and_that_is_an_answer(
    article_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(capsys, article_model, "--ctx", 8192, "--vram", 32000)
    assert found["fits"] is found["devices"][0]["fits"] is False
    assert found["recommended"]["settings"]["n_gpu_layers"] < 81
    assert "slower" in found["recommended"]["why"][0]


def test_every_option_reaches_the_settings(
    article_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        *("--ctx", 4096, "--ubatch", 1024, "--ngl", 40, "--split-mode", "row"),
        *("--tensor-split", "3,1", "--type-k", "q8_0", "--type-v", "q4_0", "--flash-attn", "on"),
    )
    found = shown(capsys, article_model, "--vram", "24000,24000", *options)
    assert found["settings"] == {
        "n_ctx": 4096,
        "n_ubatch": 1024,
        "n_gpu_layers": 40,
        "split_mode": "row",
        "tensor_split": [3.0, 1.0],
        "type_k": "q8_0",
        "type_v": "q4_0",
        "flash_attn": "on",
    }
    assert found["host"]["layers"] == 41
    assert "-ub 1024" in found["command"]
    assert "-ctk q8_0 -ctv q4_0" in found["command"]


def test_on_this_machine_without_a_card_llama_cpp_itself_is_asked(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(capsys, model)
    assert found["method"] == "dry_run"
    assert found["devices"] == []
    assert found["host"]["layers"] == 4
    assert found["settings"]["n_gpu_layers"] == 0
    assert found["fits"] is True


def test_the_simulated_rig_says_so(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, model, "--demo")
    assert found["simulated"] is True
    assert [device["uuid"][:4] for device in found["devices"]] == ["GPU-", "GPU-"]
    assert found["devices"][0]["free_mib"] > 20_000  # What its own engine holds makes room.
    assert main(["fit", str(model), "--demo"]) == 0
    assert capsys.readouterr().out.startswith("Simulated rig: nothing here is measured.\n")


def test_cards_that_llama_cpp_does_not_see(model: Path, fake_nvml: FakeRig) -> None:
    fake_nvml.card(1).memory_used_bytes = 20_000 * MIB
    fake_nvml.run_process(1, os.getpid(), 19_000)
    done = run(model, "--json", env=fake_nvml.env())
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["method"] == "formula"
    assert "does not see these cards" in done.stderr
    assert [device["uuid"] for device in found["devices"]] == [
        fake_nvml.uuid(0),
        fake_nvml.uuid(1),
    ]
    assert found["devices"][1]["free_mib"] == 24_576 - 20_000 - MARGIN_MIB.default


def test_memory_that_cannot_be_read_is_null_and_named(model: Path, fake_nvml: FakeRig) -> None:
    fake_nvml.fail("nvmlDeviceGetMemoryInfo_v2", UNKNOWN, card=0)
    fake_nvml.fail("nvmlDeviceGetMemoryInfo", UNKNOWN, card=0)
    done = run(model, "--json", env=fake_nvml.env())
    assert done.returncode == 0
    first, second = json.loads(done.stdout)["devices"]
    assert (first["free_mib"], first["fits"]) == (None, None)
    assert first["missing"] == {"free_mib": "read_failed", "fits": "read_failed"}
    assert second["fits"] is True


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--vram", "much"), "numbers"),
        (("--vram", "-1"), "numbers from 0"),
        (("--vram", "1000", "--tensor-split", "1,1"), "names 2 cards, and there are 1"),
        (("--tensor-split", "0,0"), "above 0"),
        (("--tensor-split", "1e-50,0"), "from 1e-06 to 1e+06"),
        (("--tensor-split", "1,1e39"), "from 1e-06 to 1e+06"),
        (("--ctx", "0"), "whole number"),
        (("--type-k", "q3_k"), "invalid choice"),
        (("--split-mode", "diagonal"), "invalid choice"),
        (("--flash-attn", "off", "--type-v", "q8_0"), "needs flash attention"),
        (("--flash-attn", "off", "--split-mode", "tensor"), "needs flash attention"),
    ],
)
def test_bad_usage_has_status_2(
    model: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["fit", str(model), *words])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""


def test_what_is_recommended_can_be_asked_for(
    article_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = ("--vram", "24000,48000", "--ctx", 8192)
    better = shown(capsys, article_model, *rig)["recommended"]["settings"]
    assert (better["split_mode"], better["tensor_split"]) == ("none", [0.0, 1.0])
    again = shown(capsys, article_model, *rig, "--split-mode", "none", "--tensor-split", "0,1")
    assert again["settings"] == better
    assert again["fits"] is True
    assert [device["layers"] for device in again["devices"]] == [0, 80]
    assert "--main-gpu 1" in again["command"]


def words_for(settings: dict[str, Any]) -> tuple[object, ...]:
    """Return the options that ask for these settings."""
    return tuple(
        word
        for key, option in (
            ("n_ctx", "--ctx"),
            ("n_ubatch", "--ubatch"),
            ("n_gpu_layers", "--ngl"),
            ("split_mode", "--split-mode"),
            ("tensor_split", "--tensor-split"),
            ("type_k", "--type-k"),
            ("type_v", "--type-v"),
            ("flash_attn", "--flash-attn"),
            ("device", "--device"),
        )
        if (value := settings.get(key)) not in (None, [])
        for word in (option, ",".join(map(str, value)) if isinstance(value, list) else value)
    )


@pytest.mark.parametrize("free", ["0,0", "0", "9,9", "0,30", "20,0,7", "12,12", "40,40"])
def test_advice_asked_for_again_fits(
    model: Path, free: str, capsys: pytest.CaptureFixture[str]
) -> None:
    better = shown(capsys, model, "--vram", free)["recommended"]["settings"]
    again = shown(capsys, model, "--vram", free, *words_for(better))
    assert again["fits"] is True
    assert again["settings"] == better


def test_cards_with_room_for_the_output_layer_alone_are_said_to_have_it(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(model), "--vram", "1,1"]) == 0
    text = capsys.readouterr().out
    assert "Recommended: Only the output layer fits on the cards; the others run" in text
    assert "-ngl 1 " in text
    assert "0 of" not in text


def test_cards_without_room_even_for_a_batch_are_left_alone(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(capsys, model, "--vram", "0,0")
    assert found["fits"] is False
    assert found["recommended"]["settings"]["device"] == "none"
    alone = shown(capsys, model, "--vram", "0,0", "--device", "none")
    assert (alone["devices"], alone["fits"]) == ([], True)
    assert "--device none" in alone["command"]


def test_what_fits_nowhere_says_what_is_lacking(article_model: Path) -> None:
    header = read_header(article_model)
    settings = LoadSettings(model=article_model, n_ctx=8192)
    fit = Estimator(header).fit(settings, [Device("GPU 0", None, 24_000.0)])
    text = as_table(header, replace(fit, host_free_mib=400.0), None)
    assert "It does not fit: GPU 0 lacks 18." in text
    assert re.search(r"the host lacks \d+ MiB\.", text)
    assert "No setting makes it fit" in text


def test_a_name_that_is_no_text_or_has_two_lines(model: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.gguf")
    odd.symlink_to(model)
    done = run(odd, "--json", env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["model"]["path"] == str(odd)
    assert found["method"] == "dry_run"
    missing = run(tmp_path / "two\nlines.gguf")
    assert (missing.returncode, len(missing.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize("command", ["fit", "inspect"])
def test_a_file_that_is_no_model_has_status_1_and_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.gguf"
    assert main([command, str(path), "--json"]) == 1
    path.write_bytes(b"GGUF nothing much")
    assert main([command, str(path), "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 2


def test_a_table_for_people(article_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(article_model), "--vram", "24000,24000"]) == 0
    text = capsys.readouterr().out
    assert "39 + output" in text
    assert "It fits." in text
    assert "llama-cli -m" in text
