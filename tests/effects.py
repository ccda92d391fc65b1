"""Runs our commands in forked processes that can be killed, stopped or overtaken at any of their effects.

An effect is one point between two things that others can see: a change of a file of the ledger, an HTTP request before
it is sent, when it is sent, and when it was answered, and the writing of the results. A command that is run to its end
lists its effects; another run of it then acts upon itself at the n-th.

One process imports everything once and forks for each job, so that hundreds of them take seconds.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.waiting import wait_until

Act = Literal["kill", "term", "interrupt", "revert", "fill"]

CHANGES = ("os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime")
CREATING = ("os.link", "os.mkdir", "open")
ACT_BOUND = 30.0


@dataclass(frozen=True)
class Job:
    """A command to run; at its `effect`-th effect, counted from 1, it does `act` to itself. 0: at none.

    `patches` sets attributes of our modules by dotted name, to make long times short. `revert` runs fault-revert for
    `run` beside it and lets that get as far as it can. `fill`: from then on there is no space for new files.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    ledger: str
    effect: int = 0
    act: Act = "kill"
    run: str = ""
    patches: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A job that has ended: exit code (negative: killed by that signal), output, names of its effects, seconds.

    `revert` is the exit code of the fault-revert beside it.
    """

    code: int
    stdout: str
    stderr: str
    effects: tuple[str, ...]
    seconds: float
    revert: int | None = None

    @property
    def results(self) -> dict[str, str]:
        """The results on stdout."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict), found
        return found


