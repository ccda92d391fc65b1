"""Who this process is, and whether another one still lives."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path

from chaos_steps.ledger.documents import Owner


@lru_cache(maxsize=1)
def _current(pid: int) -> Owner:
    return Owner(
        host=socket.gethostname(),
        machine_id=_text("/etc/machine-id"),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
        pid_namespace=_pid_namespace(),
        pid=pid,
        start_time=_start_time(pid) or 0,
        pod_uid=os.environ.get("CHAOS_POD_UID", ""),
    )


def current() -> Owner:
    """This process."""
    return _current(os.getpid())


def is_dead(owner: Owner | None) -> bool | None:
    """Whether the process is gone for certain; None when it cannot be told from here."""
    here = current()
    if owner is None or owner.pod_uid != here.pod_uid or not owner.boot_id:
        return None
    if owner.boot_id != here.boot_id:  # This machine after a reboot, or another one, or a container without the file.
        return True if owner.machine_id and owner.machine_id == here.machine_id else None
    if (owner.host, owner.pid_namespace) != (here.host, here.pid_namespace):
        return None
    return _start_time(owner.pid) != owner.start_time


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start_time(pid: int) -> int | None:
    # The second field may hold blanks and parentheses, so count from the last one (proc_pid_stat(5)).
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not fields or fields[0] == "Z":
        return None
    return int(fields[19])
