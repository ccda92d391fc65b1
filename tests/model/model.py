"""The ledger's protocol as it is built, and every way in which it can go.

Up to five processes meet at one target: `a` and `b` own the fault of run 1 (`b` is the pod that Tekton re-creates for
`a`; it may begin at any time), `c` owns that of run 2, `r` is a fault-revert of run 1, `s` is fault-sweep, again and
again. Each may be killed anywhere. A write is acknowledged, refused, or of unknown outcome: then it may land later.

A move is one effect of one process, as `protocol.Ledger` and `target.Target` have them, or something that happens to
them. `moves` names each by who and what; the scheduler replays them on the real code. A process that has not ended
stands before its next effect: `pc` is `effect` or `effect:where`. What follows an effect without another one belongs
to it.

Time is what the protocol compares: whether a lease is over, and whether a write can still land that was recorded
(`Change.landed_at`). The one assumption: a write that is about to be sent lands, or is lost, before that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any, NamedTuple

CLEAN = "clean"
RUN = {"a": 1, "b": 1, "c": 2}
OTHER = {"a": "b", "b": "a"}


class Flaw(Enum):
    """Mistakes in the design; the model finds each. The last one is what no design can exclude."""

    READ_BEFORE_CLAIM = auto()
    NO_LOOK_FOR_CLOSED_AFTER_CLAIM = auto()
    RECORD_WHILE_REVERTING = auto()
    REVERT_WAITS_FOR_NO_OWNER = auto()
    REVERT_IGNORES_LATE_WRITES = auto()
    REMOVE_WHATEVER_IS_THERE = auto()
    REVERT_OVERLOOKS_A_TAKE_OVER = auto()
    TAKE_OVER_DOES_NOT_OUTLAST = auto()
    WRITE_BEGINS_LATE = auto()
    UNKNOWN_OUTCOME_GIVES_THE_CLAIM_UP = auto()
    OWNER_SLEEPS_BEFORE_ITS_WRITE = auto()


@dataclass(frozen=True)
class Scenario:
    """Who takes part, and in which world."""

    processes: str = "abcrs"
    same_change: bool = True
    """Whether b wants the same change as a."""
    marked: bool = False
    """Whether the target tells whose fault is in it. Without that, only claims keep two runs apart."""
    atomic: bool = False
    """Whether a record that is refused leaves nothing: so it is with conditional writes, not with files."""
    flaw: Flaw | None = None

    def __str__(self) -> str:
        words = (
            self.processes,
            "" if self.same_change else "other change",
            "marked" if self.marked else "",
            "atomic" if self.atomic else "",
        )
        return " ".join(filter(None, words))

    def fault(self, owner: str) -> str:
        """What the target says with the owner's fault in it."""
        return "fault a" if owner == "b" and self.same_change else f"fault {owner}"

    def run_of(self, target: str) -> int | None:
        """The run whose fault is in the target."""
        return None if target == CLEAN else RUN[target[-1]]


class Claim(NamedTuple):
    """The claim; its id is the owner that has made it or taken it over, since each does so once."""

    id: str
    step: str = ""
    """What has the present id's exclusive name: change or reverting."""
    changed: str = ""
    """Who has recorded a change under it; the last letter counts."""
    before: str = ""
    reverting: bool = False
    ended: bool = False


class Owner(NamedTuple):
    """An injector. `pc` is dead or "end CODE" when it is no more."""

    pc: str = "claim"
    then: str = ""
    """What follows the undo that it is in."""
    before: str = ""
    earlier: bool = False
    """It took over a claim with a change."""
    flying: bool = False
    """Its write is on its way."""
    fresh: bool = False
    """Others must reckon with its write: `Change.landed_at` is still to come."""
    over: bool = False
    """Its lease is over."""


class Reverter(NamedTuple):
    """fault-revert or fault-sweep, with what it has last read of its claim."""

    pc: str
    id: str = ""
    change: str = ""
    before: str = ""
    ended: bool = False
    over: bool = False


class World(NamedTuple):
    """Everything. None: takes no part."""

    target: str = CLEAN
    claim: Claim | None = None
    closed: bool = False
    a: Owner | None = None
    b: Owner | None = None
    c: Owner | None = None
    r: Reverter | None = None
    s: Reverter | None = None


