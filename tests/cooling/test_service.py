# SPDX-License-Identifier: MIT
"""Apply, confirm, else revert; power limits; what is kept."""

from pathlib import Path

import pytest

from rigpanel.cooling.client import HelperError
from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.state import FILE, ChangedLimit, KeptState, StateError, StateStore
from tests.cooling.conftest import Start
from tests.cooling.helper_process import CURVE, RunningHelper, until
from tests.fakes.nvml import FakeRig

CURVE_KEPT = FanCurve(((30, 60), (70, 90)))
OTHER = {"points": [[30, 60], [70, 90]]}


def test_a_change_nobody_confirms_is_taken_back_though_the_panel_died(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    helper.set_curve(0)
    with helper.connect() as panel:
        panel.ask("set_curve", gpu=fake_nvml.uuid(0), curve=OTHER, confirm_within_s=1)
        panel.ask("set_power_limit", gpu=fake_nvml.uuid(0), limit_w=250, confirm_within_s=1)
    told = helper.card(0)
    assert (told["curves"]["all"]["points"], told["power_limit_w"]) == (OTHER["points"], 250)
    assert 0 < told["trial_left_s"] <= 1
    until(lambda: fake_nvml.card(0).limit_mw == 350_000, "the limit is taken back")
    told = helper.card(0)
    assert told["curves"]["all"]["points"] == CURVE["points"]
    assert (told["fans"][0]["held_by"], told["trial_left_s"]) == ("curve", None)
    assert "not confirmed" in helper.ask("status")["events"][-1]["sentence"]


def test_a_change_confirmed_stays_and_is_kept_if_asked(
    start_helper: Start, fake_nvml: FakeRig
) -> None:
    helper = start_helper()
    gpu = fake_nvml.uuid(1)
    helper.set_curve(1, confirm_within_s=1, persist=True)
    assert not list(helper.state_dir.glob("*.json"))  # not before it is confirmed
    helper.ask("confirm", gpu=gpu)
    assert helper.card(1)["trial_left_s"] is None
    with pytest.raises(HelperError, match="no change to confirm"):
        helper.ask("confirm", gpu=gpu)
    assert helper.card(1)["persisted"]
    helper.end()
    assert start_helper().card(1)["curves"]["all"]["points"] == CURVE["points"]


def test_a_change_can_be_taken_back_at_once(helper: RunningHelper, fake_nvml: FakeRig) -> None:
    helper.set_curve(0, confirm_within_s=60)
    helper.set_curve(0, curve=OTHER, confirm_within_s=60)  # still the same trial
    helper.ask("revert", gpu=fake_nvml.uuid(0))
    assert helper.card(0)["curves"] == {}
    assert fake_nvml.manual_fans == []


def test_handing_back_forgets_what_was_kept(start_helper: Start, fake_nvml: FakeRig) -> None:
    helper = start_helper()
    helper.set_curve(0, persist=True)
    helper.set_curve(1, persist=True)
    helper.ask("auto", gpu=fake_nvml.uuid(0))
    assert fake_nvml.manual_fans == [(1, 0), (1, 1)]
    helper.ask("auto")
    assert fake_nvml.manual_fans == []
    helper.end()
    start_helper()
    assert fake_nvml.manual_fans == []


def test_a_limit_goes_back_to_what_it_was_also_after_a_restart(
    start_helper: Start, fake_nvml: FakeRig, tmp_path: Path
) -> None:
    fake_nvml.card(0).limit_mw = 330_000
    first = start_helper()
    for watts in (280, 260):
        first.ask("set_power_limit", gpu=fake_nvml.uuid(0), limit_w=watts)
    assert first.card(0)["power_limit_w"] == 260
    first.end()
    assert fake_nvml.card(0).limit_mw == 260_000  # only the fans are dangerous to leave
    second = start_helper()
    assert second.card(0)["limit_changed"]
    second.ask("reset_power_limits", gpu=fake_nvml.uuid(0))
    assert fake_nvml.card(0).limit_mw == 330_000
    assert second.ask("reset_power_limits")["left"] == []
    assert not second.card(0)["limit_changed"]


def test_a_limit_on_trial_goes_back_also_when_the_curve_is_settled_otherwise(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    gpu = fake_nvml.uuid(0)
    helper.ask("set_power_limit", gpu=gpu, limit_w=250, confirm_within_s=60)
    helper.ask("auto", gpu=gpu)
    assert fake_nvml.card(0).limit_mw == 350_000
    helper.ask("set_power_limit", gpu=gpu, limit_w=250, confirm_within_s=60)
    helper.set_curve(0)
    helper.ask("revert", gpu=gpu)
    assert fake_nvml.card(0).limit_mw == 350_000
    assert helper.card(0)["curves"]["all"]["points"] == CURVE["points"]


def test_a_limit_set_for_good_outlasts_an_earlier_trial(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    gpu = fake_nvml.uuid(0)
    helper.set_curve(0, confirm_within_s=60)
    helper.ask("set_power_limit", gpu=gpu, limit_w=250, confirm_within_s=60)
    helper.ask("set_power_limit", gpu=gpu, limit_w=270)
    helper.ask("revert", gpu=gpu)
    assert (fake_nvml.card(0).limit_mw, helper.card(0)["curves"]) == (270_000, {})


def test_a_trial_over_leased_curves_goes_back_to_none_once_the_lease_ended(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    with helper.connect() as panel:
        panel.ask("set_curve", gpu=fake_nvml.uuid(0), curve=CURVE, lease=True)
        helper.set_curve(0, curve=OTHER, confirm_within_s=60)
    helper.ask("ping")
    helper.ask("revert", gpu=fake_nvml.uuid(0))
    assert (helper.card(0)["curves"], fake_nvml.manual_fans) == ({}, [])


def test_a_lease_that_ends_takes_its_trials_with_it(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    gpu = fake_nvml.uuid(0)
    helper.set_curve(0)
    with helper.connect() as panel:
        panel.ask("set_curve", gpu=gpu, curve=OTHER, lease=True, confirm_within_s=60)
        panel.ask("set_power_limit", gpu=gpu, limit_w=250, confirm_within_s=60)
    until(lambda: fake_nvml.card(0).limit_mw == 350_000, "the limit is taken back")
    assert helper.card(0)["curves"]["all"]["points"] == CURVE["points"]


def test_a_lost_card_keeps_no_other_from_its_old_limit(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    for card in (0, 1):
        helper.ask("set_power_limit", gpu=fake_nvml.uuid(card), limit_w=250)
    fake_nvml.lose(0)
    with pytest.raises(HelperError, match="fallen off the bus"):
        helper.ask("reset_power_limits")
    assert fake_nvml.card(1).limit_mw == 350_000


def with_limit(agreed_w: str) -> str:
    limit = f'{{"before_w": 350, "was_w": 350, "set_w": 280, "agreed_w": {agreed_w}}}'
    return f'{{"version": 2, "curves": {{}}, "limits": {{"GPU": {limit}}}}}'


def test_the_state_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(with_limit("350"))
    kept = StateStore(tmp_path).read()
    assert kept.limits == {"GPU": ChangedLimit(350.0, 350.0, 280.0, 350.0)}
    kept.curves["GPU"] = {None: CURVE_KEPT, 1: CURVE_KEPT}
    StateStore(tmp_path).write(kept)
    assert StateStore(tmp_path).read() == kept


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '{"version": 1, "curves": {}, "limits": {}}',
        '{"version": 2}',
        "[" * 50_000,
        with_limit("Infinity"),
        with_limit("NaN"),
        with_limit("1" + "0" * 400),
        with_limit("0"),
        '{"version": 2, "curves": {}, "limits": {"GPU": 350}}',
        '{"version": 2, "curves": {"GPU": {"all": {"points": [[NaN, 30], [80, 90]]}}}}',
    ],
)
def test_a_state_file_that_cannot_be_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StateError, match="Remove the file"):
        StateStore(tmp_path).read()


def test_a_curve_set_for_good_does_not_confirm_another_fans_trial(
    helper: RunningHelper, fake_nvml: FakeRig
) -> None:
    helper.set_curve(0, fan=0, curve=OTHER, confirm_within_s=60)
    helper.set_curve(0, fan=1, persist=True)
    helper.ask("revert", gpu=fake_nvml.uuid(0))
    assert list(helper.card(0)["curves"]) == ["1"]
    assert helper.card(0)["persisted"]


def test_the_state_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.write(KeptState(limits={"GPU-a": ChangedLimit(350.0, 350.0, 280.0)}))
    with (tmp_path / FILE).open() as reading:
        store.write(KeptState())
        assert "GPU-a" in reading.read()
    assert store.read() == KeptState()
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
