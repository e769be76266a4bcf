# SPDX-License-Identifier: MIT
"""`rigpanel models`: what is on this machine, for people and programs."""

import json
import shutil
from pathlib import Path

import pytest

from rigpanel.cli import main
from rigpanel.library.demo_model import write_demo_model
from rigpanel.paths import config_dir


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "demo.gguf")


@pytest.fixture
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no models but those that a test puts there."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OLLAMA_MODELS", "JAN_DATA_FOLDER", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "person"))


@pytest.mark.usefixtures("_home")
def test_models_in_a_folder_of_the_settings(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my models"
    folder.mkdir()
    path = shutil.copy(model, folder / "tiny-F16.gguf")
    (folder / "half.gguf").write_bytes(model.read_bytes()[:5000])
    config_dir().mkdir(parents=True)
    (config_dir() / "settings.toml").write_text(f'[library]\nfolders = "{folder}"\n')
    for _ in range(2):  # The second time from the cache.
        assert main(["models", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert set(found) == {"models", "unreadable"}
        (entry,) = found["models"]
        assert entry == {
            "path": str(path),
            "name": "tiny-F16",
            "source": "folder",
            "arch": "llama",
            "params": entry["params"],
            "file_type": "F16",
            "size_mib": entry["size_mib"],
            "n_layer": 4,
            "n_ctx_train": 4096,
            "shards": [str(path)],
        }
        (bad,) = found["unreadable"]
        assert bad["path"] == str(folder / "half.gguf")
        assert "cut short" in bad["why"]
    assert main(["models"]) == 0
    printed = capsys.readouterr()
    assert "tiny-F16" in printed.out
    assert "half.gguf" in printed.err


@pytest.mark.usefixtures("_home")
def test_no_model_at_all_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "library.folders" in capsys.readouterr().out