class Move(NamedTuple):
    """Who does what, or what happens to whom."""

    who: str
    what: str


Step = tuple[str, str, str]
"""Who does what from which `pc`: one arrow of one process, wherever the others stand."""

OWNERS = ("a", "b", "c")
Outcomes = Iterator[tuple[str, World]]


def start(scenario: Scenario) -> World:
    """Nobody has done anything."""
    first = "read:first" if scenario.flaw is Flaw.READ_BEFORE_CLAIM else "claim"
    processes: dict[str, Any] = {name: Owner(first) for name in OWNERS}
    processes |= {"r": Reverter("mark:closed"), "s": Reverter("claims")}
    return World(**{name: processes[name] for name in scenario.processes})


def has_stopped(pc: str) -> bool:
    """Killed or ended."""
    return pc == "dead" or pc.startswith("end")


def change(world: World, changed: dict[str, Any]) -> World:
    """The world with some of it changed."""
    return world._replace(**changed)


def step_of(world: World, move: Move) -> Step:
    """The step that a move is."""
    return move.who, getattr(getattr(world, move.who, None), "pc", ""), move.what


def moves(world: World, scenario: Scenario) -> Iterator[tuple[Move, World]]:
    """Everything that can happen next."""
    owners = [(name, getattr(world, name)) for name in OWNERS if getattr(world, name)]
    for name, owner in owners:
        for what, after in _happens_to_write(world, scenario, name, owner):
            yield Move(name, what), after
        if not has_stopped(owner.pc):
            for what, after in _OwnersMoves(world, scenario, name, owner).all():
                yield Move(name, what), after
    for name in ("r", "s"):
        reverter = getattr(world, name)
        if reverter:
            for what, after in _ReverterMoves(world, scenario, name, reverter).all():
                yield Move(name, what), after
    sleeps = scenario.flaw is Flaw.OWNER_SLEEPS_BEFORE_ITS_WRITE
    may_land = any(owner.flying or (owner.pc == "write" and not sleeps) for _, owner in owners)
    if not may_land and any(owner.fresh for _, owner in owners):
        yield Move("time", "passes"), change(world, {name: owner._replace(fresh=False) for name, owner in owners})


def _happens_to_write(world: World, scenario: Scenario, name: str, owner: Owner) -> Outcomes:
    if owner.flying:
        landed = owner._replace(flying=False)
        yield "write lands", change(world, {name: landed, "target": scenario.fault(name)})
        yield "write is lost", change(world, {name: landed})
    if world.claim and world.claim.id == name and not owner.over:
        yield "lease runs out", change(world, {name: owner._replace(over=True)})


