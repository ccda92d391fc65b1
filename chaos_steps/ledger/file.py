"""The ledger on a file system.

    claims/KEY/ID/claim.json      the claim; KEY is its target, so that there is one claim a target
    claims/KEY/ID/owner-ID.json   its owner
    claims/KEY/ID/step-ID.json    the change recorded, or that it is being reverted: whichever came first
    claims/KEY/ID/active.json  reverting.json  ended-ID.json
    claims/KEY/ID/lease           its modification time is the end of the lease
    runs/RUN/NNNN.json            the marks of a run, numbered
    tmp/ trash/                   what is not there yet, what is not there any more

Three operations of the file system carry the protocol (see docs/adr/0002-file-ledger.md):

- a claim is made by renaming a prepared folder to claims/KEY: it succeeds only when nothing or an empty folder is
  there;
- a state is added by link(2) of a finished file: it succeeds only when the name is free;
- a claim is taken over or removed by renaming its folder claims/KEY/ID: who still holds the old id then reaches
  nothing.

Nothing is ever rewritten. Files are synced before they get their name, folders after.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec

from chaos_steps.errors import Unavailable
from chaos_steps.ledger import owner as owners
from chaos_steps.ledger.documents import Change, Claim, Mark, MarkName, Owner, Unreadable, damaged, read_claim
from chaos_steps.ledger.protocol import BeingReverted, ClaimGone, Occupied

log = logging.getLogger(__name__)

_LEFTOVER_AGE = 3600.0
_READ_ATTEMPTS = 100

P = ParamSpec("P")
T = TypeVar("T")


class _Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Content of step-ID.json: exactly one of the two."""

    change: Change | None = None
    reverting: bool = False


def _reporting(method: Callable[P, T]) -> Callable[P, T]:
    """Turn an operating system's error into one for people."""

    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            raise Unavailable(
                f"ledger {args[0].describe()}: {error.strerror}: {error.filename}",  # type: ignore[attr-defined]
                hint="check that the folder exists, has space and may be written",
            ) from error
        except msgspec.DecodeError as error:
            raise Unavailable(f"ledger {args[0].describe()} is damaged: {error}") from error  # type: ignore[attr-defined]

    wrapped.__name__, wrapped.__doc__ = method.__name__, method.__doc__
    return wrapped


