# SPDX-License-Identifier: MIT
"""Which chat template is in use, and what becomes of a conversation under an odd one."""

import ctypes
import dataclasses
import threading
import time
from pathlib import Path

import llama_cpp
import pytest

from rigpanel.engine.llama.template import open_template
from rigpanel.engine.messages import ChatMessage, EngineError, FinishReason
from rigpanel.engine.templates import TEMPLATES, USUAL_TEMPLATES
from rigpanel.library.demo_model import write_demo_model
from rigpanel.library.gguf_header import read_header
from tests.engine.llama.replying import reply, session
from tests.engine.made_models import model_with_template, model_without_template

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def test_the_names_are_those_llama_cpp_has() -> None:
    count = llama_cpp.llama_chat_builtin_templates(None, 0)
    names = (ctypes.c_char_p * count)()
    llama_cpp.llama_chat_builtin_templates(names, count)
    assert tuple(name.decode() for name in names if name) == TEMPLATES
    assert set(USUAL_TEMPLATES) < set(TEMPLATES)


def test_a_file_without_a_template_asks_for_a_choice(tmp_path: Path) -> None:
    model = model_without_template(tmp_path / "bare.gguf")
    with session(model) as opened:
        assert opened.model.template == ""
        with pytest.raises(EngineError, match=r"has no chat template.*chatml"):
            reply(opened, "hello")
    with session(model, chat_template="chatml") as opened:
        assert opened.model.template == "chatml"
        said = reply(opened, "hällo " * 170, max_tokens=3, ignore_eos=True)
        assert said.stats.n_gen == 3
        longer = reply(opened, "hällo " * 170, system="be brief", max_tokens=3, ignore_eos=True)
        written = len("<|im_start|>system\nbe brief<|im_end|>\n")
        assert longer.stats.n_prompt == said.stats.n_prompt + written


def test_a_chosen_template_stands_in_for_a_broken_one(tmp_path: Path) -> None:
    model = model_with_template(tmp_path / "broken.gguf", "{% for %}")
    with (
        pytest.raises(EngineError, match=r"broken\.gguf cannot be read.*Choose one"),
        session(model),
    ):
        pass
    with session(model, chat_template="llama3") as opened:
        assert reply(opened, "hello", max_tokens=2, ignore_eos=True).stats.n_gen == 2


def test_an_unknown_template_is_told_with_those_there_are(tmp_path: Path) -> None:
    model = model_without_template(tmp_path / "bare.gguf")
    with (
        pytest.raises(EngineError, match=r"'none': llama\.cpp has none.*chatml.*zephyr"),
        session(model, chat_template="none"),
    ):
        pass


def test_a_template_without_a_system_role_says_so(tmp_path: Path) -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}a"
    with session(model_with_template(tmp_path / "plain.gguf", template)) as opened:
        with pytest.raises(EngineError, match=r"no system.*Without the system prompt"):
            reply(opened, "hello", system="be brief")
        assert reply(opened, "hello", max_tokens=2, ignore_eos=True).stats.n_gen == 2


SHAPES = {
    "a date and no tools": (
        (
            "{%- if not date_string is defined %}{%- set date_string = strftime_now('%Y') %}"
            "{%- endif %}"
            "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}"
            "{{- bos_token + date_string|length|string }}{%- if tools is not none %}tools"
            "{%- endif %}"
            "{%- for message in messages %}{%- if not 'tool_calls' in message %}"
            "{{- '|' + message['role'] + ':' + message['content'] | trim }}{%- endif %}"
            "{%- endfor %}"
        ),
        "<s>4|system:brief|user:hi|assistant:yes|user:more",
    ),
    "from the last message back, and without what was thought": (
        (
            "{%- set ns = namespace(last=messages|length - 1) %}"
            "{%- for message in messages[::-1] %}"
            "{%- if message.role == 'user' and message.content is string and not"
            " message.content.startswith('<tool_response>') %}"
            "{%- set ns.last = messages|length - 1 - loop.index0 %}{%- break %}{%- endif %}"
            "{%- endfor %}{{- ns.last }}"
            "{{- messages[2].content.split('</think>')[-1].lstrip('\\n') }}"
            "{%- if enable_thinking is defined and enable_thinking is false %}no{%- endif %}"
        ),
        "3yes",
    ),
    "turns that must alternate": (
        (
            "{%- set loop_messages = messages[1:] %}"
            "{%- set users = loop_messages | selectattr('role', 'equalto', 'user') | list %}"
            "{%- for message in loop_messages %}{%- if (message['role'] == 'user') != "
            "(loop.index0 % 2 == 0) %}{{- raise_exception('must alternate') }}{%- endif %}"
            "{%- if message == users[-1] %}{{- messages[0]['content'] + '|' }}{%- endif %}"
            "{{- message['content'] + (eos_token if message['role'] == 'assistant' else '|') }}"
            "{%- endfor %}"
        ),
        "hi|yes</s>brief|more|",
    ),
    "macros and JSON": (
        (
            "{%- macro one(m, sep='') -%}{{- sep ~ m.content | tojson -}}{%- endmacro -%}"
            "{%- for m in messages -%}{%- if m.role == 'system' -%}{%- continue -%}{%- endif -%}"
            "{%- generation -%}{{- one(m, sep=loop.index0) -}}{%- endgeneration -%}{%- endfor -%}"
        ),
        '1"hi"2"yes"3"more"',
    ),
}


def test_what_templates_of_known_models_use_is_there(tmp_path: Path) -> None:
    path = write_demo_model(tmp_path / "demo.gguf")
    with session(path) as opened:
        vocabulary = opened._vocabulary
        said = (("system", "brief"), ("user", "hi"), ("assistant", "yes"), ("user", "more"))
        conversation = tuple(ChatMessage(role, text) for role, text in said)
        for name, (template, expected) in SHAPES.items():
            header = dataclasses.replace(read_header(path), chat_template=template)
            _, apply = open_template(header, "", vocabulary)
            assert apply(conversation) == expected, name


def test_a_text_that_begins_with_the_begin_token_has_it_once(tmp_path: Path) -> None:
    """Some templates write it, and the tokenizer adds it."""
    n_prompt = []
    for name, template in (("bare", "hello"), ("begun", "{{ bos_token }}hello")):
        with session(model_with_template(tmp_path / f"{name}.gguf", template)) as opened:
            n_prompt.append(reply(opened, "hello", max_tokens=1).stats.n_prompt)
    assert n_prompt[0] == n_prompt[1]


def test_a_template_without_end_can_be_stopped(tmp_path: Path) -> None:
    with session(model_with_template(tmp_path / "endless.gguf", ENDLESS)) as opened:
        stopped = threading.Event()
        threading.Timer(0.2, stopped.set).start()
        said = reply(opened, "hello", cancelled=stopped.is_set)
        assert said.stats.finish_reason is FinishReason.CANCELLED
        assert (said.stats.n_prompt, said.stats.ttft_s) == (0, None)


def test_a_template_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rigpanel.engine.llama.template.LONGEST_S", 0.1)
    with session(model_with_template(tmp_path / "endless.gguf", ENDLESS)) as opened:
        began = time.monotonic()
        with pytest.raises(EngineError, match="did not come to an end"):
            reply(opened, "hello")
        assert time.monotonic() - began < 60
