# SPDX-License-Identifier: MIT
"""What is read out of llama.cpp's log."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rigpanel.engine.log import LlamaLog
from rigpanel.engine.messages import DeviceUse


def test_two_servers_buffers_are_told_apart_and_layers_counted() -> None:
    log = LlamaLog()
    log.begin_load()
    log.names_devices({"RPC0[a:1]": "RPC0", "RPC0[b:2]": "RPC1"}, {"RPC0": 1.0, "RPC1": 1.0})
    for number, name in enumerate(("CPU", "RPC0", "RPC1", "RPC1")):
        log.feed_layer(f"load_tensors: layer {number:3d} assigned to device {name}, is_swa = 0\n")
    log.feed("load_tensors:   CPU_Mapped model buffer size =     0.25 MiB\n")
    log.feed("load_tensors: RPC0[a:1] model buffer size =  0.85 MiB\nllama_kv_cache: RPC0[b:2] KV ")
    log.feed("buffer size =     0.12 MiB\nload_tensors: RPC0[b:2] model buffer size =  0.5 MiB\n")
    log.feed("load_tensors:  CUDA_Host model buffer size =     1.00 MiB\n")
    assert log.devices() == (
        DeviceUse("CPU", 1.25, 0.0, 0.0, 1),
        DeviceUse("RPC0", 0.85, 0.0, 0.0, 1),
        DeviceUse("RPC1", 0.5, 0.12, 0.0, 2),
    )


def test_a_tensor_split_is_told_for_each_device_by_its_share() -> None:
    log = LlamaLog()
    log.begin_load()
    log.names_devices({}, {"CUDA0": 3.0, "CUDA1": 1.0})
    log.feed("load_tensors:       Meta() model buffer size =     6.00 MiB\n")
    log.feed("sched_reserve:     Meta() compute buffer size =     2.00 MiB\n")
    assert log.devices() == (
        DeviceUse("CUDA0", 6.0, 0.0, 2.0),
        DeviceUse("CUDA1", 2.0, 0.0, 2.0),
    )
    (note,) = log.notes()  # What is reckoned is not passed off as told.
    assert "that of the others is reckoned" in note
    log.begin_load()
    assert log.devices() == ()


def test_the_reason_is_the_first_error_that_is_one() -> None:
    log = LlamaLog()
    log.feed("gguf_init: tensor 'x' has offset 1, expected 2\n", is_error=True)
    log.feed("llama_model_load: error loading model: llama_model_loader: failed to load model ")
    log.feed("from /x.gguf\nllama_model_load_from_file_impl: failed to load model\n", is_error=True)
    assert log.last_error() == "tensor 'x' has offset 1, expected 2"
    log.begin_load()
    assert log.last_error() is None
    log.feed("llama_model_load: error loading model: unknown model architecture: 'q'\n")
    assert log.last_error() == "unknown model architecture: 'q'"


def test_what_is_tried_aside_leaves_no_trace() -> None:
    log = LlamaLog()
    log.feed("load_tensors:   CPU model buffer size =     2.00 MiB\n")
    with log.aside():
        log.feed("load_tensors:   CPU model buffer size =     3.00 MiB\n")
        log.feed("init: cannot be\n", is_error=True)
        assert log.last_error() == "cannot be"
    assert log.last_error() is None
    assert log.devices() == (DeviceUse("CPU", 2.0, 0.0, 0.0),)


def test_a_context_past_the_trained_one_and_unlocked_memory_are_noted() -> None:
    log = LlamaLog()
    log.feed("llama_context: n_ctx_seq (8192) > n_ctx_train (4096) -- possible overflow\n")
    log.feed("warning: failed to mlock 1024-byte buffer\n")
    context, memory = log.notes()
    assert "8192 tokens is longer than the 4096" in context
    assert "ulimit -l" in memory
    log.begin_load()
    assert log.notes() == ()


PARTS = (
    "load_tensors: CPU model buffer size = 1.0 MiB", "Meta(", ") KV buffer size = . MiB", "\n",
    "layer 1 assigned to device ", ",", "error loading model: ", "failed to load model from ",
)  # fmt: skip


@settings(max_examples=60)
@example([(": x KV buffer size = . MiB\n", False)])  # No number, though of its letters.
@given(
    st.lists(st.tuples(st.sampled_from(PARTS) | st.text(max_size=12), st.booleans()), max_size=12)
)
def test_anything_at_all_can_be_fed(pieces: list[tuple[str, bool]]) -> None:
    log = LlamaLog()
    for text, is_error in pieces:
        log.feed(text, is_error=is_error)
        log.feed_layer(text)
    log.last_error()
    log.devices()
