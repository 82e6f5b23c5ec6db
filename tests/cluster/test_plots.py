"""Small plots: what is drawn where."""

from __future__ import annotations

import pytest

from mailapp.cluster.plots import area, ceiling, line


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 1), (0.3, 1), (1, 1), (1.1, 2), (4, 5), (5.1, 10), (11, 20), (501, 1000)],
)
def test_a_scale_ends_at_a_number_a_person_can_say(highest: float, top: float) -> None:
    assert ceiling(highest) == top


def test_the_newest_value_is_at_the_right_edge() -> None:
    assert line([0, 10, 5], 10, points=121) == "M236.0 39.5L238.0 0.5L240.0 20.0"


def test_only_as_many_points_are_drawn_as_there_is_room_for() -> None:
    assert line([9, 9, 0, 1], 1, points=2) == "M0.0 39.5L240.0 0.5"


def test_an_area_is_closed_along_the_ground() -> None:
    assert area([1, 1], 1, points=3) == "M120.0 0.5L240.0 0.5L240 39.5L120.0 39.5Z"


def test_nothing_is_drawn_of_nothing() -> None:
    assert (line([], 1, points=3), area([], 1, points=3)) == ("", "")
