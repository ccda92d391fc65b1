"""waf-inject killed, stopped and overtaken at every one of its effects.

Each point has a host, a run and a ledger of its own, so that all of them can be settled at once: a change of a killed
process is settled 10 s after it was recorded, when it can no longer land.
"""

from __future__ import annotations

import pytest

from tests.effects import Act, Done, Job, run_jobs
from tests.places import Place

ALL_AT_ONCE = 400
APPLY = ("apply", "--duration", "60s")
HOLD = ("hold", "--duration", "1us")  # One look at the target, so that its effects are always the same.


def points(place: Place, name: str, action: tuple[str, ...]) -> int:
    """How many effects a command has."""
    place.prepare([name])
    (done,) = run_jobs([_job(place, name, action)], place.folder / f"measure-{name}")
    assert done.code == 0, done.stderr
    (reverted,) = run_jobs([place.revert(name)], place.folder / f"measured-{name}")
    assert reverted.code == 0, reverted.stderr
    return len(done.effects)


def _job(place: Place, name: str, action: tuple[str, ...], effect: int = 0, act: Act = "kill") -> Job:
    if action[0] == "fault-revert":
        return place.revert(name, effect=effect, act=act)
    return place.inject(name, *action, effect=effect, act=act)


def act_at_every_point(place: Place, action: tuple[str, ...], *acts: Act) -> dict[str, tuple[Act, Done]]:
    """Run a command once for each of its effects and do one of `acts` at that; returns how each ended, by name."""
    count = points(place, f"{action[0]}-0", action)
    names = [f"{action[0]}-{effect}" for effect in range(1, count + 1)]
    place.prepare(names)
    chosen = [acts[number % len(acts)] for number in range(count)]
    jobs = [_job(place, name, action, number + 1, chosen[number]) for number, name in enumerate(names)]
    done = run_jobs(jobs, place.folder / action[0], parallel=place.parallel)
    return dict(zip(names, zip(chosen, done, strict=True), strict=True))


def test_after_kill_9_at_any_point_of_apply_or_hold_a_revert_brings_all_back(place: Place) -> None:
    names = []
    for action in (APPLY, HOLD):
        count = points(place, f"{action[0]}-0", action)
        names += [(f"{action[0]}-{effect}", action, effect) for effect in range(1, count + 1)]
    place.prepare([name for name, _, _ in names])
    untouched = place.state()
    killed = run_jobs([_job(place, *each) for each in names], place.folder / "killed", parallel=place.parallel)
    assert {done.code for done in killed} == {-9}
    assert sum(place.has_fault(name) for name, _, _ in names) > len(names) / 4  # Else the test would show nothing.
    assert_reverted(place, [name for name, _, _ in names], untouched)


def test_after_kill_9_at_any_point_of_a_revert_another_one_brings_all_back(place: Place) -> None:
    assert_kills_do_no_harm(place, ("revert",))


def test_after_kill_9_at_any_point_of_fault_revert_another_one_brings_all_back(rest_place: Place) -> None:
    assert_kills_do_no_harm(rest_place, ("fault-revert",))


def assert_kills_do_no_harm(place: Place, action: tuple[str, ...]) -> None:
    name = f"{action[0]}-0"
    place.prepare([name])
    run_jobs([place.inject(name, *APPLY)], place.folder / "first")
    (done,) = run_jobs([_job(place, name, action)], place.folder / "measure")
    assert done.code == 0, done.stderr
    names = [f"{action[0]}-{effect}" for effect in range(1, len(done.effects) + 1)]
    place.prepare(names)
    untouched = place.state()
    applied = run_jobs(
        [place.inject(name, *APPLY) for name in names], place.folder / "applied", parallel=place.parallel
    )
    assert {done.code for done in applied} == {0}
    jobs = [_job(place, name, action, effect) for effect, name in enumerate(names, 1)]
    assert {done.code for done in run_jobs(jobs, place.folder / "killed", parallel=place.parallel)} == {-9}
    assert any(place.has_fault(name) for name in names)
    assert_reverted(place, names, untouched)


