# SPDX-License-Identifier: MIT
"""Drivers that forget, fans that do not obey, and other programs that want the same fans."""

import pytest

from rigpanel.cooling.curve import FanCurve
from rigpanel.cooling.fan_hold import Holder
from rigpanel.cooling.orders import CoolingError
from rigpanel.cooling.service import CoolingService
from rigpanel.rig.readings import Missing
from tests.cooling.watched import CURVE, Watched
from tests.fakes.nvml import FakeRig
from tests.fakes.nvml.rig import UNKNOWN

SET = "nvmlDeviceSetFanSpeed_v2"


def test_what_was_left_in_manual_is_handed_back_at_the_first_sight(
    fake_nvml: FakeRig, watched: Watched
) -> None:
    watched.foreign(35)
    again = Watched(fake_nvml)
    again.loop.control.close()
    assert fake_nvml.manual_fans == []


def test_a_fan_nobody_asked_for_is_left_alone(watched: Watched) -> None:
    watched.foreign(70)
    orders = len(watched.rig.orders)
    watched.tick(20)
    assert (watched.duty(), len(watched.rig.orders)) == (70, orders)


def test_what_the_driver_dropped_is_ordered_again(watched: Watched) -> None:
    watched.hold()
    fan = watched.rig.card(0).fans[0]
    fan.manual, fan.duty_pct, fan.target_pct = 0, 30, 30
    watched.tick()
    assert (fan.manual, watched.duty()) == (1, 50)
    assert watched.holder() is Holder.CURVE


def test_another_program_that_sets_a_fan_is_let_have_it(watched: Watched) -> None:
    watched.hold()
    watched.foreign(70)
    watched.tick(10)
    assert (watched.duty(), watched.holder()) == (70, Holder.OTHER)
    assert "another program set the fan to 70 %" in watched.trouble()
    assert watched.duty(fan=1) == 50  # the other fan is still on its curve
    assert watched.holder(1) is Holder.CURVE


def test_it_takes_the_fan_back_at_critical(watched: Watched) -> None:
    watched.hold()
    watched.foreign(30)
    watched.tick(5)
    watched.rig.card(0).temperature_c = 92
    watched.tick(2)
    assert (watched.duty(), watched.holder()) == (100, Holder.CURVE)
    watched.foreign(30)
    watched.tick()
    assert watched.duty() == 100


def test_it_takes_the_fan_back_when_asked(watched: Watched) -> None:
    watched.hold()
    watched.foreign(70)
    watched.tick(5)
    watched.hold()
    assert (watched.duty(), watched.holder()) == (50, Holder.CURVE)


def test_a_program_that_hands_the_fan_back_all_the_time_is_not_fought(watched: Watched) -> None:
    watched.hold()
    fan = watched.rig.card(0).fans[0]
    for _ in range(20):
        fan.manual, fan.duty_pct, fan.target_pct = 0, 33, 33
        watched.tick(2)
    orders = len(watched.rig.orders)
    watched.tick(40)
    assert (watched.holder(), fan.manual, len(watched.rig.orders)) == (Holder.AUTO, 0, orders)
    assert "another program" in watched.trouble()


def test_a_fan_that_the_other_program_lets_go_of_is_taken_up_again(watched: Watched) -> None:
    watched.hold()
    watched.foreign(70)
    watched.tick(5)
    watched.rig.card(0).fans[0].manual = 0
    watched.tick(5)
    assert (watched.holder(), watched.rig.manual_fans) == (Holder.OTHER, [(0, 1)])  # not yet
    watched.tick(30)
    assert (watched.duty(), watched.holder()) == (50, Holder.CURVE)


def quick_ticks(watched: Watched) -> None:
    """Tick as often as several orders in a row do, faster than a driver may show them."""
    for _ in range(6):
        watched.now += 0.01
        watched.loop.tick()


