# SPDX-License-Identifier: MIT
"""The load form: every setting goes out as it came in, and says why it would be refused."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QLineEdit,
    QPushButton,
    QSlider,
    QWidget,
)

from rigpanel.engine.checks import FLASH_ATTN
from rigpanel.engine.devices import Device, DeviceKind
from rigpanel.engine.templates import TEMPLATES
from rigpanel.fit.load_settings import (
    LoadSettings,
    LoraAdapter,
    RopeScaling,
    Speculation,
    SplitMode,
)
from rigpanel.library.demo_model import write_demo_model
from rigpanel.library.ggml_types import KV_TYPES
from rigpanel.library.gguf_header import read_header
from rigpanel.ui.panes.load.adapters import Adapters
from rigpanel.ui.panes.load.field_row import takes_tab
from rigpanel.ui.panes.load.load_form import LoadForm
from rigpanel.ui.panes.load.refusal import refusal
from rigpanel.ui.panes.load.settings_words import settings_words
from rigpanel.ui.panes.load.speculation import SpeculationGroup
from tests.engine.made_models import model_with_bytes
from tests.ui.loader import Loader, delete_now, drop, play_with
from tests.ui.window_fixtures import until

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")

DEVICES = (
    Device("CUDA0", "NVIDIA GeForce RTX 3090", DeviceKind.GPU, 23100.0, 24268.0, "0000:01:00.0"),
    Device("CUDA1", "NVIDIA GeForce RTX 3090", DeviceKind.GPU, 23100.0, 24268.0, "0000:02:00.0"),
    Device("CPU", "A processor", DeviceKind.CPU, 60000.0, 64000.0),
)
MODEL = Path("/models/one.gguf")
PATHS = st.sampled_from([Path("/models/a.gguf"), Path("/models/b.gguf"), Path("/models/c.gguf")])
SHARES = st.tuples(st.integers(1, 20), st.integers(1, 20)).filter(lambda both: both[0] != both[1])


@st.composite
def loads(draw: st.DrawFn) -> LoadSettings:
    """Draw settings as a person could have made them for a model of six layers on two cards."""
    mode = draw(st.sampled_from(SplitMode))
    kind = draw(st.sampled_from(Speculation))
    shared = draw(st.booleans()) and mode is not SplitMode.NONE
    has_main = mode in {SplitMode.NONE, SplitMode.ROW}
    return LoadSettings(
        MODEL,
        n_ctx=draw(st.integers(256, 16384)),
        n_gpu_layers=draw(st.integers(-1, 6)),
        split_mode=mode,
        tensor_split=tuple(share / 4 for share in draw(SHARES)) if shared else (),
        main_gpu=draw(st.integers(0, 1)) if has_main else 0,
        n_batch=draw(st.integers(1, 8192)),
        n_ubatch=draw(st.integers(1, 8192)),
        threads=draw(st.none() | st.integers(1, 128)),
        type_k=draw(st.sampled_from(sorted(KV_TYPES))),
        type_v=draw(st.sampled_from(sorted(KV_TYPES))),
        flash_attn=draw(st.sampled_from(sorted(FLASH_ATTN))),
        use_mmap=draw(st.booleans()),
        use_mlock=draw(st.booleans()),
        rope_scaling=draw(st.sampled_from(RopeScaling)),
        rope_freq_base=float(draw(st.integers(0, 1_000_000))),
        rope_freq_scale=draw(st.integers(0, 8)) / 8,
        lora=tuple(
            LoraAdapter(path, draw(st.integers(-8, 8)) / 4)
            for path in draw(st.lists(PATHS, unique=True))
        ),
        speculation=kind,
        model_draft=draw(st.none() | PATHS) if kind is Speculation.DRAFT_MODEL else None,
        n_draft=draw(st.integers(1, 64)),
        chat_template=draw(st.sampled_from(("", *TEMPLATES))),
    )


@pytest.fixture
def form(qapp: QApplication, model: Path) -> Iterator[LoadForm]:
    form = LoadForm()
    form.set_header(read_header(model))
    form.devices.take_listed(DEVICES)
    yield form
    delete_now(form)


def shown(parent: QWidget, *kinds: type[QWidget]) -> list[QWidget]:
    """Return the parts of such kinds that can be seen and used."""
    parts = [part for kind in kinds for part in parent.findChildren(kind)]
    return [part for part in parts if part.isVisible() and part.isEnabled()]


def open_all(form: LoadForm) -> None:
    for fold in form.folds.values():
        fold.open()


def test_there_is_a_field_for_every_setting_and_each_says_what_it_is(form: LoadForm) -> None:
    open_all(form)
    form.speculation.kind.setCurrentIndex(1)
    for one in dataclasses.fields(LoadSettings):
        if one.name == "model":
            continue
        row = form.field(one.name)
        assert row is not None, one.name
        assert row.editor.toolTip(), one.name
    assert set(KV_TYPES) == {
        form.running.type_k.itemText(place) for place in range(form.running.type_k.count())
    }


def test_left_alone_nothing_is_asked_for(form: LoadForm) -> None:
    assert form.settings(MODEL) == LoadSettings(MODEL)
    before = {kind: fold.summary.text() for kind, fold in form.folds.items()}
    open_all(form)
    assert {kind: fold.summary.text() for kind, fold in form.folds.items()} == before
    assert form.settings(MODEL) == LoadSettings(MODEL)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(load=loads())
def test_settings_come_out_as_they_went_in(form: LoadForm, load: LoadSettings) -> None:
    form.take(load)
    assert form.settings(MODEL) == load


def test_what_is_past_the_model_or_the_rig_is_cut_to_them(form: LoadForm) -> None:
    form.take(
        LoadSettings(MODEL, n_gpu_layers=81, n_ctx=131072, tensor_split=(1.0, 2.0, 3.0), main_gpu=2)
    )
    taken = form.settings(MODEL)
    assert (taken.n_gpu_layers, taken.n_ctx) == (-1, 16384)
    assert (taken.tensor_split, taken.main_gpu) == ((), 0)


def test_another_model_lets_go_of_what_was_chosen_for_the_one_before(
    form: LoadForm, model: Path, tmp_path: Path
) -> None:
    form.take(
        LoadSettings(
            model,
            type_k="q8_0",
            rope_scaling=RopeScaling.YARN,
            lora=(LoraAdapter(Path("/models/a.gguf")),),
            speculation=Speculation.DRAFT_MODEL,
            model_draft=Path("/models/b.gguf"),
            chat_template="llama3",
        )
    )
    mine = form.settings(model)
    form.set_header(read_header(model))
    assert form.settings(model) == mine
    form.set_header(read_header(write_demo_model(tmp_path / "other.gguf")))
    assert form.settings(MODEL) == LoadSettings(MODEL, type_k="q8_0")


def test_rope_scaling_lifts_the_limit_of_the_context(form: LoadForm) -> None:
    form.rope.kind.setCurrentIndex(form.rope.kind.findData(RopeScaling.YARN))
    form.context.spin.setValue(65536)
    assert form.settings(MODEL).n_ctx == 65536
    assert "Past the 16384 tokens" in form.context.fields["n_ctx"].sentence
    form.rope.kind.setCurrentIndex(0)
    assert form.settings(MODEL).n_ctx == 16384


def test_a_refused_combination_is_told_at_its_field_until_it_is_mended(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        pane, running = loader.pane, loader.pane.form.running
        await loader.choose(model)
        row = running.fields["type_v"]
        assert not row.isVisible()
        running.flash.setCurrentText("off")
        running.type_v.setCurrentText("q8_0")
        await until(row.refusal.isVisible, "the refusal was told")
        assert "needs flash attention" in row.refusal.text()
        assert not pane.foot.load_button.isEnabled()
        pane.foot.refused_button.click()
        await until(running.type_v.hasFocus, "the way led to the field")
        pane.file.path.setFocus()
        pane.load()
        assert running.type_v.hasFocus()
        assert loader.engine.loads == []
        running.flash.setCurrentText("on")
        await until(pane.foot.load_button.isEnabled, "it can be loaded")
        assert not row.refusal.isVisible()
        assert not pane.foot.refused_button.isVisible()

    play_with(loader, qapp, scenario)


def test_a_refusal_of_the_file_itself_is_told_in_the_pane(
    loader: Loader, qapp: QApplication, tmp_path: Path
) -> None:
    path = tmp_path / "mmproj.gguf"
    writer: Any = gguf.GGUFWriter(path, "clip")
    writer.add_tensor("v.patch", np.zeros((4, 4), np.float32))
    write(writer)

    async def scenario(loader: Loader) -> None:
        await loader.choose(path)
        await until(loader.pane.foot.refused_button.isVisible, "it was refused")
        loader.pane.foot.refused_button.click()
        assert "projector" in loader.pane.problem.sentence.text()

    play_with(loader, qapp, scenario)


def write(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_to_blame_is_the_setting_that_has_to_change(model: Path) -> None:
    header = read_header(model)
    fine = LoadSettings(model, n_ctx=8192, type_v="q8_0")
    assert refusal(fine, header) is None
    tensor = LoadSettings(model, n_ctx=8192, split_mode=SplitMode.TENSOR, flash_attn="off")
    refused = refusal(tensor, header)
    assert refused is not None
    assert (refused.field, "flash attention" in refused.sentence) == ("split_mode", True)
    both = dataclasses.replace(fine, flash_attn="off", threads=5000)
    refused = refusal(both, header)
    assert refused is not None
    assert refused.field == "type_v"


def test_what_lent_devices_cannot_do_is_told_at_its_setting(model: Path) -> None:
    row = LoadSettings(model, split_mode=SplitMode.ROW)
    card = Device("CUDA0", "RTX 3090", DeviceKind.GPU, 1.0, 2.0)
    lent = Device("RPC0", "CUDA0", DeviceKind.RPC, 1.0, 2.0, "10.0.0.2:50052")
    header = read_header(model)
    assert refusal(row, header, (card,)) is None
    refused = refusal(row, header, (card, lent))
    assert refused is not None
    assert refused.field == "split_mode"
    assert "RPC0" in refused.sentence


def test_an_adapter_is_added_weighed_and_left_out(
    loader: Loader, qapp: QApplication, model: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "pirate-lora.gguf"
    writer: Any = gguf.GGUFWriter(adapter, "llama")
    writer.add_type("adapter")
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.zeros((4, 64), np.float32))
    write(writer)

    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        form = loader.pane.form
        drop(form.adapters, adapter)
        drop(form.adapters, adapter)
        form.adapters.strengths[0].setValue(0.5)
        asked = loader.pane.load_settings()
        assert (asked.model, asked.lora) == (model, (LoraAdapter(adapter, 0.5),))
        assert form.folds[Adapters].summary.text() == "pirate-lora.gguf"
        form.adapters.removers[0].click()
        assert loader.pane.load_settings().lora == ()
        assert form.folds[Adapters].summary.text() == "none"
        drop(loader.pane, adapter)
        await until(lambda: bool(form.adapters.strengths), "it was known for an adapter")
        assert loader.pane.load_settings().model == model
        assert form.adapters.isVisible()

    play_with(loader, qapp, scenario)


def test_a_file_without_a_template_asks_for_one(
    loader: Loader, qapp: QApplication, tmp_path: Path
) -> None:
    path = model_with_bytes(
        tmp_path / "bare.gguf", b"tokenizer.chat_template", b"tokenizer.chat_tamplete"
    )

    async def scenario(loader: Loader) -> None:
        await loader.choose(path)
        template = loader.pane.form.template
        assert "brings no chat template" in loader.pane.file.facts.text()
        assert template.isVisible()
        assert "choose one" in template.summary()
        template.choice.setCurrentText("chatml")
        assert loader.pane.load_settings().chat_template == "chatml"
        assert template.summary() == "chatml"

    play_with(loader, qapp, scenario)


def test_a_draft_model_can_be_dropped_and_is_asked_for_only_where_it_is_used(
    form: LoadForm,
) -> None:
    group = form.speculation
    form.show()
    form.folds[SpeculationGroup].open()
    assert not group.draft.isVisible()
    group.kind.setCurrentIndex(group.kind.findData(Speculation.DRAFT_MODEL))
    assert group.draft.isVisible()
    drop(group.draft, Path("/models/small.gguf"))
    assert form.settings(MODEL).model_draft == Path("/models/small.gguf")
    group.kind.setCurrentIndex(group.kind.findData(Speculation.PROMPT_LOOKUP))
    assert form.settings(MODEL).model_draft is None
    assert group.n_draft.isVisible()


def test_the_wheel_scrolls_the_page_and_sets_nothing_without_the_focus(form: LoadForm) -> None:
    form.show()
    open_all(form)
    form.setFocus()
    before = form.settings(MODEL)
    for editor in shown(form, QComboBox, QAbstractSpinBox, QSlider):
        wheel = QWheelEvent(
            QPointF(5, 5),
            QPointF(5, 5),
            QPoint(0, -120),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(editor, wheel)
    assert form.settings(MODEL) == before


def test_every_field_has_a_name_and_tab_goes_down_the_page(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        form = loader.pane.form
        loader.engine.listing = DEVICES
        form.devices.set_servers(("127.0.0.1:50052",))
        open_all(form)
        form.speculation.kind.setCurrentIndex(1)
        form.adapters.add_file(Path("/models/a.gguf"))
        await until(lambda: form.devices.asked, "the devices were listed")
        await until(form.template.choice.isVisible, "all is open")
        parts = shown(form, QComboBox, QAbstractSpinBox, QCheckBox, QLineEdit, QPushButton)
        for part in parts:
            inside_a_spin = isinstance(part.parent(), QAbstractSpinBox)
            said = part.accessibleName() or (
                part.text() if isinstance(part, (QCheckBox, QPushButton)) else ""
            )
            assert said or inside_a_spin, part
        await until(lambda: form.height() >= form.minimumSizeHint().height(), "it is laid out")
        stops = in_tab_order(form)
        assert len(stops) > 25
        for before, after in itertools.pairwise(stops):
            assert middle(after, form) > middle(before, form) - 4, (before, after)

    play_with(loader, qapp, scenario)


def middle(part: QWidget, form: LoadForm) -> int:
    """Return how far down the form the middle of a part is."""
    return part.mapTo(form, QPoint(0, part.height() // 2)).y()


def in_tab_order(form: LoadForm) -> list[QWidget]:
    """Return what Tab stops at in the form, from its first part on."""
    stops: list[QWidget] = []
    part = form.nextInFocusChain()
    while part is not None and part is not form:
        if takes_tab(part) and form.isAncestorOf(part) and part.isVisible() and part.isEnabled():
            stops.append(part)
        part = part.nextInFocusChain()
    return stops


def test_nothing_is_wider_than_the_pane_with_all_open_and_eight_cards(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    async def scenario(loader: Loader) -> None:
        pane, form = loader.pane, loader.pane.form
        loader.engine.listing = tuple(
            Device(f"CUDA{place}", "A card of a very long name indeed", DeviceKind.GPU, 1e5, 1e5)
            for place in range(8)
        )
        await loader.choose(model)
        open_all(form)
        form.adapters.add_file(Path("/models/an-adapter-of-a-very-long-name-indeed-q8_0.gguf"))
        form.speculation.kind.setCurrentIndex(1)
        form.running.type_v.setCurrentText("q8_0")
        form.running.flash.setCurrentText("off")
        await until(lambda: len(form.split.shares) == 8, "the devices were listed")
        pane.resize(pane.minimumWidth(), 700)
        await until(pane.foot.refused_button.isVisible, "a sentence was added")
        for part in shown(form, QWidget):
            right = part.mapTo(pane, QPoint(part.width(), 0)).x()
            assert right <= pane.width(), (part, part.parent())

    play_with(loader, qapp, scenario)


def test_settings_are_told_in_words(form: LoadForm) -> None:
    told = settings_words(
        LoadSettings(
            MODEL,
            n_gpu_layers=20,
            n_ctx=8192,
            tensor_split=(1.0, 2.5),
            type_v="q8_0",
            rpc_servers=("10.0.0.2:50052",),
            lora=(LoraAdapter(Path("/a/pirate.gguf"), 0.5),),
        )
    )
    assert told.startswith("one.gguf · 20 layers on the cards · context 8k · KV cache f16 and q8_0")
    for part in ("tensor split 1 : 2.5", "RPC servers 10.0.0.2:50052", "LoRA pirate.gguf at 0.5"):
        assert part in told
