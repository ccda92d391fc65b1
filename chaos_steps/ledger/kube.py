"""The ledger in a namespace of Kubernetes.

    ConfigMap chaos-claim-KEY     a claim with its whole state; KEY is its target, so that there is one claim a target
    ConfigMap chaos-run-HASH      the marks of a run, each a key of its own

Two properties of the API server carry the protocol (see docs/adr/0006-kube-ledger.md): of many that create one name
exactly one succeeds, and an object is written or deleted only as long as it is the one that was read (uid and
resourceVersion). Every act reads, decides, and writes on that condition; whatever the answer to the write was, it can
begin again, and finds its own work when that was done.

An object without our label is none of ours. Labels `run` and `deadline` are for people; what counts is in the data.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from chaos_steps.errors import Unavailable
from chaos_steps.kube import Again, Conflict, Object, Objects, persist
from chaos_steps.ledger import owner as owners
from chaos_steps.ledger.documents import Change, Claim, Mark, MarkName, Owner, Unreadable, damaged, read_claim
from chaos_steps.ledger.protocol import BeingReverted, ClaimGone, Occupied

log = logging.getLogger(__name__)

LABEL = "chaos-steps/document"
"""Has the value claim or run."""

READER, WRITER = "chaos-ledger-reader", "chaos-ledger-writer"
ROLES = {"get": READER, "list": READER, "create": WRITER, "update": WRITER, "delete": WRITER}

PATIENCE = 40.0
"""Seconds for which an API server may be away."""

HURRY = 2.5
"""The same for the owner of a fault, who has a lease of 45 s, a signal's grace of 30 s, and a target to look after."""

LARGEST = (1 << 20) - (1 << 12)
"""Bytes of a claim or a mark. A ConfigMap holds 1 MiB; what is left is for what comes later, a lease or a state."""

T = TypeVar("T")