def assert_reverted(place: Place, names: list[str], untouched: bytes) -> None:
    """Revert all, look at everything, revert all again."""
    for attempt in ("first", "second"):
        jobs = [place.revert(name) for name in names]
        done = run_jobs(jobs, place.folder / f"{attempt}-revert", parallel=ALL_AT_ONCE)
        failures = {name: each.stderr for name, each in zip(names, done, strict=True) if each.code}
        assert failures == {}
        assert place.state() == untouched
        assert {name for name in names if place.ledger(name).claims()} == set()
        if attempt == "second":
            assert {each.results["reverted"] for each in done} == {"0"}


CODES = {"term": 143, "interrupt": 130}


def test_a_signal_at_any_point_of_apply_leaves_nothing_or_a_finished_apply(place: Place) -> None:
    ended = act_at_every_point(place, APPLY, "term", "interrupt")
    for name, (act, done) in ended.items():
        if done.code == 0:  # It came when everything was done: the fault is there, as the results say.
            assert done.results["state"] == "active", name
            assert place.has_fault(name), name
        else:
            assert done.code == CODES[act], (name, done.effects, done.stderr)
            assert not place.has_fault(name), name
            assert place.ledger(name).claims() == [], name
    # Four effects say that the owner is done, two are the results.
    assert sum(done.code == 0 for _, done in ended.values()) <= 6


def test_a_signal_at_any_point_of_hold_leaves_nothing(rest_place: Place) -> None:
    place = rest_place
    ended = act_at_every_point(place, HOLD, "term", "interrupt")
    for name, (act, done) in ended.items():
        assert not place.has_fault(name), name
        assert place.ledger(name).claims() == [], name
        late = done.code == 0 and done.effects[-1].endswith("results")
        assert done.code == CODES[act] or late, (name, done.effects, done.stderr)
    assert sum(done.code == 0 for _, done in ended.values()) <= 2


@pytest.mark.parametrize("action", [("revert",), ("fault-revert",)])
def test_a_signal_at_any_point_of_a_revert_does_not_keep_the_fault_in(
    rest_place: Place, action: tuple[str, ...]
) -> None:
    place = rest_place
    place.prepare(["measure"])
    run_jobs([place.inject("measure", *APPLY)], place.folder / "first")
    (done,) = run_jobs([_job(place, "measure", action)], place.folder / "measure")
    names = [f"{action[0]}-{effect}" for effect in range(1, len(done.effects) + 1)]
    place.prepare(names)
    run_jobs([place.inject(name, *APPLY) for name in names], place.folder / "applied", parallel=place.parallel)
    jobs = [_job(place, name, action, effect, "term") for effect, name in enumerate(names, 1)]
    stopped = run_jobs(jobs, place.folder / "stopped", parallel=place.parallel)
    for name, each in zip(names, stopped, strict=True):
        assert each.code in (143, 0), (name, each.stderr)
        assert not place.has_fault(name), name
        assert place.ledger(name).claims() == [], name
    assert {each.code for each in stopped} == {143, 0}


def test_a_revert_between_any_two_actions_of_apply_leaves_nothing(place: Place) -> None:
    # The revert was first, or came when all was done.
    assert codes_with_a_revert(place, APPLY) == {0, 4}


def test_a_revert_between_any_two_actions_of_hold_leaves_nothing(rest_place: Place) -> None:
    # The revert was first, came while the fault was held, or came when all was done.
    assert codes_with_a_revert(rest_place, HOLD) == {0, 4, 7}


def codes_with_a_revert(place: Place, action: tuple[str, ...]) -> set[int]:
    ended = act_at_every_point(place, action, "revert")
    for name, (_, done) in ended.items():
        assert done.revert == 0, (name, done.effects)
        assert not place.has_fault(name), (name, done.effects)
        assert place.ledger(name).claims() == [], name
    return {done.code for _, done in ended.values()}
