"""A WAF that does not do what it says: exit code, claim, rule, time, and where the token went.

All cases run at once, each with a host, a ledger and a proxy of its own, since most of their time is waiting.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.effects import Done, run_jobs
from tests.places import RestPlace
from tests.servers.nginx_waf import NginxWaf
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Upstream

BOUND = 40.0
"""Seconds in which every command must end; the pod's grace on top of a hanging write."""

QUICK = {"chaos_steps.ledger.injection.UNDO_PATIENCE": 2.0, "chaos_steps.ledger.injection.SECOND_LOOK": 1.0}


@dataclass(frozen=True)
class Wrong:
    """What a method does wrong: see `Unreliable`. status 0: no answer, the connection is closed."""

    method: str
    status: int = 0
    passed_on: bool = False
    hangs: bool = False


class Case(NamedTuple):
    """What goes wrong, and what must come of it."""

    wrong: tuple[Wrong, ...]
    code: int
    is_claimed: bool
    has_fault: bool = False


APPLY = {
    "500 to the rule": Case((Wrong("POST", 500),), 3, True),
    "500 after adding the rule": Case((Wrong("POST", 500, passed_on=True),), 3, True),
    "hangs before adding the rule": Case((Wrong("POST", hangs=True),), 3, True),
    "hangs after adding the rule": Case((Wrong("POST", hangs=True, passed_on=True),), 3, True),
    "breaks off after adding the rule": Case((Wrong("POST", passed_on=True),), 3, True),
    "redirects the rule": Case((Wrong("POST", 307),), 3, True),
    "redirects after adding the rule": Case((Wrong("POST", 303, passed_on=True),), 3, True),
    "refuses the rule": Case((Wrong("POST", 400),), 3, False),
    "says 201 and adds nothing": Case((Wrong("POST", 201),), 3, False),
    "500 to the first look": Case((Wrong("GET", 500),), 3, False),
    "hangs at the first look": Case((Wrong("GET", hangs=True),), 3, False),
    "redirects the first look": Case((Wrong("GET", 302),), 3, False),
    "401 to the first look": Case((Wrong("GET", 401),), 3, False),
    "adds the rule, says 500, and does not delete": Case(
        (Wrong("POST", 500, passed_on=True), Wrong("DELETE", 500)), 6, True, has_fault=True
    ),
    "adds the rule, says 500, and deletes only in words": Case(
        (Wrong("POST", 500, passed_on=True), Wrong("DELETE", 204)), 6, True, has_fault=True
    ),
}

REVERT = {
    "500 to the deletion": Case((Wrong("DELETE", 500),), 6, True, has_fault=True),
    "204 without deleting": Case((Wrong("DELETE", 204),), 6, True, has_fault=True),
    "500 after deleting": Case((Wrong("DELETE", 500, passed_on=True),), 0, False),
    "breaks off after deleting": Case((Wrong("DELETE", passed_on=True),), 0, False),
    "hangs before deleting": Case((Wrong("DELETE", hangs=True),), 6, True, has_fault=True),
    "redirects the deletion": Case((Wrong("DELETE", 307),), 6, True, has_fault=True),
    "500 to the look": Case((Wrong("GET", 500),), 6, True, has_fault=True),
    "hangs at the look": Case((Wrong("GET", hangs=True),), 6, True, has_fault=True),
    "redirects the look": Case((Wrong("GET", 302),), 6, True, has_fault=True),
    "says 404 to the look": Case((Wrong("GET", 404),), 0, False, has_fault=True),  # All that it can be asked.
    "401 to the deletion": Case((Wrong("DELETE", 401),), 6, True, has_fault=True),
}


@dataclass(frozen=True)
class Outcome:
    """What came of a case. `again`: of a revert when the WAF behaves again."""

    done: Done
    is_claimed: bool
    has_fault: bool
    again: Done | None = None


@dataclass(frozen=True)
class Behaviour:
    """What came of all cases."""

    outcomes: dict[str, Outcome]
    elsewhere: int
    """How many requests came where the redirects point to."""
    texts: list[str]
    """All that was written: outputs, ledgers."""


def misbehave(proxy: Unreliable, case: Case, elsewhere: str) -> None:
    for wrong in case.wrong:
        headers = {"Location": f"{elsewhere}/rules"} if 300 <= wrong.status < 400 else {}
        reply = Reply(wrong.status, b"waf-test-token is not it", headers) if wrong.status else None
        proxy.misbehave(wrong.method, passed_on=wrong.passed_on, hangs=wrong.hangs, reply=reply)