def test_a_fan_that_shows_its_order_late_is_not_given_up(watched: Watched) -> None:
    watched.rig.card(0).fans[0].deaf = 1
    watched.hold()
    quick_ticks(watched)
    watched.rig.card(0).fans[0].deaf = 0
    watched.tick()
    assert (watched.duty(), watched.holder()) == (50, Holder.CURVE)


def test_a_fan_that_shows_late_that_it_was_handed_back_is_not_left_in_manual(
    watched: Watched,
) -> None:
    watched.hold()
    watched.rig.card(0).fans[0].deaf = 1
    watched.loop.set_curves(watched.rig.uuid(0), {})
    quick_ticks(watched)
    watched.rig.card(0).fans[0].deaf = 0
    watched.tick(2)
    assert watched.rig.manual_fans == []


def test_the_end_waits_for_a_fan_that_shows_late_that_it_was_handed_back(watched: Watched) -> None:
    watched.hold()
    watched.rig.card(0).fans[0].late_ms = 50
    assert (watched.loop.hand_back_all(), watched.rig.manual_fans) == ([], [])


def test_a_fan_that_does_not_obey_is_told_and_tried_again_later(watched: Watched) -> None:
    watched.rig.card(0).fans[0].deaf = 1
    watched.hold()
    watched.tick(5)
    assert watched.holder() is Holder.AUTO
    assert "does not follow" in watched.trouble()
    assert watched.holder(1) is Holder.CURVE
    watched.rig.card(0).fans[0].deaf = 0
    watched.tick(40)
    assert (watched.duty(), watched.holder()) == (50, Holder.CURVE)


def test_a_frozen_sensor_hands_the_fans_back_and_says_why(watched: Watched) -> None:
    watched.hold()
    watched.rig.freeze_sensor(0)
    watched.tick(15)
    watched.rig.card(0).power_mw = 340_000
    watched.tick(40)
    assert watched.rig.manual_fans == []
    assert "has stood at 60 °C" in watched.trouble()
    assert any("has stood" in event.sentence for event in watched.loop.events)


def test_full_speed_where_handing_back_fails_and_again_until_it_works(watched: Watched) -> None:
    watched.hold()
    for function in ("nvmlDeviceSetDefaultFanSpeed_v2", "nvmlDeviceSetFanControlPolicy"):
        watched.rig.fail(function, UNKNOWN, card=0)
    watched.rig.fail("nvmlDeviceGetTemperatureV", UNKNOWN, card=0)
    watched.tick(4)
    assert (watched.duty(), watched.duty(fan=1)) == (100, 100)
    assert "cannot be handed back" in watched.trouble()
    watched.rig.mend()
    watched.rig.fail("nvmlDeviceGetTemperatureV", UNKNOWN, card=0)
    watched.tick()
    assert watched.rig.manual_fans == []


def test_a_hand_back_without_effect_is_seen_and_the_fan_blows_at_full(watched: Watched) -> None:
    watched.hold()
    for fan in watched.rig.card(0).fans[:2]:
        fan.deaf = 1
    watched.rig.fail("nvmlDeviceGetTemperatureV", UNKNOWN, card=0)
    watched.tick(8)
    assert "it stays in manual" in watched.trouble()
    full = [order for order in watched.rig.orders if order[:3] == (SET, 0, 0)]
    assert full[-1].value == 100
    for fan in watched.rig.card(0).fans[:2]:
        fan.deaf = 0
    watched.tick(4)
    assert watched.rig.manual_fans == []


def test_a_curve_taken_off_without_effect_is_told(watched: Watched) -> None:
    watched.hold()
    watched.rig.card(0).fans[0].deaf = 1
    watched.loop.set_curves(watched.rig.uuid(0), {})
    watched.tick(6)
    assert "Fan 0 of GPU 0 could not be handed back" in watched.loop.events[-1].sentence
    orders = len(watched.rig.orders)
    watched.tick(20)
    assert len(watched.rig.orders) == orders  # whoever has it now is not fought


