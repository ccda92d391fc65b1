"""The files that commands of one run share.

    experiment.json            the experiment, with the run and its source
    windows/NAME.json          from a load's first to its last request's start
    points/NAME.npy            one record a request, see `points_dtype`
    verdicts/NAME.json         what a judge decided
    traces/NAME.json           what zipkin-slo saw besides, see traces.py
    errors/NAME.json           why a command ended otherwise than 0, 1 or 5
    report/                    what experiment-report writes

Every document carries its `run`. A reader takes only those of its own run: a workspace may be used again, and a stale
verdict must never colour a new run. All writes are atomic: a reader sees the old file, the new one, or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from chaos_steps.errors import Unavailable, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Decision = Literal["pass", "fail", "inconclusive"]


class Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What every JSON file of the workspace has."""

    run: str
    """Run that wrote the file."""


class Window(Document, frozen=True, kw_only=True):
    """A stretch of time in which a load ran; from its first to its last request's start."""

    name: str
    start_ms: int
    """Epoch milliseconds, included."""
    end_ms: int
    """Epoch milliseconds, included."""
    source: str
    """Command that measured it."""
    points_sha256: str | None = None
    """SHA-256 of points/NAME.npy."""
    requests: int | None = None
    """Requests that were sent."""
    dropped: int | None = None
    """Requests that should have been sent and were not."""
    target: str | None = None
    """Address that all requests went to, without its query; null: a script of the user's own chose."""
    versions: dict[str, str] = {}
    """Programs that made the load, with their versions; an empty one is not known."""


class Check(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One measured value against one limit."""

    metric: str
    """Such as p99-latency-ms or success-rate."""
    limit: float
    comparison: Literal["<=", ">=", "<", ">", "==", "!="]
    """How the value must stand to the limit."""
    decision: Decision
    value: float | None = None
    """The point estimate; null without data."""
    low: float | None = None
    """Lower end of the interval; null when it is open or none was computed."""
    high: float | None = None
    """Upper end of the interval; null when it is open or none was computed."""
    confidence: float | None = None
    """Two-sided confidence of the interval."""
    needed: int | None = None
    """About how many further requests a decision would take."""
    message: str = ""


class Verdict(Document, frozen=True, kw_only=True):
    """What a judge decided."""

    name: str
    command: str
    verdict: Decision
    exit_code: int
    checks: tuple[Check, ...] = ()
    task_run: str = ""
    """UID of the TaskRun that wrote it; empty outside Tekton."""
    window: str | None = None
    requests: int | None = None
    message: str = ""
    notes: tuple[str, ...] = ()
    """What a reader should know although it does not change the verdict."""


class ErrorRecord(Document, frozen=True, kw_only=True):
    """Why a command ended otherwise than 0, 1 or 5."""

    name: str
    exit_code: int
    message: str


class _OfARun(msgspec.Struct, frozen=True):
    run: str


AnyDocument = TypeVar("AnyDocument", bound=Document)


def points_dtype() -> np.dtype[Any]:
    """One request: start (epoch microseconds), duration (microseconds, -1 without an answer), HTTP status (0 without an
    answer), error (1: no answer).
    """
    import numpy as np  # noqa: PLC0415

    return np.dtype([("start_us", "<i8"), ("duration_us", "<i8"), ("status", "<i2"), ("error", "u1")])


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut. Raises Unavailable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Unavailable(
            f"cannot write {path}: {error.strerror}", hint="check the volume's space and owner"
        ) from error


class Workspace:
    """The shared folder, as one run sees it."""

    def __init__(self, root: Path, run: str) -> None:
        self.root = root
        self.run = run

    def write_json(self, relative: str, document: msgspec.Struct | dict[str, Any]) -> Path:
        """Write one JSON document, indented, and return its path."""
        path = self.root / relative
        write_atomically(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        return path

    def read(self, relative: str, kind: type[AnyDocument]) -> AnyDocument | None:
        """The document, or None when there is none of this run. Raises UsageError for one that cannot be read."""
        path = self.root / relative
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        try:
            # Another run's file may be of another version; its run is all that is read of it.
            if msgspec.json.decode(content, type=_OfARun).run != self.run:
                return None
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is not a {kind.__name__.lower()} document: {error}") from error

    def write_window(self, window: Window) -> Path:
        """Write windows/NAME.json."""
        return self.write_json(f"windows/{window.name}.json", window)

    def read_window(self, name: str) -> Window | None:
        """The window of this name and run."""
        return self.read(f"windows/{name}.json", Window)

    def windows(self) -> dict[str, Window]:
        """All windows of this run by name."""
        return {window.name: window for window in self._all("windows", Window)}

    def points_path(self, name: str) -> Path:
        """Where the points of a load are."""
        return self.root / "points" / f"{name}.npy"

    def write_points(self, name: str, points: NDArray[Any]) -> str:
        """Write points/NAME.npy; returns its SHA-256 for the window, which is what ties the points to a run."""
        import numpy as np  # noqa: PLC0415

        buffer = io.BytesIO()
        np.save(buffer, points.astype(points_dtype(), copy=False), allow_pickle=False)
        content = buffer.getbuffer()
        write_atomically(self.points_path(name), content)  # type: ignore[arg-type]
        return hashlib.sha256(content).hexdigest()

    def read_points(self, name: str) -> NDArray[Any] | None:
        """The points of a window of this run, or None when there are none that its window vouches for."""
        import numpy as np  # noqa: PLC0415

        window = self.read_window(name)
        try:
            content = self.points_path(name).read_bytes()
        except FileNotFoundError:
            return None
        if window is None or hashlib.sha256(content).hexdigest() != window.points_sha256:
            return None
        points: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
        return points

    def write_verdict(self, verdict: Verdict) -> Path:
        """Write verdicts/NAME.json. Raises UsageError when another TaskRun of this run has written one of that name."""
        other = self.read(f"verdicts/{verdict.name}.json", Verdict)
        if other is not None and other.task_run != verdict.task_run:
            raise UsageError(
                f"run {self.run} already has a verdict named {verdict.name!r}, by TaskRun {other.task_run or '(none)'}",
                hint="give each judge its own --name",
            )
        return self.write_json(f"verdicts/{verdict.name}.json", verdict)

    def verdicts(self) -> dict[str, Verdict]:
        """All verdicts of this run by name."""
        return {verdict.name: verdict for verdict in self._all("verdicts", Verdict)}

    def write_error(self, error: ErrorRecord) -> Path:
        """Write errors/NAME.json."""
        return self.write_json(f"errors/{error.name}.json", error)

    def errors(self) -> dict[str, ErrorRecord]:
        """All error records of this run by name."""
        return {error.name: error for error in self._all("errors", ErrorRecord)}

    def _all(self, folder: str, kind: type[AnyDocument]) -> Iterator[AnyDocument]:
        for path in sorted((self.root / folder).glob("*.json")):
            document = self.read(f"{folder}/{path.name}", kind)
            if document is not None:
                yield document