class Scene(NamedTuple):
    """One case with its proxy."""

    name: str
    case: Case
    host: str
    place: RestPlace
    proxy: Unreliable


@pytest.fixture(scope="module")
def behaviour(nginx_waf_server: NginxWaf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behaviour]:
    folder = tmp_path_factory.mktemp("misbehaving")
    with contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(Upstream())
        scenes = []
        for number, (name, case) in enumerate([*APPLY.items(), *REVERT.items()]):
            proxy = stack.enter_context(Unreliable(nginx_waf_server.admin_url))
            place = RestPlace(nginx_waf_server, folder)
            place.environment["WAF_ADMIN_API_URL"] = proxy.url
            scenes.append(Scene(name, case, f"wrong-{number}", place, proxy))
        yield play(scenes, elsewhere, folder)


def play(scenes: list[Scene], elsewhere: Upstream, folder: Path) -> Behaviour:
    reverts = [scene for scene in scenes if scene.name in REVERT]
    applied = [scene.place.inject(scene.host, "apply", "--duration", "1m") for scene in reverts]
    assert {done.code for done in run_jobs(applied, folder / "applied")} == {0}
    for scene in scenes:
        misbehave(scene.proxy, scene.case, elsewhere.url)
    jobs = [
        scene.place.revert(scene.host, "--grace", "1s")
        if scene in reverts
        else scene.place.inject(scene.host, "apply", "--duration", "1m", patches=QUICK)
        for scene in scenes
    ]
    ended = run_jobs(jobs, folder / "misbehaving", parallel=len(jobs))
    outcomes = {
        scene.name: Outcome(done, bool(scene.place.ledger(scene.host).claims()), scene.place.has_fault(scene.host))
        for scene, done in zip(scenes, ended, strict=True)
    }
    texts = [file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file() and file.name != "job"]
    for scene in scenes:
        scene.proxy.behave()
    again = run_jobs([scene.place.revert(scene.host) for scene in scenes], folder / "again", parallel=len(scenes))
    for scene, done in zip(scenes, again, strict=True):
        outcomes[scene.name] = replace(outcomes[scene.name], again=done)
    return Behaviour(outcomes, elsewhere.count, texts)


@pytest.mark.parametrize("name", APPLY)
def test_apply_at_a_waf_that(behaviour: Behaviour, name: str) -> None:
    assert_as(APPLY[name], behaviour.outcomes[name])


@pytest.mark.parametrize("name", REVERT)
def test_revert_at_a_waf_that(behaviour: Behaviour, name: str) -> None:
    assert_as(REVERT[name], behaviour.outcomes[name])


def assert_as(case: Case, outcome: Outcome) -> None:
    found = (outcome.done.code, outcome.is_claimed, outcome.has_fault)
    assert found == (case.code, case.is_claimed, case.has_fault), outcome.done.stderr
    assert outcome.done.seconds < BOUND


@pytest.mark.parametrize("name", [name for name in [*APPLY, *REVERT] if name != "says 404 to the look"])
def test_a_revert_settles_everything_when_the_waf_behaves_again_after_it(behaviour: Behaviour, name: str) -> None:
    again = behaviour.outcomes[name].again
    assert again is not None
    assert again.code == 0, again.stderr


def test_no_redirect_is_followed(behaviour: Behaviour) -> None:
    assert behaviour.elsewhere == 0


def test_the_token_is_written_nowhere(behaviour: Behaviour) -> None:
    assert len(behaviour.texts) > 100
    assert [text for text in behaviour.texts if NginxWaf.token in text] == []


def test_a_waf_that_is_gone_ends_apply_3_and_its_revert_6(nginx_waf: NginxWaf, tmp_path: Path) -> None:
    place = RestPlace(nginx_waf, tmp_path)
    with Unreliable(nginx_waf.admin_url) as proxy:
        place.environment["WAF_ADMIN_API_URL"] = proxy.url
        (applied,) = run_jobs([place.inject("there", "apply", "--duration", "1m")], tmp_path / "applied")
        assert applied.code == 0
    jobs = [place.inject("new", "apply", "--duration", "1m"), place.revert("there", "--grace", "1s")]
    new, reverted = run_jobs(jobs, tmp_path / "gone")
    assert (new.code, reverted.code) == (3, 6)
    assert place.ledger("new").claims() == []
    assert len(place.ledger("there").claims()) == 1
    assert proxy.url in reverted.stderr