ZERO_RPM = FanCurve(((60, 50), (84, 100)), auto_below_c=60)


def test_a_new_curve_sees_to_it_that_the_fan_of_the_one_before_is_the_cards(
    watched: Watched,
) -> None:
    watched.hold()
    watched.rig.card(0).temperature_c = 50
    watched.rig.card(0).fans[0].deaf = 1
    watched.loop.set_curves(watched.rig.uuid(0), {None: ZERO_RPM})
    watched.tick(2)
    watched.rig.card(0).fans[0].deaf = 0
    watched.tick(2)
    assert watched.rig.manual_fans == []


def test_a_curve_that_leaves_the_fan_to_the_card_does_so_with_another_programs(
    watched: Watched,
) -> None:
    watched.foreign(70)
    watched.rig.card(0).temperature_c = 50
    watched.loop.set_curves(watched.rig.uuid(0), {None: ZERO_RPM})
    watched.tick(2)
    assert watched.rig.manual_fans == []


@pytest.mark.parametrize("blind", [True, False])
def test_a_new_curve_hands_back_what_the_one_before_held(watched: Watched, blind: bool) -> None:
    watched.hold()
    if blind:
        watched.rig.fail("nvmlDeviceGetTemperatureV", UNKNOWN, card=0)
    watched.rig.card(0).temperature_c = 50
    watched.loop.set_curves(watched.rig.uuid(0), {None: ZERO_RPM})
    watched.tick(4)
    assert watched.rig.manual_fans == []


def test_the_end_reads_back_that_the_fans_are_the_cards_own(watched: Watched) -> None:
    watched.hold()
    watched.rig.card(0).fans[1].deaf = 1
    assert ["it stays in manual" in problem for problem in watched.loop.hand_back_all()] == [True]
    assert watched.rig.manual_fans == [(0, 1)]


def test_why_a_fan_was_given_up_is_told_once(watched: Watched) -> None:
    watched.hold()
    fan = watched.rig.card(0).fans[0]
    for function in ("nvmlDeviceSetDefaultFanSpeed_v2", "nvmlDeviceSetFanControlPolicy"):
        watched.rig.fail(function, UNKNOWN, card=0)
    for _ in range(20):
        fan.manual, fan.duty_pct, fan.target_pct = 0, 33, 33
        watched.tick(2)
    watched.tick(20)
    assert watched.trouble().count("cannot be handed back") == 1


@pytest.mark.parametrize(("low", "high"), [(0, 0), (60, 30), (65535, 65535), (30, 200)])
def test_a_range_that_cannot_be_does_not_keep_a_fan_from_full(
    watched: Watched, low: int, high: int
) -> None:
    watched.rig.state.range_unchecked = 1
    watched.rig.card(0).min_duty_pct, watched.rig.card(0).max_duty_pct = low, high
    watched.hold()
    assert watched.duty() == 50
    watched.rig.card(0).temperature_c = 92
    watched.tick()
    assert watched.duty() == 100


def test_a_range_told_late_is_kept_to(watched: Watched) -> None:
    watched.rig.card(0).min_duty_pct = 60
    watched.rig.state.range_unchecked = 1
    watched.rig.fail("nvmlDeviceGetMinMaxFanSpeed", UNKNOWN)
    watched.hold()
    watched.rig.mend()
    watched.tick(5)
    assert (watched.duty(), watched.holder()) == (60, Holder.CURVE)


def test_a_driver_that_counts_fans_without_end_is_not_believed(watched: Watched) -> None:
    watched.rig.card(0).fan_count = 2**31 - 1
    watched.tick()
    vitals = watched.loop.card(watched.rig.uuid(0))
    assert vitals is not None
    assert vitals.fans is Missing.READ_FAILED
    watched.rig.card(0).fan_count = 2