class _OwnersMoves:
    """The next effects of an owner: ledger/injection.py."""

    def __init__(self, world: World, scenario: Scenario, name: str, owner: Owner) -> None:
        self.world, self.scenario, self.name, self.owner = world, scenario, name, owner
        self.claim = world.claim
        self.has_claim = world.claim is not None and world.claim.id == name
        self.is_closed = world.closed and RUN[name] == 1

    def all(self) -> Outcomes:
        owner = self.owner
        if owner.pc != "claim":
            dead = Owner("dead", fresh=owner.fresh, over=owner.over, flying=owner.flying)
            yield "is killed", change(self.world, {self.name: dead})
            if owner.pc == "write":
                flying = dead._replace(flying=True)
                yield "is killed, its write on its way", change(self.world, {self.name: flying})
        yield from _OWNER[owner.pc.partition(":")[0]](self)

    def flawed(self, flaw: Flaw) -> bool:
        return self.scenario.flaw is flaw

    def to(self, pc: str, *, claim: Claim | None = None, target: str | None = None, **fields: Any) -> World:
        """The world with this owner at `pc`; a claim or target given is the new one."""
        changed: dict[str, Any] = {self.name: self.owner._replace(pc=pc, **fields)}
        if claim is not None:
            changed["claim"] = claim
        if target is not None:
            changed["target"] = target
        return change(self.world, changed)

    def do_claim(self) -> Outcomes:
        there = self.claim
        if self.name == "b" and self.world.a and self.world.a.pc == "claim":
            return  # They are alike: the first one is a.
        if there is None:
            yield "goes on", self.to(self.after_claim(), claim=Claim(self.name))
        elif RUN[there.id] != RUN[self.name] or there.reverting:
            yield "goes on", self.to("end 4")
        elif there.ended or has_stopped(getattr(self.world, there.id).pc):
            yield "goes on", self.to("take_over")
        else:
            yield "sees the owner alive", self.to("end 4")
            yield "cannot tell whether the owner lives", self.to("take_over")

    def after_claim(self) -> str:
        if not self.flawed(Flaw.NO_LOOK_FOR_CLOSED_AFTER_CLAIM):
            return "marks:first"
        return "read:first"

    def do_take_over(self) -> Outcomes:
        there = self.claim
        if there is None or there.id != OTHER[self.name]:
            yield "goes on", self.to("end 4")
            return
        old = getattr(self.world, there.id)
        after = self.to(
            "renew",
            claim=there._replace(id=self.name, step="", ended=False),
            before=there.before,
            earlier=bool(there.changed),
            over=old.over,
        )
        yield "goes on", change(after, {there.id: old._replace(over=True)})

    def do_renew(self) -> Outcomes:
        yield "goes on", self.to("marks:first", over=False) if self.has_claim else self.to("end 4")

    def do_marks(self) -> Outcomes:
        if self.owner.pc == "marks:second":
            yield "goes on", self.undo("remove:4") if self.is_closed else self.to("hold")
        elif not self.owner.earlier:
            first = self.record() if self.flawed(Flaw.READ_BEFORE_CLAIM) else self.to("read:first")
            yield "goes on", self.to("remove:4") if self.is_closed else first
        else:
            then = "back out" if self.is_closed else "go on"
            fresh = getattr(self.world, OTHER[self.name]).fresh and not self.flawed(Flaw.TAKE_OVER_DOES_NOT_OUTLAST)
            yield "goes on", self.to("read:outlast", then=then) if fresh else self.after_outlast(then)

    def after_outlast(self, then: str) -> World:
        return self.undo("back out") if then == "back out" else self.to("read:earlier", then="", earlier=False)

    def undo(self, then: str, **fields: Any) -> World:
        return self.to("read:undo", then=then, earlier=False, **fields)

    def undone(self) -> World:
        """What comes after an undo that was read back."""
        then = self.owner.then
        if then == "record":
            return self.record(then="")
        if then == "look again":
            again = self.flawed(Flaw.UNKNOWN_OUTCOME_GIVES_THE_CLAIM_UP)
            return self.to("remove:3" if again else "sleep:second look")
        if then == "end 3":
            return self.to("end 3")
        return self.to({"back out": "remove:4", "end": "mark:fault-ended"}.get(then, then))

    @property
    def undoes(self) -> str:
        """The fault that its undo takes out: its own, or that of the owner before it."""
        of_earlier = self.owner.then in ("back out", "record")
        return self.scenario.fault(OTHER[self.name] if of_earlier else self.name)

    def do_read(self) -> Outcomes:
        yield "goes on", getattr(self, "read_" + self.owner.pc.partition(":")[2])()

    def read_first(self) -> World:
        there = self.world.target
        if self.scenario.marked and there != CLEAN:
            return self.to("remove:4")
        return self.to("claim", before=there) if self.flawed(Flaw.READ_BEFORE_CLAIM) else self.record(before=there)

    def record(self, **fields: Any) -> World:
        """A change gets its time before it is recorded."""
        return self.to("record", fresh=True, **fields)

    def read_outlast(self) -> World:
        if self.world.target == self.scenario.fault(OTHER[self.name]):
            return self.after_outlast(self.owner.then)
        return self.to("sleep:outlast")

    def read_earlier(self) -> World:
        if self.scenario.same_change and self.world.target == self.scenario.fault(self.name):
            return self.to("read:seen")
        return self.undo("record")

    def read_refused(self) -> World:
        if self.scenario.marked and self.world.target not in (CLEAN, self.scenario.fault(self.name)):
            return self.to("remove:4")
        return self.undo("remove:3")

    def read_seen(self) -> World:
        return self.to("activate" if self.world.target == self.scenario.fault(self.name) else "find:why")

    def read_undo(self) -> World:
        return self.to("restore") if self.world.target == self.undoes else self.without_fault()

    def read_back(self) -> World:  # With the fault: put in again meanwhile, by a write that landed late.
        return self.to("sleep:try again") if self.world.target == self.undoes else self.without_fault()

    def without_fault(self) -> World:
        return self.undone() if self.world.target == self.owner.before else self.to("find:settled")

    def do_find(self) -> Outcomes:
        if self.owner.pc == "find:settled":
            yield "goes on", self.to("end 6") if self.has_claim else self.undone()
        else:
            stays = self.has_claim and self.claim is not None and not self.claim.reverting
            after = "remove:3" if stays else "remove:4"
            yield "goes on", self.to(after) if self.owner.pc == "find:late" else self.undo(after)

    def do_restore(self) -> Outcomes:
        yield "goes on", self.to("read:back", target=self.owner.before)

    def do_sleep(self) -> Outcomes:
        where = self.owner.pc.partition(":")[2]
        if where == "try again":
            yield "goes on", self.to("read:undo")
        elif where == "second look":
            yield "goes on", self.undo("end 3")
        elif not getattr(self.world, OTHER[self.name]).fresh:
            yield "goes on", self.after_outlast(self.owner.then)

    def do_record(self) -> Outcomes:
        claim = self.claim
        careless = self.flawed(Flaw.RECORD_WHILE_REVERTING)
        if claim is None or not self.has_claim or (claim.step and not careless):
            yield "goes on", self.to("remove:4")
            return
        # A claim may have been marked under the id that it was taken over from: the file back end finds that after.
        recorded = claim._replace(step="change", changed=claim.changed + self.name, before=self.owner.before)
        refused = claim.reverting and not careless
        if refused and self.scenario.atomic:
            recorded = claim
        in_time = self.owner.fresh or self.flawed(Flaw.WRITE_BEGINS_LATE)
        yield "goes on", self.to("remove:4" if refused else "write" if in_time else "find:late", claim=recorded)

    def do_write(self) -> Outcomes:
        yield "write is acknowledged", self.to("read:seen", target=self.scenario.fault(self.name))
        yield "write is refused", self.to("read:refused")
        yield "write has an unknown outcome", self.undo("look again", flying=True)

    def do_activate(self) -> Outcomes:
        stays = self.has_claim and self.claim is not None and not self.claim.reverting
        yield "goes on", self.to("marks:second") if stays else self.undo("remove:4")

    def do_hold(self) -> Outcomes:
        yield "ends its hold", self.undo("end")
        yield "leaves its fault there", self.to("mark_ended")

    def do_mark_ended(self) -> Outcomes:
        yield (
            "goes on",
            self.to("end 0", claim=self.claim._replace(ended=True) if self.claim and self.has_claim else None),
        )

    def do_mark(self) -> Outcomes:
        yield "goes on", self.to("remove:0")

    def do_remove(self) -> Outcomes:
        after = self.to(f"end {self.owner.pc.partition(':')[2]}")
        gone = self.has_claim or self.flawed(Flaw.REMOVE_WHATEVER_IS_THERE)
        yield "goes on", after._replace(claim=None) if gone else after


