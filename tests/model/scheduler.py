"""Drives the real ledger code through interleavings of the model, and compares the two after every move.

Each process is a thread that stops before every effect, a call of the ledger or of the target or a sleep, and goes on
when it is its turn; so only one ever runs. A killed one has no effect any more, whatever its `finally` blocks try.
Ledger, injection and reversion are the real ones, on a real file system or with an API server; target, clock and the
knowledge of who is dead are the scheduler's.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos_steps.errors import ChaosError, OutcomeUnknown, Unavailable
from chaos_steps.http import Http
from chaos_steps.kube import Objects
from chaos_steps.ledger import owner as owners
from chaos_steps.ledger.clock import Clock
from chaos_steps.ledger.documents import Owner
from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.injection import Injection
from chaos_steps.ledger.kube import LABEL, PATIENCE, KubeLedger
from chaos_steps.ledger.protocol import Ledger
from chaos_steps.ledger.reversion import Reversion
from chaos_steps.ledger.target import Effect, Fault
from chaos_steps.limits import Limits
from chaos_steps.scope import Scope
from tests.model.model import (
    CLEAN,
    OWNERS,
    RUN,
    Move,
    Scenario,
    Step,
    World,
    broken,
    has_stopped,
    moves,
    start,
    step_of,
)

LONG = 1e6
"""Seconds of a lease: it runs out when the scheduler says so, not before."""

LONGEST = 80
"""Moves of a walk that would go on for ever."""

NOVELTY = 5.0
"""How much likelier a move is that was not made yet from where the processes stand."""

IDLE = ("comes again", "lease runs out", "passes")
"""When nothing else can happen, a walk is over."""

RARE = {"is killed": 0.05, "is killed, its write on its way": 0.2, "lease runs out": 0.3, "comes again": 0.3}
"""How likely a move is, compared with 1 for any other."""

BEGINNINGS, BEGIN = ("claim", "mark:closed", "claims"), 0.2
"""How likely it is that a process begins: low, so that it meets the others at any of their effects."""

STAY = (1.0, 20.0)
"""How much likelier the same process goes on, by walk: where it is high, some sleep while others do much."""


class Killed(BaseException):
    """Nothing of the process happens any more."""


class Deviation(AssertionError):
    """The code did something else than the model, or broke an invariant."""


class Process:
    """A thread with the baton. `at` is the effect that it stands before, "dead" or "end CODE"."""

    here = threading.local()

    def __init__(self, name: str, program: Callable[[Process], int]) -> None:
        self.name = name
        self.at = ""
        self.what = ""
        """How its present move goes: what `Move.what` says."""
        self._program = program
        self._killed = False
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        threading.Thread(target=self._run, daemon=True).start()
        self._done.acquire()

    def move(self, what: str) -> None:
        """Let it do its next effect and come to the one after."""
        self.what = what
        self._killed = what.startswith("is killed")
        self._go.release()
        self._done.acquire()

    def stop(self, effect: str) -> str:
        """In the thread: wait for the turn to do `effect`; returns how it goes."""
        if not self._killed:
            self.at = effect
            self._done.release()
            self._go.acquire()
        if self._killed:
            raise Killed
        return self.what

    def _run(self) -> None:
        Process.here.process = self
        try:
            self.at = f"end {self._program(self)}"
        except ChaosError as error:
            self.at = f"end {error.code}"
        except Killed:
            self.at = "dead"
        except Exception as error:  # noqa: BLE001 - the comparison reports it
            self.at = f"end {error!r}"
        self._done.release()


@contextlib.contextmanager
def steered() -> Iterator[None]:
    """Who lives is what the move says; nothing waits for a disk."""
    verdicts = {"sees the owner dead": True, "sees the owner alive": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owners, "current", lambda: owner_named(Process.here.process.name))
        patch.setattr(owners, "is_dead", lambda _owner: verdicts.get(Process.here.process.what))
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


def owner_named(name: str) -> Owner:
    return Owner(host=name, machine_id="", boot_id="", pid_namespace="", pid=0, start_time=0)


@dataclass
class _Clock(Clock):
    """The scheduler's time as one process sees it."""

    laboratory: Laboratory
    process: Process

    def now(self) -> float:
        return self.laboratory.now

    def monotonic(self) -> float:
        return LONG if self.process.what == "gives up" else 0.0

    def sleep(self, seconds: float) -> None:
        self.process.stop("sleep")


class _Ledger:
    """A ledger whose every call is an effect, but for those in `free`."""

    def __init__(self, ledger: Ledger, process: Process, free: tuple[str, ...] = ()) -> None:
        self._ledger, self._process, self._free = ledger, process, (*free, "describe")

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)

        def stepped(*args: Any, **kwargs: Any) -> Any:
            if name not in self._free:
                self._process.stop(name)
            return method(*args, **kwargs)

        return stepped


