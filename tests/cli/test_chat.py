# SPDX-License-Identifier: MIT
"""`rigpanel chat` as a program: one reply, its JSON, and a line for every expected failure."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rigpanel.library.demo_model import write_demo_model
from tests.engine.made_models import make_it_say, model_named, model_with_template
from tests.fakes.nvml import FakeRig

COMMAND = (sys.executable, "-m", "rigpanel", "chat", "--threads", "1")
"""Several threads of llama.cpp wait for each other busily, and long on a busy machine."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_model(tmp_path_factory.mktemp("models") / "demo.gguf")


def chat(
    *arguments: object, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )


class Terminal:
    """`rigpanel chat` in a terminal of its own, as a person has it."""

    def __init__(self, model: Path, *arguments: str) -> None:
        self._mine, theirs = pty.openpty()
        command = [*COMMAND, str(model), *arguments]
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.seen = ""

    def wait_for(self, text: str, timeout_s: float = 20) -> None:
        """Read until `text` has come after what was waited for before."""
        end = time.monotonic() + timeout_s
        while text not in self.seen:
            ready, _, _ = select.select([self._mine], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} did not come; there was {self.seen!r}"
            self.seen += os.read(self._mine, 65536).decode("utf-8", "replace")
        self.seen = self.seen.split(text, 1)[1]

    def write(self, text: str) -> None:
        os.write(self._mine, text.encode())

    def children(self) -> list[int]:
        """Return the processes it started: its engine."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._mine)


@contextmanager
def terminal(model: Path, *arguments: str) -> Iterator[Terminal]:
    opened = Terminal(model, *arguments)
    try:
        yield opened
    finally:
        opened.close()


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


def test_a_wrong_option_is_told_in_one_line_and_where_all_are_named(model: Path) -> None:
    done = chat(model, "-p", "hello", "--temp", "warm")
    (line,) = done.stderr.splitlines()
    assert "--temp: 'warm'" in line
    assert "`rigpanel chat --help`" in line


def test_plain_text_goes_to_stdout_and_figures_to_stderr(model: Path) -> None:
    done = chat(model, "-p", "hello", "-n", 8, "--ignore-eos")
    assert done.stdout.strip()
    assert "8 tokens" in done.stderr
    assert "chat template: the file's own" in done.stderr
    assert "tokens/s" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("/none.gguf", "-p", "x"), 1, "does not exist"),
        ((__file__, "-p", "x"), 1, "not a GGUF"),
        ((), 2, "MODEL"),
        (("m.gguf", "-n", "0"), 2, "whole number from 1"),
        (("m.gguf", "--temp", "nan"), 2, "must be a number"),
        (("m.gguf", "--top-p", "1.5"), 2, "must be a number from 0 to 1"),
        (("m.gguf", "--logit-bias", "a"), 2, "must be TEXT=NUMBER"),
        (("m.gguf", "--seed", "-1"), 2, "from 0 to 4294967294"),
        (("m.gguf", "--draft", "d.gguf", "--lookup"), 2, "not allowed with"),
        (("m.gguf", "--grammar-file", "g", "--json-schema", "s"), 2, "not allowed with"),
    ],
)
def test_an_expected_failure_is_a_line(arguments: tuple[str, ...], status: int, says: str) -> None:
    done = chat(*arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_what_cannot_be_sampled_with_is_bad_usage_before_the_model_is_read(model: Path) -> None:
    done = chat(model, "-p", "x", "--stop", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert "rigpanel chat: A stop string must have" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_simulated_rig_is_named_wherever_its_energy_is(model: Path) -> None:
    told = chat(model, "-p", "hello", "-n", 2, "--ignore-eos", "--demo").stderr
    assert "The rig is simulated" in told
    assert "J/token (simulated)" in told
    done = chat(model, "-p", "hello", "-n", 2, "--ignore-eos", "--demo", "--json")
    said = json.loads(done.stdout)
    assert said["simulated"] is True
    assert said["energy_j"] > 0
    assert said["j_per_token"] == pytest.approx(said["energy_j"] / 2)


@pytest.mark.parametrize("streams", [">/dev/full", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_cannot_be_written_to_is_no_traceback(model: Path, streams: str) -> None:
    """A full disk is a failure, told; a stream that was closed on purpose is not."""
    words = f"{' '.join(COMMAND)} {model} -p hi -n 2 --ignore-eos"
    command = ["sh", "-c", f"{words} {streams}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    if streams == ">/dev/full":
        assert "its output cannot be written: No space left on device" in done.stderr
    assert bool(done.stdout) == (streams == "2>&-")
    assert "context" not in done.stdout
    assert done.returncode == int(streams == ">/dev/full")


def test_a_reader_that_has_enough_ends_it_without_a_word(model: Path) -> None:
    command = [*COMMAND, str(model), "-p", "hi", "--ignore-eos"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 10)
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as told:
        lines = told.read().decode().splitlines()
    assert process.wait(20) == 1
    assert len(lines) == 1
    assert "context" in lines[0]


def test_a_file_whose_name_is_no_text_is_loaded(model: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9\nmodel.gguf")
    odd.symlink_to(model)
    done = chat(odd, "-p", "hello", "-n", 2, "--ignore-eos", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_gen"] == 2


def test_a_prompt_longer_than_the_context_is_a_line(model: Path) -> None:
    done = chat(model, "-p", "warm " * 500, "--ctx", 256)
    assert done.returncode == 1
    assert "larger context" in done.stderr


def test_a_text_no_model_can_be_given_is_bad_usage_before_one_is_loaded(model: Path) -> None:
    for words in ((b"-p", b"caf\xe9"), (b"-p", b"hi", b"--system", b"caf\xe9")):
        command = [*map(os.fsencode, COMMAND), os.fsencode(model), *words]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"prompt has half a character in it" in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_a_long_prompts_progress_is_told_in_a_terminal(model: Path) -> None:
    with terminal(model, "-p", "warm " * 700, "-n", "1") as chat:
        chat.wait_for("Reading ")
        chat.wait_for("Reading 100 %")
        assert chat.process.wait(20) == 0


def test_a_grammar_a_template_and_guesses_from_the_conversation(
    model: Path, tmp_path: Path
) -> None:
    grammar = tmp_path / "words.gbnf"
    grammar.write_text('root ::= "warm stone" " warm stone" " warm stone"')
    done = chat(
        model, "-p", "hello", "--grammar-file", grammar, "--chat-template", "chatml", "--lookup",
        "--temp", 0, "--stop", "e warm stone", "--json",
    )  # fmt: skip
    assert "chat template: chatml" in done.stderr
    said = json.loads(done.stdout)
    assert (said["text"], said["finish_reason"]) == ("warm ston", "stop")
    assert 0 <= said["n_accepted"] <= said["n_drafted"]
    assert "reasoning" not in said
    grammar.write_text("root ::= nothing")
    refused = chat(model, "-p", "hello", "--grammar-file", grammar)
    assert refused.returncode == 1
    assert "cannot read the grammar" in refused.stderr
    assert chat(model, "-p", "x", "--json-schema", tmp_path / "none.json").returncode == 2


def test_reasoning_stands_apart_from_the_answer(tmp_path: Path) -> None:
    thinks = model_with_template(tmp_path / "thinks.gguf", "{{ '<think>\n' }}")
    said = json.loads(
        chat(thinks, "-p", "hello", "-n", 9, "--seed", 1, "--ignore-eos", "--json").stdout
    )
    assert (said["text"], said["n_reasoning"]) == ("", 9)
    assert said["reasoning"].strip()
    told = chat(thinks, "-p", "hello", "-n", 9, "--seed", 1, "--ignore-eos").stderr
    assert "9 tokens (9 of them reasoning)" in told


def test_neither_a_files_name_nor_a_reply_gives_a_terminal_orders(tmp_path: Path) -> None:
    path = model_named(tmp_path / "hostile.gguf", "hm\x1b]0;owned\x07\x9b2J")
    make_it_say(path, b"a\x1b[2Jb")
    with terminal(path, "-p", "hello", "--temp", "0") as chat_there:
        chat_there.wait_for("hm\ufffd]0;owned\ufffd\ufffd2J: ")
        chat_there.wait_for("a\ufffd[2Jb")
    piped = chat(path, "-p", "hello", "--temp", 0)
    assert piped.stdout == "a\x1b[2Jb\n"  # A program gets what was said.
    assert "\x1b" not in piped.stderr


def test_ctrl_c_ends_the_reply_and_its_figures_are_told(slow_model: Path) -> None:
    command = [*COMMAND, str(slow_model), "-p", "hi", "--ignore-eos"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "cancelled" in told.decode()


def test_ctrl_c_while_the_model_loads_ends_the_command(slow_model: Path) -> None:
    with terminal(slow_model, "-p", "hi", "--ignore-eos") as chat:
        chat.wait_for("Loading")
        chat.process.send_signal(signal.SIGINT)
        assert chat.process.wait(20) == 130


def test_ctrl_c_twice_ends_an_engine_that_does_not_obey(slow_model: Path) -> None:
    with terminal(slow_model, "-p", "hi", "--ignore-eos") as chat:
        chat.wait_for("context")
        (engine,) = chat.children()
        os.kill(engine, signal.SIGSTOP)
        for _ in range(20):  # Two at once are one to a process.
            chat.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                chat.process.wait(0.5)
        # One more at its very end ends Python by the signal: to a shell that is 130 too.
        assert chat.process.wait(20) in {130, -signal.SIGINT}
        assert not Path(f"/proc/{engine}").exists()


@pytest.fixture
def locked(model: Path) -> Iterator[Path]:
    """A model that nobody may read, in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        copy = Path(folder) / "locked.gguf"
        copy.write_bytes(model.read_bytes())
        copy.chmod(0)
        yield copy


