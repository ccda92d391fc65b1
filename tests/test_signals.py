"""Signals become `Stopped`, once, and not where something must not be cut in two."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import pytest

from chaos_steps import signals
from chaos_steps.errors import Stopped


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in signals.STOPPING}
    signals.install()
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_is_raised_at_once_with_its_exit_code(signum: int, code: int) -> None:
    with pytest.raises(Stopped) as stopped:
        signal.raise_signal(signum)
    assert stopped.value.code == code


def test_a_deferred_signal_is_raised_when_the_outermost_block_ends() -> None:
    done = []
    with pytest.raises(Stopped), signals.deferred():  # noqa: PT012 - the order is what is tested
        with signals.deferred():
            signal.raise_signal(signal.SIGTERM)
            done.append("inner")
        done.append("outer")
        assert signals.pending() == signal.SIGTERM
    assert done == ["inner", "outer"]


def test_an_error_of_a_deferred_block_is_not_replaced_by_a_signal() -> None:
    with pytest.raises(ValueError, match="mine"), signals.deferred():  # noqa: PT012
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("mine")


def test_waiting_inside_a_deferred_block_can_be_interrupted() -> None:
    with signals.deferred():
        with pytest.raises(Stopped), signals.interruptible():
            signal.raise_signal(signal.SIGTERM)
        assert signals.pending() is None


def test_a_signal_that_came_before_the_waiting_is_raised_when_it_begins() -> None:
    with signals.deferred():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped), signals.interruptible():
            pytest.fail("went on waiting")


def test_after_the_first_signal_the_next_ones_do_nothing() -> None:
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_got_lost_in_somebody_elses_handler_is_raised_by_a_check() -> None:
    signals.check()
    with contextlib.suppress(Exception):  # As logging does.
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(Stopped) as stopped:
        signals.check()
    assert stopped.value.signum == signal.SIGINT


def test_when_the_outcome_is_decided_a_signal_changes_nothing() -> None:
    signals.settle()
    signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_settling_leaves_the_handlers_of_others_alone() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signals.settle()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
