# SPDX-License-Identifier: MIT
"""The loader's devices: what llama.cpp lists can be chosen, lent ones with their warning."""

import dataclasses
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton

from rigpanel.engine.devices import Device, DeviceKind
from rigpanel.engine.messages import EngineError
from rigpanel.settings import RPC_SERVERS, SettingsStore
from rigpanel.ui.panes.load.devices import Devices
from tests.ui.loader import Loader, MakeLoader, play_with
from tests.ui.window_fixtures import until, words_in

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")

NEAR, FAR = "127.0.0.1:50052", "10.0.0.2:50052"
CARDS = tuple(
    Device(f"CUDA{n}", "NVIDIA GeForce RTX 3090", DeviceKind.GPU, 23142.4, 24268.8) for n in (0, 1)
)
CPU = Device("CPU", "A processor", DeviceKind.CPU, 60000.0, 64000.0)
LENT = (
    Device("RPC0", "CUDA0", DeviceKind.RPC, 11000.0, 12000.0, NEAR),
    Device("RPC1", "CUDA0", DeviceKind.RPC, 7000.0, 8000.0, FAR),
)


async def listed(loader: Loader) -> Devices:
    """Open the fold and wait for what llama.cpp says."""
    devices = loader.pane.form.devices
    loader.pane.form.folds[Devices].open()
    await until(lambda: devices.asked, "the devices were listed")
    return devices


def add_server(devices: Devices, address: str) -> None:
    devices.address.setText(address)
    QTest.keyClick(devices.address, Qt.Key.Key_Return)


def remover(devices: Devices, server: str) -> QPushButton:
    buttons = devices.findChildren(QPushButton)
    return next(one for one in buttons if one.accessibleName() == f"Remove {server}")