class FileLedger:
    """See the module and `protocol.Ledger`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._claims, self._runs, self._tmp, self._trash = (root / name for name in ("claims", "runs", "tmp", "trash"))

    def describe(self) -> str:
        """The ledger's name, as --ledger takes it."""
        return f"file:{self._root}"

    def hurried(self) -> FileLedger:
        """A file system is there or it is not."""
        return self

    @_reporting
    def claim(self, claim: Claim) -> None:
        """Rename a prepared folder to claims/KEY."""
        prepared = self._tmp / uuid.uuid4().hex
        folder = prepared / claim.id
        for needed in (folder, self._claims, self._trash):
            needed.mkdir(parents=True, exist_ok=True)
        _write(folder / "claim.json", msgspec.structs.replace(claim, owner=None, expires=0.0))
        _write(folder / f"owner-{claim.id}.json", claim.owner or owners.current())
        lease = folder / "lease"
        lease.touch()
        os.utime(lease, (claim.expires, claim.expires))
        _sync(folder)
        while True:
            try:
                prepared.rename(self._claims / claim.key)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                there = self.find(claim.key)
                if there is None:  # Removed in between; the target is free again.
                    continue
                shutil.rmtree(prepared, ignore_errors=True)
                raise Occupied(there) from None
            _sync(self._claims)
            return

    @_reporting
    def find(self, key: str) -> Claim | None:
        """Read claims/KEY/*."""
        for _ in range(_READ_ATTEMPTS):
            ids = _names(self._claims / key)
            if not ids:
                return None
            folder = self._claims / key / ids[0]
            try:
                return self._load(folder)
            except FileNotFoundError:  # Removed or taken over while it was read: look again.
                continue
            except NotADirectoryError:
                break
        return damaged(ids[0], str(folder), "a file is missing, or none of ours")

    @_reporting
    def claims(self, run: str | None = None) -> list[Claim]:
        """Read claims/*/*."""
        found = [self.find(key) for key in _names(self._claims)]
        return [claim for claim in found if claim is not None and (run is None or claim.may_be_of(run))]

    @_reporting
    def take_over(self, claim: Claim, owner: Owner) -> Claim:
        """Add the new owner, then rename the folder to the new id."""
        new = uuid.uuid4().hex
        self._add(claim, f"owner-{new}.json", owner)
        folder = self._folder(claim)
        try:
            folder.rename(folder.with_name(new))
        except FileNotFoundError:
            raise ClaimGone(str(claim)) from None
        _sync(folder.parent)
        try:
            return self._load(folder.with_name(new))
        except FileNotFoundError:
            raise ClaimGone(str(claim)) from None

    @_reporting
    def record(self, claim: Claim, change: Change) -> None:
        """Compete for step-ID.json."""
        if not self._add(claim, f"step-{claim.id}.json", _Step(change=change)):
            raise BeingReverted(str(claim))
        if self._is_reverting(claim):  # Marked under an id that this owner took over from.
            raise BeingReverted(str(claim))

    @_reporting
    def activate(self, claim: Claim) -> None:
        """Write first and look for a revert after: one of the two sides always sees the other."""
        self._add(claim, "active.json", {})
        if self._is_reverting(claim):
            raise BeingReverted(str(claim))

    @_reporting
    def mark_reverting(self, claim: Claim) -> Claim:
        """Compete for step-ID.json; where the change came first, add reverting.json."""
        if not self._add(claim, f"step-{claim.id}.json", _Step(reverting=True)):
            self._add(claim, "reverting.json", {})
        try:
            return self._load(self._folder(claim))
        except FileNotFoundError:
            raise ClaimGone(str(claim)) from None

    @_reporting
    def mark_ended(self, claim: Claim) -> None:
        """Add ended-ID.json."""
        with contextlib.suppress(ClaimGone):
            self._add(claim, f"ended-{claim.id}.json", {})

    @_reporting
    def renew(self, claim: Claim, until: float) -> None:
        """Set the time of the lease file: needs no space on the disk."""
        try:
            os.utime(self._folder(claim) / "lease", (until, until))
        except FileNotFoundError:
            raise ClaimGone(str(claim)) from None

    @_reporting
    def remove(self, claim: Claim) -> None:
        """Rename the folder away; what is left of it is nobody's."""
        folder, gone = self._folder(claim), self._trash / claim.id
        if not self._trash.exists():  # Its absence would look like that of the claim.
            self._trash.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(gone)
        except FileNotFoundError:
            return
        _sync(folder.parent)
        with contextlib.suppress(OSError):  # Not empty: the next claim is there already.
            folder.parent.rmdir()
        shutil.rmtree(gone, ignore_errors=True)

    @_reporting
    def mark(self, run: str, name: MarkName, *, reason: str = "", details: dict[str, Any] | None = None) -> bool:
        """Link the next number: only who has seen all lower ones can have it."""
        folder = self._runs / run
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            there = self.marks(run)
            if name in there:
                return False
            mark = Mark(
                name=name,
                run=run,
                sequence=len(there) + 1,
                at=time.time(),
                owner=owners.current(),
                reason=reason,
                details=details or {},
            )
            if self._link(folder / f"{mark.sequence:04}.json", mark):
                return True

    @_reporting
    def marks(self, run: str) -> dict[MarkName, Mark]:
        """Read runs/RUN/*.json."""
        marks = [
            msgspec.json.decode((self._runs / run / name).read_bytes(), type=Mark) for name in _names(self._runs / run)
        ]
        return {mark.name: mark for mark in marks}

    @_reporting
    def runs(self) -> dict[str, dict[MarkName, Mark]]:
        """Read runs/*/*.json."""
        found = {}
        for run in _names(self._runs):
            try:
                found[run] = self.marks(run)
            except Unavailable as error:
                log.warning("run %s: %s", run, error)
        return found

    @_reporting
    def forget_run(self, run: str) -> None:
        """Rename the run's folder away, then delete it."""
        gone = self._trash / uuid.uuid4().hex
        self._trash.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (self._runs / run).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    @_reporting
    def tidy(self) -> None:
        """Delete what has been in tmp/ or trash/ for an hour."""
        for folder in (self._tmp, self._trash):
            for name in _names(folder):
                path = folder / name
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _LEFTOVER_AGE:
                        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def _folder(self, claim: Claim) -> Path:
        return self._claims / claim.key / claim.id

    def _add(self, claim: Claim, name: str, content: Any) -> bool:
        """Add a file to a claim; False when the name is taken. Raises ClaimGone."""
        try:
            return self._link(self._folder(claim) / name, content)
        except FileNotFoundError:
            raise ClaimGone(str(claim)) from None

    def _link(self, path: Path, content: Any) -> bool:
        self._tmp.mkdir(parents=True, exist_ok=True)
        temporary = self._tmp / uuid.uuid4().hex
        try:
            _write(temporary, content)
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync(path.parent)
        return True

    def _is_reverting(self, claim: Claim) -> bool:
        try:
            return self._load(self._folder(claim)).reverting
        except FileNotFoundError:
            raise ClaimGone(str(claim)) from None

    def _load(self, folder: Path) -> Claim:
        """The claim with its state. Raises FileNotFoundError when it goes meanwhile."""
        claim = read_claim((folder / "claim.json").read_bytes(), folder.name, str(folder))
        if isinstance(claim, Unreadable):
            return claim
        if claim.key != folder.parent.name:
            return damaged(folder.name, str(folder), "another target's claim is there", msgspec.to_builtins(claim))
        try:
            return self._with_state(claim, folder)
        except msgspec.DecodeError as error:
            return damaged(folder.name, str(folder), error, msgspec.to_builtins(claim))

    @staticmethod
    def _with_state(claim: Claim, folder: Path) -> Claim:
        names = set(_names(folder))
        steps = {
            name: msgspec.json.decode((folder / name).read_bytes(), type=_Step)
            for name in names
            if name.startswith("step-")
        }
        return msgspec.structs.replace(
            claim,
            id=folder.name,
            owner=msgspec.json.decode((folder / f"owner-{folder.name}.json").read_bytes(), type=Owner),
            expires=(folder / "lease").stat().st_mtime,
            change=_latest_change(steps, f"step-{folder.name}.json"),
            active="active.json" in names,
            reverting="reverting.json" in names or any(step.reverting for step in steps.values()),
            ended=f"ended-{folder.name}.json" in names,
        )


def _latest_change(steps: dict[str, _Step], own: str) -> Change | None:
    """The change of the present owner, else the last one of those it took over from."""
    if own in steps and steps[own].change is not None:
        return steps[own].change
    return max((step.change for step in steps.values() if step.change), key=lambda change: change.at, default=None)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _write(path: Path, content: Any) -> None:
    with path.open("xb") as file:
        file.write(msgspec.json.encode(content))
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    # What was done is done: others may have removed or renamed the folder since, and synced that.
    with contextlib.suppress(FileNotFoundError), _descriptor(folder) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def _descriptor(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