_OWNER: dict[str, Callable[[_OwnersMoves], Outcomes]] = {
    name.removeprefix("do_"): method for name, method in vars(_OwnersMoves).items() if name.startswith("do_")
}


class _ReverterMoves:
    """The next effects of a revert or sweep: ledger/reversion.py."""

    def __init__(self, world: World, scenario: Scenario, name: str, reverter: Reverter) -> None:
        self.world, self.scenario, self.name, self.reverter = world, scenario, name, reverter
        self.claim = world.claim
        self.has_claim = world.claim is not None and world.claim.id == reverter.id

    def all(self) -> Outcomes:
        if has_stopped(self.reverter.pc):
            if self.name == "s":
                yield "comes again", self.to("claims", id="", change="", before="", ended=False, over=False)
            return
        if self.reverter.pc != "mark:closed":
            yield "is killed", change(self.world, {self.name: Reverter("dead")})
        yield from _REVERTER[self.reverter.pc.partition(":")[0]](self)

    def flawed(self, flaw: Flaw) -> bool:
        return self.scenario.flaw is flaw

    def to(self, pc: str, **fields: Any) -> World:
        """The world with this reverter at `pc`."""
        changed = Reverter(pc) if has_stopped(pc) else self.reverter._replace(pc=pc, **fields)
        return change(self.world, {self.name: changed})

    def do_mark(self) -> Outcomes:
        if self.reverter.pc == "mark:closed":
            yield "goes on", self.to("claims")._replace(closed=True)
        else:
            yield "goes on", self.to("remove:settled")

    def do_claims(self) -> Outcomes:
        claim = self.claim
        mine = claim is not None and (self.name == "s" or RUN[claim.id] == 1) and self.is_due(claim)
        yield "goes on", self.to("mark_reverting", id=claim.id) if claim and mine else self.to("end 0")

    def is_due(self, claim: Claim) -> bool:
        """A sweep leaves alone what has a lease."""
        return self.name == "r" or bool(getattr(self.world, claim.id).over)

    def do_mark_reverting(self) -> Outcomes:
        claim = self.claim
        if claim is None or not self.has_claim:
            overlooked = self.flawed(Flaw.REVERT_OVERLOOKS_A_TAKE_OVER)
            yield "goes on", self.to("end 0" if overlooked else "find:successor")
            return
        marked = claim._replace(step=claim.step or "reverting", reverting=True)
        first = "read:first" if claim.changed else "remove:unused"
        yield "goes on", self.to(first, **self.seen(claim))._replace(claim=marked)

    def seen(self, claim: Claim) -> dict[str, Any]:
        over = getattr(self.world, claim.id).over
        return {"change": claim.changed[-1:], "before": claim.before, "ended": claim.ended, "over": over}

    def do_read(self) -> Outcomes:
        there, fault = self.world.target, self.scenario.fault(self.reverter.change)
        if there == fault:
            yield "goes on", self.to("restore" if self.reverter.pc == "read:first" else "find:poll")
        elif there != self.reverter.before:
            yield "goes on", self.to("end 6")
        else:
            yield from self.look_at_owner()

    def look_at_owner(self) -> Outcomes:
        """Whether a write may still land; if not, the claim may go."""
        reverter = self.reverter
        landed = not getattr(self.world, reverter.change).fresh or self.flawed(Flaw.REVERT_IGNORES_LATE_WRITES)
        if reverter.ended or (landed and (reverter.over or self.flawed(Flaw.REVERT_WAITS_FOR_NO_OWNER))):
            yield "goes on", self.to("mark:fault-ended")
            return
        yield "goes on", self.to("find:poll")
        if landed and has_stopped(getattr(self.world, reverter.id).pc):
            yield "sees the owner dead", self.to("mark:fault-ended")

    def do_restore(self) -> Outcomes:
        yield "goes on", self.to("read:back")._replace(target=self.reverter.before)

    def do_find(self) -> Outcomes:
        if self.reverter.pc == "find:successor":
            there = self.claim
            same = there is not None and RUN[there.id] == RUN[self.reverter.id] and self.is_due(there)
            yield "goes on", self.to("mark_reverting", id=there.id) if there and same else self.to("end 0")
        elif self.claim is None or not self.has_claim:
            yield "goes on", self.to("find:successor")
        else:
            yield "goes on", self.to("sleep", **self.seen(self.claim))
            yield "gives up", self.to("end 6")

    def do_sleep(self) -> Outcomes:
        yield "goes on", self.to("read:first")

    def do_remove(self) -> Outcomes:
        gone = self.has_claim or self.flawed(Flaw.REMOVE_WHATEVER_IS_THERE)
        after = self.to("end 0")
        yield "goes on", after._replace(claim=None) if gone else after