@dataclass
class _Target:
    """The target as one process sees it: one text, in memory."""

    laboratory: Laboratory
    process: Process
    kind = "model"
    identity = "target"

    def address(self) -> dict[str, Any]:
        return {}

    def read(self) -> str:
        self.process.stop("read")
        return self.laboratory.target

    def write(self, change: str) -> None:
        what = self.process.stop("write")
        if what == "write is refused":
            raise Unavailable("refused")
        if what == "write has an unknown outcome":
            raise OutcomeUnknown("no answer")
        self.laboratory.target = change

    def restore(self, before: str, _change: str) -> None:
        self.process.stop("restore")
        self.laboratory.target = before

    def holds(self, state: str, change: str) -> bool:
        return state == change

    def marked_by(self, state: str) -> str | None:
        return _run(state[-1]) if self.laboratory.scenario.marked and state != CLEAN else None

    def scope(self, _change: str) -> Scope:
        return Scope()


def _run(owner: str) -> str:
    return f"run-{RUN[owner]}"


class Store(ABC):
    """A ledger, and how to look at it without the code that is tested."""

    ledger: Ledger
    atomic: bool
    """What `Scenario.atomic` is for it."""

    @abstractmethod
    def claim(self) -> dict[str, Any] | None:
        """The only claim: its owner's letter as id, changed, reverting, ended."""

    @abstractmethod
    def expire(self) -> None:
        """Let its lease run out."""

    @abstractmethod
    def end(self) -> None:
        """Remove everything."""

    def changed(self, by: str) -> Any:
        """What `claim` says of who has recorded a change, when these have."""
        return bool(by)