class KubeLedger:
    """See the module and `protocol.Ledger`. `objects` are the namespace's ConfigMaps, `patience` is in seconds."""

    def __init__(self, namespace: str, objects: Objects, patience: float) -> None:
        self._namespace = namespace
        self._objects = objects
        self._patience = patience

    def describe(self) -> str:
        """The ledger's name, as --ledger takes it."""
        return f"kube:{self._namespace}"

    def hurried(self) -> KubeLedger:
        """Give up early on an API server that is away."""
        return KubeLedger(self._namespace, replace(self._objects, timeout=HURRY), HURRY)

    def claim(self, claim: Claim) -> None:
        """Create the ConfigMap, whose name is the target's."""
        made = msgspec.structs.replace(claim, owner=claim.owner or owners.current())
        until = datetime.fromtimestamp(claim.deadline, UTC)
        labels = {"run": _label(claim.run), "deadline": f"{until:%Y%m%dT%H%M%SZ}"}
        new = _config_map(_claim_name(claim.key), "claim", labels, self._data_of(made))

        def act() -> None:
            try:
                self._objects.create(new)
            except Conflict:
                there = self._read(claim.key)
                if there is None:  # Removed in between; the target is free again.
                    raise
                if there[1].id != claim.id:  # Else it is the one that an earlier attempt has made.
                    raise Occupied(there[1]) from None

        self._persist(act)

    def find(self, key: str) -> Claim | None:
        """Get the ConfigMap of the target."""
        there = self._persist(lambda: self._read(key))
        return there and there[1]

    def claims(self, run: str | None = None) -> list[Claim]:
        """List the ConfigMaps with our label."""
        found = [self._claim_of(each) for each in self._persist(lambda: list(self._objects.list(f"{LABEL}=claim")))]
        return [claim for claim in found if run is None or claim.may_be_of(run)]

    def take_over(self, claim: Claim, owner: Owner) -> Claim:
        """Change the id: all that the old owner does is on condition of the old one."""
        new = uuid.uuid4().hex

        def edit(there: Claim) -> Claim:
            return msgspec.structs.replace(there, id=new, owner=owner, ended=False)

        return self._change(claim, edit, done=new)

    def record(self, claim: Claim, change: Change) -> None:
        """Write the change, unless the claim is being reverted: both are written on condition that the other is not."""
        self._change(claim, lambda there: _unless_reverting(there, change=change))

    def activate(self, claim: Claim) -> None:
        """Write that it is active, unless it is being reverted."""
        self._change(claim, lambda there: _unless_reverting(there, active=True))

    def mark_reverting(self, claim: Claim) -> Claim:
        """Write that it is being reverted."""
        return self._change(claim, lambda there: msgspec.structs.replace(there, reverting=True))

    def mark_ended(self, claim: Claim) -> None:
        """Write that the owner has ended."""
        with contextlib.suppress(ClaimGone):
            self._change(claim, lambda there: msgspec.structs.replace(there, ended=True))

    def renew(self, claim: Claim, until: float) -> None:
        """Write the end of the lease."""
        self._change(claim, lambda there: msgspec.structs.replace(there, expires=until))

    def remove(self, claim: Claim) -> None:
        """Delete the ConfigMap as it was read with this claim in it."""

        def act() -> None:
            there = self._read(claim.key)
            if there is not None and self._is_still(claim, there[1]):
                self._objects.delete(there[0])

        self._persist(act)

    def mark(self, run: str, name: MarkName, *, reason: str = "", details: dict[str, Any] | None = None) -> bool:
        """Add a key to the run's ConfigMap, on condition that nobody else has added one since it was read."""
        at, owner = time.time(), owners.current()

        def act() -> bool:
            record = self._objects.get(_run_name(run))
            there = self._marks_of(record) if record else {}
            if name in there:  # It may be the one that an earlier attempt has written.
                return (there[name].at, there[name].owner) == (at, owner)
            mark = Mark(
                name=name,
                run=run,
                sequence=len(there) + 1,
                at=at,
                owner=owner,
                reason=reason,
                details=details or {},
            )
            self._add_mark(record, mark)
            return True

        return self._persist(act)

    def marks(self, run: str) -> dict[MarkName, Mark]:
        """Get the run's ConfigMap."""
        record = self._persist(lambda: self._objects.get(_run_name(run)))
        return self._marks_of(record) if record else {}

    def runs(self) -> dict[str, dict[MarkName, Mark]]:
        """List the ConfigMaps with our label."""
        found = {}
        for record in self._persist(lambda: list(self._objects.list(f"{LABEL}=run"))):
            try:
                marks = self._marks_of(record)
            except Unavailable as error:
                log.warning("%s", error)
                continue
            found.update({mark.run: marks for mark in marks.values()})
        return found

    def forget_run(self, run: str) -> None:
        """Delete the run's ConfigMap as it was read."""

        def act() -> None:
            record = self._objects.get(_run_name(run))
            if record:
                self._objects.delete(record)

        self._persist(act)

    def tidy(self) -> None:
        """Nothing is ever left half done."""

    def _persist(self, act: Callable[[], T]) -> T:
        try:
            return persist(act, self._patience)
        except Again as error:
            raise Unavailable(f"ledger {self.describe()}: {error.message}", hint=error.hint) from error

    def _change(self, claim: Claim, edit: Callable[[Claim], Claim], *, done: str = "") -> Claim:
        """Write the edited claim on condition that it is what was read; `done` is its id when that was done already.

        Returns it as it stands then. Raises ClaimGone, and what `edit` raises.
        """

        def act() -> Claim:
            there = self._read(claim.key)
            if there is not None and there[1].id == done:
                return there[1]
            if there is None or not self._is_still(claim, there[1]):
                raise ClaimGone(str(claim))
            config_map, before = there
            after = edit(before)
            if after != before:
                self._objects.update({**config_map, "data": self._data_of(after)})
            return after

        return self._persist(act)

    def _is_still(self, claim: Claim, there: Claim) -> bool:
        """Whether `there` is the claim, and not one that came after it. Raises Unavailable when it cannot be told."""
        if there.id != claim.id and isinstance(there, Unreadable):
            raise Unavailable(f"ledger {self.describe()}: {there}: {there.why}")
        return there.id == claim.id

    def _read(self, key: str) -> tuple[Object, Claim] | None:
        config_map = self._objects.get(_claim_name(key))
        if config_map is None:
            return None
        self._require_label(config_map, "claim")
        return config_map, self._claim_of(config_map)

    def _require_label(self, config_map: Object, value: str) -> None:
        metadata = config_map["metadata"]
        if metadata.get("labels", {}).get(LABEL) != value:
            raise Unavailable(
                f"{self._place(config_map)} has the name of one of ours, but not the label {LABEL}={value}",
                hint="look at it by hand",
            )

    def _claim_of(self, config_map: Object) -> Claim:
        content = config_map.get("data", {}).get("claim", "").encode()
        metadata, place = config_map["metadata"], self._place(config_map)
        claim = read_claim(content, metadata["uid"], place)
        if not isinstance(claim, Unreadable) and metadata["name"] != _claim_name(claim.key):
            return damaged(metadata["uid"], place, "another target's claim is there", msgspec.to_builtins(claim))
        return claim

    def _data_of(self, claim: Claim) -> dict[str, str]:
        return {"claim": self._fitting(str(claim), msgspec.json.encode(claim))}

    def _fitting(self, what: str, content: bytes) -> str:
        if len(content) > LARGEST:
            raise Unavailable(
                f"ledger {self.describe()}: {what} has {len(content)} bytes, most of them what its target holds; "
                f"a ConfigMap takes {LARGEST}",
                hint="use a ledger file:DIR",
            )
        return content.decode()

    def _marks_of(self, record: Object) -> dict[MarkName, Mark]:
        self._require_label(record, "run")
        try:
            marks = [msgspec.json.decode(text, type=Mark) for text in record.get("data", {}).values()]
        except msgspec.DecodeError as error:
            raise Unavailable(f"{self._place(record)} is damaged: {error}", hint="look at it by hand") from error
        return {mark.name: mark for mark in sorted(marks, key=lambda mark: mark.sequence)}

    def _add_mark(self, record: Object | None, mark: Mark) -> None:
        data = {str(mark.name): self._fitting(f"mark {mark.name} of run {mark.run}", msgspec.json.encode(mark))}
        if record is None:
            self._objects.create(_config_map(_run_name(mark.run), "run", {"run": _label(mark.run)}, data))
        else:
            self._objects.update({**record, "data": {**record.get("data", {}), **data}})

    def _place(self, config_map: Object) -> str:
        return f"ledger {self.describe()}: ConfigMap {config_map['metadata']['name']}"


def _unless_reverting(claim: Claim, **changes: Any) -> Claim:
    if claim.reverting:
        raise BeingReverted(str(claim))
    return msgspec.structs.replace(claim, **changes)


def _claim_name(key: str) -> str:
    return f"chaos-claim-{key}"


def _run_name(run: str) -> str:
    """A run's id may have letters that a name may not."""
    return f"chaos-run-{hashlib.sha256(run.encode()).hexdigest()[:32]}"


def _label(run: str) -> str:
    """A label begins and ends with a letter or digit; a run's id need not."""
    return run.strip("._-")


def _config_map(name: str, document: str, labels: dict[str, str], data: dict[str, str]) -> Object:
    metadata = {"name": name, "labels": {LABEL: document, **labels}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