_REVERTER: dict[str, Callable[[_ReverterMoves], Outcomes]] = {
    name.removeprefix("do_"): method for name, method in vars(_ReverterMoves).items() if name.startswith("do_")
}


def broken(world: World, scenario: Scenario) -> str | None:
    """What must never be, if it is so."""
    claim = world.claim
    owners = {name: getattr(world, name) for name in OWNERS if getattr(world, name)}
    fault_run = scenario.run_of(world.target)
    if claim and claim.before not in ("", CLEAN):
        return "a fault was taken for the original"
    if world.r and world.r.pc == "end 0":
        flies = any(owner.flying for name, owner in owners.items() if RUN[name] == 1)
        if fault_run == 1 or flies:
            return "fault-revert said 0, and its run's fault is there or may still come"
    for name, owner in owners.items():
        if owner.pc == "hold" and not owner.over and (claim is None or RUN[claim.id] != RUN[name]):
            return "a run holds a target without a claim"
        if owner.pc == "hold" and claim and claim.id == name and fault_run not in (None, RUN[name]):
            return "two runs hold one target"
    all_stopped = all(has_stopped(owner.pc) and not owner.flying for owner in owners.values())
    if all_stopped and fault_run is not None and (claim is None or RUN[claim.id] != fault_run):
        return "a fault without a claim"
    return None