def test_a_file_that_may_not_be_read_is_told(locked: Path) -> None:
    """As another user, where the tests run as root, whom nothing is denied."""
    as_nobody = (
        "import os, shutil, sys, rigpanel.cli.chat\n"
        "os.geteuid() or os.setuid(65534)\n"
        f"sys.exit(rigpanel.cli.main(['chat', {str(locked)!r}, '-p', 'hello']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", as_nobody], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "locked.gguf may not be read by this user" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_prompt_comes_from_a_pipe_and_an_empty_one_is_bad_usage(model: Path) -> None:
    command = [*COMMAND, str(model), "-n", "3", "--ignore-eos"]

    def pipe(text: bytes) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)

    assert pipe("wärme\n".encode()).returncode == 0
    nothing = pipe(b"\n")
    assert (nothing.returncode, nothing.stdout) == (2, b"")
    assert b"prompt is empty" in nothing.stderr


def test_a_conversation_keeps_what_was_said(model: Path) -> None:
    with terminal(model, "-n", "4", "--ignore-eos") as chat:
        chat.wait_for("> ")
        chat.write("hello\n")
        chat.wait_for("(0 cached)")
        chat.wait_for("> ")
        chat.write("more\n")
        chat.wait_for("4 tokens")
        chat.wait_for("cached)")
        chat.wait_for("> ")
        chat.write("\x04")
        assert chat.process.wait(10) == 0