def run_jobs(jobs: Sequence[Job], folder: Path, *, parallel: int = 4, timeout: float = 600.0) -> list[Done]:
    """Run jobs, `parallel` at a time, and return how each ended, in the order of the jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(jobs):
        (folder / str(number)).mkdir()
        (folder / str(number) / "job").write_text(json.dumps(asdict(job)))
    server = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.effects", str(folder), str(parallel)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert server.returncode == 0, server.stderr
    return [_done(folder / str(number)) for number in range(len(jobs))]


def run_job(job: Job, folder: Path) -> Done:
    """Run one job."""
    return run_jobs([job], folder)[0]


def _done(folder: Path) -> Done:
    ended = json.loads((folder / "ended").read_text())
    revert = folder / "revert-ended"
    if (folder / "revert-started").exists():
        wait_until(revert.exists, f"the revert beside {folder} to end")
    return Done(
        code=ended["code"],
        stdout=(folder / "stdout").read_text(errors="replace"),
        stderr=(folder / "stderr").read_text(errors="replace"),
        effects=tuple((folder / "effects").read_text().split("\n")[:-1]),
        seconds=ended["seconds"],
        revert=int(revert.read_text()) if revert.exists() else None,
    )


# From here on: what runs in the forking process and its children.


class _Effects:
    """Counts the effects of this process and acts at one of them."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job = job
        self._folder = folder
        self._list = (folder / "effects").open("a", buffering=1)
        self._lock = threading.Lock()
        self._count = 0
        self._root = job.ledger.removeprefix("file:")
        self.is_off = False

    def happen(self, name: str) -> None:
        """One effect is about to happen."""
        if self.is_off:
            return
        with self._lock:
            self._count += 1
            mine = self._count == self._job.effect
            self._list.write(f"{name}\n")
        if self._job.act == "fill":
            if self._count >= self._job.effect and name.startswith(CREATING):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._root)
        elif mine:
            self.is_off = True
            _ACTS[self._job.act](self._job, self._folder)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event: those that change the ledger are effects."""
        if self.is_off or not (event in CHANGES or event == "open"):
            return
        path = arguments[0]
        in_ledger = isinstance(path, (str, os.PathLike)) and str(path).startswith(self._root)
        beside = event in ("os.remove", "os.rmdir") and arguments[1] != -1  # rmtree works relative to a folder.
        if (event != "open" and beside) or (
            in_ledger and (event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR))
        ):
            self.happen(f"{event} {Path(str(path)).name}")


def _revert_beside(job: Job, folder: Path) -> None:
    from chaos_steps.ledger import open_ledger  # noqa: PLC0415

    (folder / "revert-started").touch()
    if os.fork() == 0:
        code = _in_child(
            ("fault-revert", "--run", job.run, "--ledger", job.ledger), job.environment, folder, prefix="revert-"
        )
        (folder / "revert-ended.new").write_text(str(code))
        (folder / "revert-ended.new").rename(folder / "revert-ended")
        os._exit(code)
    ledger = open_ledger(job.ledger)
    end = time.monotonic() + ACT_BOUND
    while time.monotonic() < end and not (folder / "revert-ended").exists():
        if "closed" in ledger.marks(job.run) and all(claim.reverting for claim in ledger.claims(job.run)):
            return
        time.sleep(0.01)


_ACTS: dict[str, Callable[[Job, Path], None]] = {
    "kill": lambda _job, _folder: os.kill(os.getpid(), signal.SIGKILL),
    "term": lambda _job, _folder: os.kill(os.getpid(), signal.SIGTERM),
    "interrupt": lambda _job, _folder: os.kill(os.getpid(), signal.SIGINT),
    "revert": _revert_beside,
}


def _watch(effects: _Effects) -> None:
    from chaos_steps import command, transport  # noqa: PLC0415
    from chaos_steps.http import Http  # noqa: PLC0415

    _around(Http, "_exchange", effects, "before a request", "after its answer")
    _around(transport.Exchange, "sending", effects, "before sending", None)
    _around(transport._Watched, "request", effects, None, "sent")
    _around(command, "_write_results", effects, "before results", "after results")
    sys.addaudithook(effects.hear)


def _around(owner: Any, name: str, effects: _Effects, before: str | None, after: str | None) -> None:
    inner = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            effects.happen(before)
        value = inner(*args, **kwargs)
        if after:
            effects.happen(after)
        return value

    setattr(owner, name, wrapped)


def _in_child(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, prefix: str = "") -> int:
    """Become the command and return its exit code."""
    from chaos_steps.__main__ import main  # noqa: PLC0415

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        file = os.open(folder / f"{prefix}{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
    sys.argv = list(arguments)
    try:
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _start(folder: Path) -> int:
    """Fork for the job of a folder; returns the process id."""
    for name in ("effects", "stdout", "stderr"):
        (folder / name).touch()
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.setsid()
        job = Job(**json.loads((folder / "job").read_text()))
        for name, value in job.patches.items():
            module, _, attribute = name.rpartition(".")
            setattr(sys.modules[module], attribute, value)
        effects = _Effects(job, folder)
        _watch(effects)
        code = _in_child(job.arguments, job.environment, folder)
    finally:
        os._exit(code)


def _serve(root: Path, parallel: int) -> None:
    for module in (
        *("chaos_steps.command", "chaos_steps.transport", "chaos_steps.credentials", "chaos_steps.experiment"),
        *("chaos_steps.limits", "chaos_steps.inject.waf_inject", "chaos_steps.operate.fault_revert"),
        *("chaos_steps.ledger.file", "chaos_steps.ledger.hold", "chaos_steps.ledger.reversion"),
        *("chaos_steps.ledger.faults", "chaos_steps.ledger.kube", "chaos_steps.operate.fault_sweep", "yaml"),
    ):
        __import__(module)
    waiting = sorted((folder for folder in root.iterdir() if folder.is_dir()), key=lambda folder: int(folder.name))
    running: dict[int, tuple[Path, float]] = {}
    while waiting or running:
        while waiting and len(running) < parallel:
            folder = waiting.pop(0)
            running[_start(folder)] = (folder, time.monotonic())
        pid, status = os.wait()
        folder, began = running.pop(pid)
        ended = {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began}
        (folder / "ended").write_text(json.dumps(ended))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
