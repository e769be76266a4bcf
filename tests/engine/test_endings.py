# SPDX-License-Identifier: MIT
"""How an engine's end is told."""

import re

import pytest

from rigpanel.engine.endings import how_it_ended, how_it_hung, lost_a_server, no_answer

ABORT = "/build/llama.cpp/ggml/src/ggml-rpc/ggml-rpc.cpp:354: "


@pytest.mark.parametrize(
    ("code", "lines", "says"),
    [
        (-6, ["/a/b/llama-vocab.cpp:12: GGML_ASSERT(x) failed"], "SIGABRT. Its last words: llama-"),
        (-11, ["loading"], "ended by SIGSEGV. Its last words: loading. The model is gone"),
        (-9, [], "SIGKILL. The system does this when memory runs out. The model is gone"),
        (-7, ["decode"], "SIGBUS. Its file was cut"),
        (-6, ["what():  std::bad_alloc", ""], "Memory ran out: fewer layers"),
        (3, [], "The engine ended with status 3. The model is gone from memory"),
        (-63, [], "ended by signal 63"),
        (
            -6,
            ["RPC server version mismatch: 2.0.0", "x.cpp:1: RPC handshake failed for rig:50052"],
            r"RPC server rig:50052 is of another llama.cpp than this one \(it speaks version 2.0.0",
        ),
    ],
)
def test_an_end_is_a_sentence(code: int, lines: list[str], says: str) -> None:
    assert re.search(says, how_it_ended(code, lines))


def test_a_lost_server_is_named_where_it_is_known() -> None:
    lines = ["recv failed", ABORT + "Remote RPC server crashed or returned malformed response"]
    assert lost_a_server(lines)
    assert "because RPC server a:1, b:2 does not answer any more" in how_it_ended(
        -6, lines, ("a:1", "b:2")
    )
    assert "because RPC server a:1 broke off the connection or answered nonsense" in how_it_ended(
        -6, lines, (), ("a:1",)
    )
    assert "because one of the RPC servers a:1, b:2 broke off" in how_it_ended(
        -6, lines, (), ("a:1", "b:2")
    )
    assert not lost_a_server(["all is well"])


def test_a_hang_says_what_is_to_be_done() -> None:
    assert how_it_hung("did not stop") == (
        "The engine did not stop, so it was ended. The model is gone from memory; load it again "
        "to go on."
    )
    assert how_it_hung("hung", ("a:1",), loading=True) == (
        "The engine hung, so it was ended. RPC server a:1 does not answer: it is off, cannot be "
        "reached, or works for another panel. See that it runs and is free. Then load again."
    )


def test_a_question_without_an_answer_says_why() -> None:
    lost = ["Remote RPC server crashed or returned malformed response"]
    assert no_answer(-6, lost, ("a:1",), ("a:1", "b:2")) == (
        "llama.cpp ended because RPC server a:1 does not answer any more. Look there, then ask "
        "again."
    )
    other = ["RPC server version mismatch: 2.0.0", "RPC handshake failed for a:1"]
    assert "RPC server a:1 is of another llama.cpp" in no_answer(-6, other)
    assert no_answer(-6, ["x.cpp:1: GGML_ASSERT(y) failed"]) == (
        "llama.cpp was ended by SIGABRT. Its last words: x.cpp:1: GGML_ASSERT(y) failed."
    )
