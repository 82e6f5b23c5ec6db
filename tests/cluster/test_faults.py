"""The fault matrix judges by bounds, and its table by what every run must find again."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.topology import REPOSITORY
from tests.cluster.faults import FAULTS, chosen
from tests.cluster.matrix import (
    EXPECTED,
    PROMISES,
    RECORD,
    broken,
    differences,
    every_case,
    grid,
    promises,
    rows,
    with_cases,
)

GOOD: dict[str, Any] = {
    "part": "redis",
    "fault": "hung",
    "requests": 500,
    "failed": 12,
    "failures": {"503": 12},
    "recovered_s": 0.4,
    "acknowledged": 40,
    "lost": 0,
    "doubled": 0,
    "damaged": 0,
    "half_done": 0,
    "sessions_lost": 0,
    "slowest_503_ms": 700,
}


@pytest.mark.parametrize(
    "otherwise",
    [
        {"lost": 1},
        {"doubled": 1},
        {"damaged": 1},
        {"half_done": 1},
        {"sessions_lost": 1},
        {"acknowledged": 0},
        {"recovered_s": 5.1},
        {"failures": {"503": 12, "late": 1}},
        {"failures": {"503": 12, "500": 1}},
        {"failures": {}},  # then nothing was away
    ],
    ids=str,
)
def test_a_case_that_breaks_a_promise_is_told(otherwise: dict[str, Any]) -> None:
    assert broken(GOOD) == []
    assert len(broken(GOOD | otherwise)) == 1


@pytest.mark.parametrize(
    "otherwise",
    [{"failures": {"500": 1}}, {"failures": {}}, {"recovered_s": 6.0}, {"lost": 1}, {"doubled": 1}],
    ids=str,
)
def test_the_table_differs_where_a_promise_does_and_not_where_a_figure_does(
    otherwise: dict[str, Any],
) -> None:
    text = with_cases("# A title\n\n", [GOOD])
    other_figures = {"requests": 480, "failed": 3, "failures": {"503": 3}, "recovered_s": 1.2}

    assert differences(text, [GOOD | other_figures]) == []
    assert len(differences(text, [GOOD | otherwise])) == 1
    assert len(differences("", [GOOD])) == 1


def test_a_case_recorded_again_leaves_the_others() -> None:
    text = with_cases("# A title\n\n", [GOOD, GOOD | {"fault": "killed"}])

    again = with_cases(text, [GOOD | {"requests": 7}])

    assert again == text.replace("| 500 |", "| 7 |", 2).replace("| 7 |", "| 500 |", 1)


def test_the_recorded_table_has_every_case_and_all_are_well() -> None:
    recorded = rows(RECORD.read_text())

    assert list(recorded) == every_case()
    for (part, fault), row in recorded.items():
        expected = [part, fault, str(EXPECTED[part][fault]), "yes", "0", "0", "0"]
        assert row[: len(PROMISES)] == expected


def test_every_fault_is_done_to_every_part() -> None:
    assert all(list(faults) == list(FAULTS) for faults in EXPECTED.values())


def test_cases_are_chosen_by_part_or_by_part_and_fault() -> None:
    assert chosen("web:killed,redis:cut-off") == [("web", "killed"), ("redis", "cut off")]
    assert [part for part, _ in chosen("silo")] == ["silo"] * len(FAULTS)
    with pytest.raises(SystemExit):
        chosen("web:tired")


def test_a_row_says_what_was_expected_where_that_was_seen() -> None:
    assert promises(GOOD)[2] == "503"
    assert promises(GOOD | {"failures": {"503": 1, "late": 2}})[2] == "503, late"


def test_the_readme_shows_what_people_see() -> None:
    assert grid() in (REPOSITORY / "README.md").read_text()