_STUTTERS = {"mark:fault-ended": "remove:0", "sleep:try again": "read:undo"}
_REVERTERS_STUTTERS = {"mark:fault-ended": "remove:settled", "sleep": "read:first"}


def same_future(world: World) -> World:
    """One state for all that differ only in what nobody can notice any more."""
    target, claim, closed, a, b, c, r, s = world
    holder, changer = (claim.id, claim.changed[-1:]) if claim else ("", "")
    return World(
        target,
        claim,
        closed,
        a and _same_owner(a, holder == "a", changer == "a"),
        b and _same_owner(b, holder == "b", changer == "b"),
        c and _same_owner(c, holder == "c", changer == "c"),
        r and _same_reverter(r, "dead"),
        s and _same_reverter(s, "claims"),
    )


@cache
def _same_owner(owner: Owner, holds: bool, changed: bool) -> Owner:
    return owner._replace(
        pc="dead" if has_stopped(owner.pc) else _STUTTERS.get(owner.pc, owner.pc),
        fresh=owner.fresh and (owner.flying or owner.pc in ("record", "write") or changed),
        over=owner.over and (owner.pc in ("marks:second", "hold") or holds),
    )


@cache
def _same_reverter(reverter: Reverter, stopped: str) -> Reverter:
    """`stopped` stands for every end but that of a fault-revert that said 0."""
    pc = _REVERTERS_STUTTERS.get(reverter.pc, reverter.pc)
    if has_stopped(pc):
        return Reverter("end 0" if (pc, stopped) == ("end 0", "dead") else stopped)
    effect = pc.partition(":")[0]
    if effect in ("read", "restore"):
        return reverter._replace(pc=pc)
    return Reverter(pc, reverter.id if effect in ("find", "mark_reverting", "remove") else "")


class Explored(NamedTuple):
    """A model that was gone through: the number of its states, and what is broken with a shortest path to it."""

    states: int
    fault: str
    steps: set[Step]


def explore(scenario: Scenario, *, to_the_end: bool = True) -> Explored:
    """Go everywhere, breadth first; `to_the_end` also looks whether a clean end can be reached from everywhere."""
    first = same_future(start(scenario))
    parent: dict[World, tuple[World, Move] | None] = {first: None}
    back: dict[World, list[World]] = {}
    steps: set[Step] = set()
    todo = deque([first])
    while todo:
        world = todo.popleft()
        why = broken(world, scenario)
        if why:
            return Explored(len(parent), f"{why}: {_path(parent, world)}", steps)
        for move, reached in moves(world, scenario):
            after = same_future(reached)
            steps.add(step_of(world, move))
            if to_the_end:
                back.setdefault(after, []).append(world)
            if after not in parent:
                parent[after] = (world, move)
                todo.append(after)
    stuck = _never_clean_again(parent, back) if to_the_end else None
    return Explored(len(parent), f"never clean again: {_path(parent, stuck)}" if stuck else "", steps)


def _path(parent: dict[World, tuple[World, Move] | None], world: World) -> str:
    steps: list[str] = []
    while (before := parent[world]) is not None:
        world, move = before
        steps.append(" ".join(step_of(world, move)))
    return "; ".join(reversed(steps))


def _never_clean_again(parent: dict[World, tuple[World, Move] | None], back: dict[World, list[World]]) -> World | None:
    """A state from which the clean end, no fault and no claim, cannot be reached."""
    can = {world for world in parent if world.target == CLEAN and world.claim is None}
    todo = deque(can)
    while todo:
        for before in back.get(todo.popleft(), ()):
            if before not in can:
                can.add(before)
                todo.append(before)
    return next((world for world in parent if world not in can), None)
