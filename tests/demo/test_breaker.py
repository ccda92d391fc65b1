"""The circuit breaker of the demo's shop, by a clock of the test's own."""

from __future__ import annotations

import pytest
from breaker import CircuitBreaker, CircuitOpen


class Failed(Exception):
    pass


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail() -> None:
    raise Failed


def succeed() -> str:
    return "done"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


@pytest.fixture
def open_breaker(breaker: CircuitBreaker) -> CircuitBreaker:
    for _ in range(20):
        call_failing(breaker)
    return breaker


def call_failing(breaker: CircuitBreaker) -> None:
    with pytest.raises(Failed):
        breaker.call(fail)


def assert_refuses(breaker: CircuitBreaker) -> None:
    with pytest.raises(CircuitOpen, match="circuit breaker open"):
        breaker.call(lambda: pytest.fail("the call was made"))


def test_nineteen_failures_do_not_open_it_and_the_twentieth_call_does(breaker: CircuitBreaker) -> None:
    for _ in range(19):
        call_failing(breaker)
    assert breaker.call(succeed) == "done"
    assert_refuses(breaker)


def test_it_stays_closed_while_less_than_half_of_the_last_twenty_calls_fail(breaker: CircuitBreaker) -> None:
    for _ in range(10):
        for _ in range(9):
            call_failing(breaker)
        for _ in range(11):
            breaker.call(succeed)


def test_old_calls_do_not_count(breaker: CircuitBreaker) -> None:
    for _ in range(100):
        breaker.call(succeed)
    for _ in range(9):
        call_failing(breaker)
    assert breaker.call(succeed) == "done"
    call_failing(breaker)
    assert_refuses(breaker)


def test_it_refuses_until_its_time_is_over(open_breaker: CircuitBreaker, clock: Clock) -> None:
    clock.now += 1.9
    assert_refuses(open_breaker)
    clock.now += 0.1
    assert open_breaker.call(succeed) == "done"


def test_a_tried_call_that_succeeds_closes_it(open_breaker: CircuitBreaker, clock: Clock) -> None:
    clock.now += 2
    open_breaker.call(succeed)
    for _ in range(9):
        call_failing(open_breaker)
    assert open_breaker.call(succeed) == "done"


def test_a_tried_call_that_fails_keeps_it_open(open_breaker: CircuitBreaker, clock: Clock) -> None:
    clock.now += 2
    call_failing(open_breaker)
    clock.now += 1.9
    assert_refuses(open_breaker)


def test_only_one_call_is_tried_at_a_time(open_breaker: CircuitBreaker, clock: Clock) -> None:
    clock.now += 2
    open_breaker.call(lambda: assert_refuses(open_breaker))


def test_calls_that_began_before_it_opened_change_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    def outlast_the_opening(others: int) -> None:
        if others:
            breaker.call(lambda: outlast_the_opening(others - 1))
        else:
            for _ in range(20):
                call_failing(breaker)
            clock.now += 1.9
            raise Failed

    with pytest.raises(Failed):
        breaker.call(lambda: outlast_the_opening(20))
    clock.now += 0.1
    assert breaker.call(succeed) == "done"