class FileStore(Store):
    """In a folder."""

    atomic = False

    def __init__(self, root: Path) -> None:
        self._root = root
        self._letters: dict[str, str] = {}
        self.ledger = FileLedger(root)

    def claim(self) -> dict[str, Any] | None:
        folders = list(self._root.glob("claims/*/*"))
        if not folders:
            return None
        (folder,) = folders
        names = set(os.listdir(folder))  # noqa: PTH208 - this is called a million times
        steps = {name[5:-5]: (folder / name).read_bytes() for name in names if name.startswith("step-")}
        changed = [self._letter(folder, identifier) for identifier in steps if b'"change"' in steps[identifier]]
        return {
            "id": self._letter(folder, folder.name),
            "changed": sorted(changed),
            "reverting": "reverting.json" in names or any(b'"reverting"' in content for content in steps.values()),
            "ended": f"ended-{folder.name}.json" in names,
        }

    def expire(self) -> None:
        os.utime(next(self._root.glob("claims/*/*/lease")), (0, 0))

    def end(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

    def changed(self, by: str) -> list[str]:
        return sorted(by)

    def _letter(self, folder: Path, identifier: str) -> str:
        if identifier not in self._letters:
            content = msgspec.json.decode((folder / f"owner-{identifier}.json").read_bytes())
            self._letters[identifier] = content["host"]
        return self._letters[identifier]


class KubeStore(Store):
    """ConfigMaps, wherever `connect` leads to."""

    atomic = True

    def __init__(self, namespace: str, connect: Callable[[], Http]) -> None:
        self._objects = Objects(connect, "configmaps", namespace, {})
        self.ledger = KubeLedger(namespace, self._objects, PATIENCE)

    def claim(self) -> dict[str, Any] | None:
        found = self._claims()
        if not found:
            return None
        ((_, document),) = found
        return {
            "id": document["owner"]["host"],
            "changed": document["change"] is not None,
            "reverting": document["reverting"],
            "ended": document["ended"],
        }

    def expire(self) -> None:
        ((config_map, document),) = self._claims()
        self._objects.update({**config_map, "data": {"claim": json.dumps({**document, "expires": 0.0})}})

    def end(self) -> None:
        for config_map in self._all():
            self._objects.delete(config_map)

    def _all(self) -> list[dict[str, Any]]:
        return [each for kind in ("claim", "run") for each in self._objects.list(f"{LABEL}={kind}")]

    def _claims(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        found = list(self._objects.list(f"{LABEL}=claim"))
        return [(each, json.loads(each["data"]["claim"])) for each in found]


class Laboratory:
    """One interleaving on the real code."""

    def __init__(self, scenario: Scenario, store: Store) -> None:
        self.scenario = scenario
        self.target = CLEAN
        self.now = 1e9
        self._store = store
        self._processes = {name: self._new(name) for name in scenario.processes}

    def move(self, move: Move) -> None:
        """Make the model's move."""
        process = self._processes.get(move.who)
        if process is None:
            self.now += 60.0
        elif move.what == "comes again":
            self._processes[move.who] = self._new(move.who)
        elif move.what == "write lands":
            self.target = self.scenario.fault(move.who)
        elif move.what == "lease runs out":
            self._store.expire()
        elif move.what != "write is lost":
            process.move(move.what)

    def observed(self) -> dict[str, Any]:
        """What can be seen of the world; `expected` is the same of the model's."""
        return {
            "target": self.target,
            "claim": self._store.claim(),
            "closed": "closed" in self._store.ledger.marks("run-1"),
            **{name: process.at for name, process in self._processes.items()},
        }

    def end(self) -> None:
        """Kill what is left, remove the files."""
        for process in self._processes.values():
            if not has_stopped(process.at):
                process.move("is killed")
        self._store.end()

    def _new(self, name: str) -> Process:
        return Process(name, {"r": self._revert, "s": self._sweep}.get(name, self._inject))

    def _inject(self, process: Process) -> int:
        target = _Target(self, process)
        fault = Fault(target, self.scenario.fault(process.name), Effect(1.0, lambda *_: True), "a fault")
        ledger: Any = _Ledger(self._store.ledger, process)
        injection = Injection(ledger, fault, _run(process.name), LONG, LONG, _Clock(self, process))
        injection.apply()
        if process.stop("hold") == "ends its hold":
            injection.undo("the hold is over")
        else:
            injection.leave()
        return 0

    def _revert(self, process: Process) -> int:
        self._reversion(process).run("run-1").check()
        return 0

    def _sweep(self, process: Process) -> int:
        self._reversion(process, free=("runs", "marks", "tidy")).expired().check()
        return 0

    def _reversion(self, process: Process, free: tuple[str, ...] = ()) -> Reversion:
        ledger: Any = _Ledger(self._store.ledger, process, free)
        clock = _Clock(self, process)
        return Reversion(ledger, lambda _claim: _Target(self, process), Limits(), 45.0, "a test", clock)


def expected(world: World, store: Store) -> dict[str, Any]:
    """What can be seen of the model's world."""
    claim = world.claim
    processes = {name: getattr(world, name) for name in (*OWNERS, "r", "s")}
    return {
        "target": world.target,
        "claim": claim
        and {
            "id": claim.id,
            "changed": store.changed(claim.changed),
            "reverting": claim.reverting,
            "ended": claim.ended,
        },
        "closed": world.closed,
        **{
            name: process.pc if has_stopped(process.pc) else process.pc.partition(":")[0]
            for name, process in processes.items()
            if process
        },
    }


@dataclass
class Walks:
    """Random walks through the model, each replayed on the real code; where few have been is gone to first.

    `store` makes what the walk of a number has as its ledger.
    """

    scenario: Scenario
    store: Callable[[int], Store]
    seed: int
    seen: set[tuple[Move, ...]] = field(default_factory=set)
    """Every interleaving that was run."""
    steps: set[Step] = field(default_factory=set)
    """Every step of a process that was made."""
    _been: set[tuple[tuple[str, ...], Move]] = field(default_factory=set)
    """Every move, with where all processes stood."""
    _number: int = 0

    def run(self, interleavings: int) -> None:
        """Run so many different ones more. Raises Deviation with the moves that lead to it."""
        choose = random.Random(self.seed)
        wanted = len(self.seen) + interleavings
        with steered():
            while len(self.seen) < wanted:
                self._number += 1
                self.seen.add(self._walk(choose, self.store(self._number)))

    def _walk(self, choose: random.Random, store: Store) -> tuple[Move, ...]:
        scenario = replace(self.scenario, atomic=store.atomic)
        world, path = start(scenario), list[Move]()
        laboratory = Laboratory(scenario, store)
        stay = choose.choice(STAY)
        try:
            while len(path) < LONGEST:
                self._compare(laboratory, world, path, store)
                nexts = list(moves(world, scenario))
                if all(move.what in IDLE for move, _ in nexts):
                    break
                move, world = self._choice(choose, world, nexts, path[-1].who if path else "", stay)
                path.append(move)
                laboratory.move(move)
        finally:
            laboratory.end()
        return tuple(path)

    def _choice(
        self, choose: random.Random, world: World, nexts: list[tuple[Move, World]], last: str, stay: float
    ) -> tuple[Move, World]:
        where = tuple(getattr(process, "pc", "") for process in world)
        weights = []
        for move, _ in nexts:
            new = (step_of(world, move) not in self.steps) + ((where, move) not in self._been)
            begins = getattr(getattr(world, move.who, None), "pc", "") in BEGINNINGS
            again = stay if move.who == last else 1.0
            weights.append((BEGIN if begins else again * RARE.get(move.what, 1.0)) * NOVELTY**new)
        (chosen,) = choose.choices(nexts, weights)
        self.steps.add(step_of(world, chosen[0]))
        self._been.add((where, chosen[0]))
        return chosen

    def _compare(self, laboratory: Laboratory, world: World, path: list[Move], store: Store) -> None:
        observed, wanted = laboratory.observed(), expected(world, store)
        why = broken(world, self.scenario)
        if observed != wanted or why:
            differences = [
                f"{key}: {observed[key]}, not {wanted[key]}" for key in wanted if observed[key] != wanted[key]
            ]
            raise Deviation(f"{why or differences} after {'; '.join(map(' '.join, path))}")
