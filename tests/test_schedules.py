"""Schedules: numbers worked out by hand, and NumPy's interpolation."""

import numpy as np
import pytest

from course_utils.schedules import check, constant, one_cycle, step_drops, stretched, triangle, value_at

CYCLE = one_cycle(0.008, 0.12, 40, 10, 0.0008)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 1), (24.9, 1), (25, 0.5), (49.99, 0.5), (50, 0.25), (299, 0.5**11)])
def test_the_rate_of_2015_halves_every_25_epochs(epoch, rate):
    assert value_at(step_drops(1, 0.5, 25, 300), epoch) == pytest.approx(rate)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0), (2.5, 0.2), (5, 0.4), (14.5, 0.2), (24, 0), (30, 0)])
def test_a_triangle_rises_and_falls_in_straight_lines(epoch, rate):
    assert value_at(triangle(0.4, 5, 24), epoch) == pytest.approx(rate)


@pytest.mark.parametrize(("epoch", "rate"), [
    (0, 0.008), (10, 0.064), (20, 0.12), (30, 0.064), (40, 0.008), (45, 0.0044), (50, 0.0008), (60, 0.0008)])
def test_one_cycle_rises_falls_and_cools_down(epoch, rate):
    assert value_at(CYCLE, epoch) == pytest.approx(rate, rel=1e-12)


def test_one_cycle_is_linear_between_its_knots():
    slopes = np.diff([value_at(CYCLE, epoch) for epoch in range(51)])
    assert slopes == pytest.approx([0.0056] * 20 + [-0.0056] * 20 + [-0.00072] * 10, rel=1e-9)


@pytest.mark.parametrize("epochs", [3, 5, 100])
def test_a_stretched_schedule_keeps_its_shape(epochs):
    short = stretched(CYCLE, epochs / 50)
    check(short)
    for share in np.linspace(0, 1, 41):
        assert value_at(short, share * epochs) == pytest.approx(value_at(CYCLE, share * 50), rel=1e-9)


def test_between_knots_a_schedule_agrees_with_numpys_interpolation():
    draw = np.random.default_rng(0)
    epochs, rates = np.sort(draw.uniform(0, 30, 8)), draw.uniform(0, 1, 8)
    knots = tuple(zip(epochs.tolist(), rates.tolist(), strict=True))
    for epoch in [*np.linspace(-1, 31, 200), *epochs]:
        assert value_at(knots, epoch) == pytest.approx(np.interp(epoch, epochs, rates), abs=1e-12)


def test_a_peak_at_the_start_and_a_drop_at_the_end_are_handled():
    assert value_at(constant(0.3), 0) == value_at(constant(0.3), 1e6) == 0.3
    assert value_at(triangle(1, 0, 10, start=0.5), 0) == 1  # a peak at the very start
    assert value_at(step_drops(1, 0.1, 10, 10), 10) == 1  # a drop at the end would never be used


@pytest.mark.parametrize("knots", [(), ((2, 0.1), (1, 0.2)), ((0, -0.1),), ((0, float("inf")),), ((0, float("nan")),)])
def test_an_invalid_schedule_is_refused(knots):
    with pytest.raises(ValueError, match="schedule"):
        check(knots)
