"""Whether another process still lives, told only where it is certain."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from chaos_steps.ledger import owner
from chaos_steps.ledger.documents import Owner

replace = msgspec.structs.replace


def owner_of(pid: int) -> Owner:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return replace(owner.current(), pid=pid, start_time=int(fields[19]))


def test_this_process_lives() -> None:
    assert owner.is_dead(owner.current()) is False


def test_a_process_is_dead_from_its_end_on_also_before_it_is_waited_for() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        known = owner_of(process.pid)
        assert owner.is_dead(known) is False
        process.kill()
        stat = Path(f"/proc/{process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            pass
        assert owner.is_dead(known) is True
        process.wait()
        assert owner.is_dead(known) is True


def test_another_process_with_its_pid_is_not_it() -> None:
    here = owner.current()
    assert owner.is_dead(replace(here, start_time=here.start_time - 1)) is True


def test_after_a_reboot_of_this_machine_it_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    here = replace(owner.current(), machine_id="this one")  # A container may have none.
    monkeypatch.setattr(owner, "current", lambda: here)
    assert owner.is_dead(replace(here, boot_id="an earlier one")) is True


@pytest.mark.parametrize(
    "other",
    [
        None,
        replace(owner.current(), boot_id="another", machine_id="another"),
        replace(owner.current(), boot_id="another", machine_id=""),
        replace(owner.current(), boot_id=""),
        replace(owner.current(), pid_namespace="pid:[1]", pid=1 << 30),
        replace(owner.current(), host="another", pid=1 << 30),
        replace(owner.current(), pod_uid="another", pid=1 << 30),
    ],
)
def test_of_what_is_elsewhere_nothing_is_known(other: Owner | None) -> None:
    assert owner.is_dead(other) is None


def test_on_this_boot_of_this_machine_no_machine_id_is_needed() -> None:
    assert owner.is_dead(replace(owner.current(), machine_id="", pid=1 << 30)) is True