def test_cards_stand_in_until_llama_cpp_is_asked(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    loader.engine.listing = (*CARDS, CPU)

    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        form = loader.pane.form
        assert loader.engine.listings == []
        assert [spin.prefix() for spin in form.split.shares] == ["GPU 0:  ", "GPU 1:  "]
        assert form.folds[Devices].summary.text() == "2 cards"
        devices = await listed(loader)
        assert list(devices.boxes) == ["CUDA0", "CUDA1"]
        assert "22.6 of 23.7 GiB" in words_in(devices)
        assert [spin.prefix() for spin in form.split.shares] == ["CUDA0:  ", "CUDA1:  "]
        assert loader.pane.load_settings().devices == ()

    play_with(loader, qapp, scenario)


def test_what_is_unchecked_is_left_out_and_none_is_the_cpu(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    loader.engine.listing = (*CARDS, CPU)

    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        devices = await listed(loader)
        form = loader.pane.form
        devices.boxes["CUDA0"].click()
        assert loader.pane.load_settings().devices == ("CUDA1",)
        assert not form.split.isVisible()
        assert devices.summary() == "1 of 2 devices"
        devices.boxes["CUDA1"].click()
        asked = loader.pane.load_settings()
        assert (asked.devices, asked.n_gpu_layers) == ((), 0)
        assert "everything runs on the CPU" in form.layers.note
        assert not form.layers.spin.isEnabled()
        devices.boxes["CUDA0"].click()
        devices.boxes["CUDA1"].click()
        asked = loader.pane.load_settings()
        assert (asked.devices, asked.n_gpu_layers) == ((), -1)

    play_with(loader, qapp, scenario)


def test_where_llama_cpp_sees_no_card_it_is_said(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    loader.engine.listing = (CPU,)

    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        devices = await listed(loader)
        assert "sees no card" in words_in(devices)
        assert "sees no card" in loader.pane.form.layers.note
        assert not loader.pane.form.split.isVisible()

    play_with(loader, qapp, scenario)


def test_a_server_is_added_remembered_split_over_and_removed(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    loader.engine.listing = (*CARDS, CPU, *LENT)

    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        devices = await listed(loader)
        assert "no authentication and no encryption" in words_in(devices)
        add_server(devices, NEAR)
        add_server(devices, FAR)
        await until(lambda: len(devices.boxes) == 4, "its devices were listed")
        assert loader.engine.listings[-1] == (NEAR, FAR)
        assert loader.settings.get(RPC_SERVERS) == f"{NEAR}, {FAR}"
        assert devices.address.text() == ""
        asked = loader.pane.load_settings()
        assert asked.devices == ("RPC0", "RPC1", "CUDA0", "CUDA1")
        assert asked.rpc_servers == (NEAR, FAR)
        loader.pane.form.split.shares[1].setValue(3.0)
        assert loader.pane.load_settings().tensor_split == (1.0, 3.0, 1.0, 1.0)
        devices.boxes["RPC0"].click()
        asked = loader.pane.load_settings()
        # Both servers stay: without the first, the second's device would be another number.
        assert (asked.devices, asked.rpc_servers) == (("RPC1", "CUDA0", "CUDA1"), (NEAR, FAR))
        devices.use_servers.click()
        await until(lambda: len(devices.boxes) == 2, "this machine's are left")
        assert loader.pane.load_settings().rpc_servers == ()
        remover(devices, NEAR).click()
        assert loader.settings.get(RPC_SERVERS) == FAR
        add_server(devices, NEAR)
        assert devices.servers == (FAR, NEAR)

    play_with(loader, qapp, scenario)


@pytest.mark.parametrize(
    ("address", "words"),
    [("", "no address"), ("10.0.0.2", "no address"), ("10.0.0.2:99999", "port"), ("a b:1", "no a")],
)
def test_an_address_that_is_none_is_told_at_once(
    loader: Loader, qapp: QApplication, address: str, words: str
) -> None:
    async def scenario(loader: Loader) -> None:
        devices = await listed(loader)
        add_server(devices, address)
        assert devices.problem.isVisible()
        assert words in devices.problem.text()
        assert loader.settings.get(RPC_SERVERS) == ""

    play_with(loader, qapp, scenario)


def test_a_server_that_does_not_answer_is_named_and_the_devices_stay(
    loader: Loader, qapp: QApplication
) -> None:
    loader.engine.listing = (*CARDS, CPU)

    async def scenario(loader: Loader) -> None:
        devices = await listed(loader)
        loader.engine.listing = EngineError(f"RPC server {FAR} does not answer.")
        add_server(devices, FAR)
        await until(devices.problem.isVisible, "the silence was told")
        assert FAR in devices.problem.text()
        assert list(devices.boxes) == ["CUDA0", "CUDA1"]
        loader.engine.listing = (*CARDS, CPU)
        devices.again.click()
        assert not devices.problem.isVisible()

    play_with(loader, qapp, scenario)


def test_a_public_address_gets_a_warning_of_its_own(loader: Loader, qapp: QApplication) -> None:
    async def scenario(loader: Loader) -> None:
        devices = await listed(loader)
        add_server(devices, "192.168.1.20:50052")
        assert "public address" not in words_in(devices)
        add_server(devices, "8.8.8.8:50052")
        assert "public address" in words_in(devices)

    play_with(loader, qapp, scenario)


def test_servers_from_before_are_asked_with_the_first_model(
    make_loader: MakeLoader, tmp_path: Path, qapp: QApplication, model: Path
) -> None:
    SettingsStore(tmp_path / "settings.toml").set(RPC_SERVERS, f"{NEAR}, nonsense, {FAR},{NEAR}")
    loader = make_loader(tmp_path)
    loader.engine.listing = (CPU, *LENT)

    async def scenario(loader: Loader) -> None:
        assert loader.engine.listings == []
        await loader.choose(model)
        await until(lambda: loader.pane.form.devices.asked, "they were asked")
        assert loader.engine.listings == [(NEAR, FAR)]
        assert list(loader.pane.form.devices.boxes) == ["RPC0", "RPC1"]

    play_with(loader, qapp, scenario)


def test_a_profile_brings_its_servers_and_one_without_leaves_them_out(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    loader.engine.listing = (*CARDS, CPU, *LENT)

    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        devices = await listed(loader)
        plain = loader.pane.load_settings()
        far = dataclasses.replace(
            plain, rpc_servers=(NEAR, FAR), devices=("RPC1", "CUDA0"), tensor_split=(3.0, 1.0)
        )
        loader.pane.form.take(far)
        await until(lambda: len(devices.boxes) == 4, "its servers were asked")
        assert loader.pane.load_settings() == far
        loader.pane.form.take(plain)
        await until(lambda: len(devices.boxes) == 2, "this machine's are left")
        assert loader.pane.load_settings() == plain

    play_with(loader, qapp, scenario)


def test_a_profile_with_devices_has_them_listed_and_says_what_is_not_there(
    loader: Loader, qapp: QApplication, model: Path
) -> None:
    loader.engine.listing = (*CARDS, CPU)

    async def scenario(loader: Loader) -> None:
        await loader.choose(model)
        form = loader.pane.form
        lone = dataclasses.replace(loader.pane.load_settings(), devices=("CUDA1",))
        form.take(lone)
        await until(lambda: form.devices.asked, "they were listed")
        assert loader.pane.load_settings() == lone
        form.take(dataclasses.replace(lone, devices=("CUDA1", "CUDA7")))
        assert "Not there now: CUDA7" in words_in(form.devices)

    play_with(loader, qapp, scenario)
