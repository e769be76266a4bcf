# SPDX-License-Identifier: MIT
"""`rigpanel inspect`: one header, for people and programs."""

import json
from pathlib import Path

import pytest

from rigpanel.cli import main
from rigpanel.library.demo_model import write_demo_model
from tests.engine.made_models import model_named
from tests.fit.made_architectures import Sizes, write


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "demo.gguf")


def test_a_header_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = Sizes(n_embd=64, n_head=2, head=32, n_ff=64, n_layer=3, n_vocab=300)
    path = write(tmp_path / "moe.gguf", "qwen3moe", sizes)
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = {
        "path": str(path),
        "arch": "qwen3moe",
        "name": "made-up qwen3moe",
        "file_type": "F16",
        "n_layer": 3,
        "n_ctx_train": 32768,
        "n_embd": 64,
        "n_head": 2,
        "n_head_kv": 2,
        "n_expert": 8,
        "n_expert_used": 2,
        "n_vocab": 300,
        "tokenizer": "llama",
        "shards": [str(path)],
    }
    assert {key: found[key] for key in expected} == expected
    assert "add_generation_prompt" in found["chat_template"]
    assert sum(kind["tensors"] for kind in found["tensor_types"]) == found["n_tensors"]


def test_a_header_for_people(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model)]) == 0
    text = capsys.readouterr().out
    assert "Parameters     853 k" in text
    assert "Quantization   F16" in text
    assert "4, 2 for keys and values" in text


def test_a_name_gives_a_terminal_no_orders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model_named(tmp_path / "hostile.gguf", "hm\x1b]0;owned\x07\x9b2J")
    assert main(["inspect", str(path)]) == 0
    assert "hm\ufffd]0;owned\ufffd\ufffd2J\n" in capsys.readouterr().out
    assert main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "hm\x1b]0;owned\x07\x9b2J"
