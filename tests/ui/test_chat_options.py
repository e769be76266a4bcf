# SPDX-License-Identifier: MIT
"""The chat's options: presets, the form made from the declaration, bad values told in place."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDoubleSpinBox, QPlainTextEdit
from pytestqt.qtbot import QtBot

from rigpanel.engine.messages import ChatMessage, Sampling, TokenBias, WhenFull
from rigpanel.engine.sampling import PARAMETERS, PRESETS
from rigpanel.ui.panes.chat.options import ChatOptions
from rigpanel.ui.panes.chat.sampling_form import SamplingForm
from rigpanel.ui.panes.chat.sampling_texts import TEXTS
from tests.ui.chat_fixtures import Chat, run
from tests.ui.window_fixtures import until, words_in

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)")


@pytest.fixture
def form(qtbot: QtBot) -> SamplingForm:
    form = SamplingForm()
    qtbot.addWidget(form)
    form.show()
    return form


def options(chat: Chat) -> ChatOptions:
    chat.pane.drawers.toggle_options()
    (drawer,) = chat.pane.findChildren(ChatOptions)
    return drawer


def write(form: SamplingForm, name: str, text: str) -> None:
    editor = form.texts[name].editor
    if isinstance(editor, QPlainTextEdit):
        editor.setPlainText(text)
    else:
        editor.setText(text)


def test_every_parameter_is_in_the_form_with_its_range_and_sentence(form: SamplingForm) -> None:
    for parameter in PARAMETERS:
        box = form.numbers[parameter.name]
        assert (box.minimum(), box.maximum()) == (parameter.minimum, parameter.maximum)
        assert parameter.sentence in box.toolTip()
        assert box.value() == getattr(Sampling(), parameter.name)
    told = {*form.numbers, *form.texts, "ignore_eos"}
    assert told == {field.name for field in dataclasses.fields(Sampling)}


def test_what_is_set_is_told(form: SamplingForm) -> None:
    told: list[Sampling] = []
    form.changed.connect(told.append)
    form.numbers["top_k"].setValue(7)
    write(form, "stop", "User:\n\\n\\n\nC:\\\\x")
    write(form, "logit_bias", "warm = -2.5\n cold=-inf")
    write(form, "seed", " 12 ")
    assert told[-1] == Sampling(
        top_k=7,
        seed=12,
        stop=("User:", "\n\n", "C:\\x"),
        logit_bias=(TokenBias("warm", -2.5), TokenBias("cold", -math.inf)),
    )


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("seed", "seven", "is not a whole number"),
        ("seed", "-1", "must be from 0"),
        ("max_tokens", "0", "must be 1 or more"),
        ("logit_bias", "warm", "write it as word = -2.5"),
        ("logit_bias", "warm = 1e9", "must be from"),
        ("stop", "x" * 1001, "from 1 to 1000 characters"),
    ],
)
def test_a_bad_value_is_told_where_it_stands_and_not_used(
    form: SamplingForm, name: str, text: str, words: str
) -> None:
    told: list[Sampling] = []
    form.changed.connect(told.append)
    form.fold.click()
    write(form, name, text)
    assert told == []
    assert words in form.texts[name].error.text()
    assert [t for t, field in form.texts.items() if not field.error.isHidden()] == [name]
    write(form, name, "")
    assert form.texts[name].error.isHidden()


def test_a_grammar_and_a_schema_do_not_go_together(form: SamplingForm) -> None:
    write(form, "grammar", 'root ::= "yes"')
    assert form.sampling.grammar == 'root ::= "yes"'
    write(form, "json_schema", "{}")
    assert "cannot hold at once" in form.texts["json_schema"].error.text()
    assert form.sampling.json_schema == ""
    write(form, "grammar", "")
    assert (form.sampling.grammar, form.sampling.json_schema) == ("", "{}")


biases = st.builds(
    TokenBias,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=9).map(lambda text: f"x{text}x"),
    st.integers(-100, 100).map(float),
)


@settings(max_examples=50)
@given(
    stop=st.lists(biases.map(lambda bias: bias.text), max_size=4).map(tuple),
    bias=st.lists(biases, max_size=4),
)
def test_texts_are_read_as_they_were_written(stop: tuple[str, ...], bias: list[TokenBias]) -> None:
    sampling = Sampling(stop=stop, logit_bias=tuple(bias), seed=3, grammar="root ::= x")
    for parameter in TEXTS:
        read = parameter.read(parameter.write(sampling))
        assert read == getattr(sampling, parameter.name)


def test_presets_are_chosen_saved_and_deleted(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        drawer = options(chat)
        assert drawer.preset.currentText() == "balanced"
        temperature = drawer.form.numbers["temperature"]
        assert isinstance(temperature, QDoubleSpinBox)
        temperature.setValue(0.33)
        assert drawer.preset.currentText() == "changed"
        drawer.name.setText("precise")
        drawer.save_button.click()
        await until(lambda: "own presets" in words_in(drawer), "a built-in name was refused")
        drawer.name.setText("Mine")
        drawer.save_button.click()
        await until(lambda: drawer.preset.currentText() == "Mine", "it was saved")
        drawer.preset.setCurrentText("precise")
        drawer.preset.activated.emit(drawer.preset.currentIndex())
        assert chat.pane.session.sampling == PRESETS["precise"]
        assert not drawer.delete_button.isVisible()
        place = drawer.preset.findText("Mine")
        drawer.preset.setCurrentIndex(place)
        drawer.preset.activated.emit(place)
        assert chat.pane.session.sampling.temperature == 0.33
        drawer.delete_button.click()
        await until(lambda: drawer.preset.findText("Mine") < 0, "it is forgotten")
        assert drawer.preset.currentText() == "changed"

    run(chat, qapp, scenario)


def test_what_is_chosen_holds_from_the_next_message_on(chat: Chat, qapp: QApplication) -> None:
    async def scenario(chat: Chat) -> None:
        chat.engine.make_ready()
        drawer = options(chat)
        assert "own, from its file" in words_in(drawer)
        QTest.keyClicks(drawer.system, "Be brief.")
        drawer.form.numbers["top_k"].setValue(5)
        drawer.when_full.setCurrentIndex(1)
        chat.pane.drawers.toggle_options()
        await chat.ask("why")
        request = chat.engine.requests[0]
        assert request.messages == (ChatMessage("system", "Be brief."), ChatMessage("user", "why"))
        assert request.sampling.top_k == 5
        assert request.when_full is WhenFull.DROP_OLDEST
        await chat.answer("So.")
        kept = await chat.saved()
        assert kept.path()[0].text == "Be brief."
        record = kept.path()[-1].record
        assert record is not None
        assert record.sampling.top_k == 5
        chat.pane.session.set_system("Be long.")
        await chat.turn("and", "Then.")
        assert [message.text for message in (await chat.saved()).path()] == [
            "Be long.", "why", "So.", "and", "Then.",
        ]  # fmt: skip

    run(chat, qapp, scenario)


def test_drawers_stand_beside_the_chat_where_there_is_room(chat: Chat) -> None:
    chat.pane.resize(1000, 600)
    drawer = options(chat)
    assert drawer.isVisible()
    assert chat.pane.composer.isVisible()
    chat.pane.resize(420, 600)
    assert not chat.pane.composer.isVisible()
    chat.pane.focus_composer()
    assert chat.pane.composer.hasFocus()
    assert not drawer.isVisible()
