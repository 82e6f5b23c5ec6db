"""What is answered when something is not there or can't be done."""

from __future__ import annotations

from collections.abc import Callable

from tests.people import Person


def test_a_page_that_is_not_there_makes_no_session(visitor: Callable[[], Person]) -> None:
    robot = visitor()
    robot.visit("/wp-login.php")

    assert robot.response.status_code == 404
    assert not robot.client.cookies