def test_a_lost_card_is_let_go_of_and_handed_back_when_it_is_found(watched: Watched) -> None:
    watched.hold()
    watched.rig.lose(0)
    watched.tick(4)
    service = CoolingService(watched.loop, None, lambda: watched.now)
    with pytest.raises(CoolingError, match="gpu lost"):
        service.automatic(watched.rig.uuid(0))
    watched.rig.bring_back(0)
    watched.tick(40)
    assert watched.rig.manual_fans == []


def test_a_careless_driver_is_never_told_less_than_the_card_takes(watched: Watched) -> None:
    watched.rig.state.range_unchecked = 1
    watched.loop.set_curves(watched.rig.uuid(0), {None: FanCurve(((20, 0), (90, 5)))})
    watched.tick()
    assert (watched.duty(), watched.rig.card(0).fans[0].manual) == (30, 1)


def test_one_fan_has_a_curve_of_its_own(watched: Watched) -> None:
    curves = {None: CURVE, 1: FanCurve(((40, 70), (60, 90)))}
    watched.loop.set_curves(watched.rig.uuid(0), curves)
    watched.tick()
    assert (watched.duty(fan=0), watched.duty(fan=1)) == (50, 90)
    watched.loop.set_curves(watched.rig.uuid(0), {1: CURVE})
    watched.tick()
    assert watched.rig.manual_fans == [(0, 1)]


def test_a_clock_that_jumped_in_suspend_is_noticed(watched: Watched) -> None:
    watched.hold()
    for fan in watched.rig.card(0).fans[:2]:
        fan.manual, fan.duty_pct, fan.target_pct = 0, 30, 30
    watched.apart_s = 3600.0
    watched.tick()
    assert watched.rig.manual_fans == []  # the driver has two seconds to come to itself
    watched.tick(3)
    assert watched.rig.manual_fans == [(0, 0), (0, 1)]
    assert watched.loop.control.starts == 2


def test_a_fast_rise_shortens_the_wait(watched: Watched) -> None:
    watched.hold()
    assert watched.loop.wait_s == 1.0
    watched.rig.card(0).temperature_c = 66
    watched.tick()
    assert watched.loop.wait_s < 0.5
    watched.tick()
    assert watched.loop.wait_s == 1.0


def test_a_driver_that_does_not_tell_the_cards_range_is_given_the_usual_one(
    watched: Watched,
) -> None:
    watched.rig.fail("nvmlDeviceGetMinMaxFanSpeed", 13)
    watched.loop.set_curves(watched.rig.uuid(0), {None: FanCurve(((20, 0), (90, 5)))})
    watched.tick()
    assert watched.duty() == 30


def test_a_held_fan_is_handed_back_though_the_card_does_not_tell_its_fans(
    watched: Watched,
) -> None:
    watched.hold()
    watched.rig.fail("nvmlDeviceGetNumFans", UNKNOWN)
    assert watched.loop.hand_back_all() == []
    assert watched.rig.manual_fans == []


def test_no_order_stops_a_fan_though_the_card_would_take_it(watched: Watched) -> None:
    watched.rig.card(0).min_duty_pct = 0
    watched.loop.set_curves(watched.rig.uuid(0), {None: FanCurve(((20, 0), (90, 0)))})
    watched.tick()
    assert watched.duty() >= 1


def test_cards_that_answer_do_not_wait_long_for_a_driver_that_fails_once(watched: Watched) -> None:
    watched.hold()
    watched.rig.lose(1)
    watched.tick(100)  # by now the lost one is looked for seldom
    watched.rig.state.init_error = UNKNOWN
    for _ in range(40):
        watched.tick()
        vitals = watched.loop.card(watched.rig.uuid(0))
        assert vitals is not None
        if isinstance(vitals.temperature_c, Missing):
            break
    watched.rig.state.init_error = 0
    watched.rig.card(0).temperature_c = 75
    watched.tick(3)
    assert watched.duty() == 80