def test_ctrl_c_ends_the_chat_in_the_midst_of_a_line_too(model: Path) -> None:
    with terminal(model) as chat:
        chat.wait_for("> ")
        chat.write("half a line\x04")  # Ctrl+D hands it over without an end.
        chat.wait_for("half a line")
        chat.process.send_signal(signal.SIGINT)
        assert chat.process.wait(20) == 130


def test_an_interactive_chat_takes_commands(model: Path) -> None:
    with terminal(model, "-n", "4", "--ignore-eos", "--temp", "0") as chat:
        chat.wait_for("/help")
        for written, told in (
            ("/regen", "no message yet"),
            ("hello", "prompt 33 (0 cached)"),
            ("/regen", "prompt 33 (32 cached)"),
            ("/system be brief", "next message"),
            ("/nonsense", "There is no /nonsense"),
            ("/clear", "new conversation"),
            ("hello", "4 tokens"),
        ):
            chat.write(written + "\n")
            chat.wait_for(told)
        chat.wait_for("> ")
        chat.write("/quit\n")
        assert chat.process.wait(10) == 0


def test_ctrl_c_at_the_prompt_ends_the_chat_and_in_a_reply_only_the_reply(slow_model: Path) -> None:
    with terminal(slow_model, "--ignore-eos") as chat:
        chat.wait_for("> ")
        chat.write("hello\n")
        chat.wait_for("hello\r\n")
        chat.wait_for(" ")  # The first word of the reply.
        chat.process.send_signal(signal.SIGINT)
        chat.wait_for("cancelled")
        chat.wait_for("> ")
        chat.process.send_signal(signal.SIGINT)
        assert chat.process.wait(10) == 130


def test_sigterm_ends_it_with_its_engine(slow_model: Path) -> None:
    with terminal(slow_model, "-p", "hi", "--ignore-eos") as chat:
        chat.wait_for("context")
        engines = chat.children()
        assert engines
        chat.process.send_signal(signal.SIGTERM)
        assert chat.process.wait(10) == 130
        assert not [pid for pid in engines if Path(f"/proc/{pid}").exists()]
