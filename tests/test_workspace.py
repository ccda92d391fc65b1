"""The files that commands of one run share: whole, of one's own run, and tied to one another."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from chaos_steps.errors import Unavailable, UsageError
from chaos_steps.workspace import ErrorRecord, Verdict, Window, Workspace, points_dtype, write_atomically


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, "mine")


def verdict(run: str = "mine", task_run: str = "t-1", name: str = "client") -> Verdict:
    return Verdict(run=run, name=name, command="k6-slo", verdict="pass", exit_code=0, task_run=task_run)


def window(name: str = "fault", sha: str | None = None, run: str = "mine") -> Window:
    return Window(run=run, name=name, start_ms=1, end_ms=2, source="k6-load", points_sha256=sha)


def test_documents_are_camel_case_json_that_comes_back(workspace: Workspace) -> None:
    path = workspace.write_window(window(sha="00"))
    assert json.loads(path.read_text())["startMs"] == 1
    assert workspace.read_window("fault") == window(sha="00")
    assert workspace.windows() == {"fault": window(sha="00")}


def test_what_is_of_another_run_counts_as_missing(workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace(tmp_path, "other")
    other.write_window(window(run="other"))
    other.write_verdict(verdict(run="other"))
    other.write_error(ErrorRecord(run="other", name="x", exit_code=3, message="m"))
    assert workspace.read_window("fault") is None
    assert (workspace.windows(), workspace.verdicts(), workspace.errors()) == ({}, {}, {})
    workspace.write_verdict(verdict())
    assert workspace.verdicts() == {"client": verdict()}


def test_a_verdict_of_another_taskrun_is_never_overwritten(workspace: Workspace) -> None:
    workspace.write_verdict(verdict())
    workspace.write_verdict(verdict())
    with pytest.raises(UsageError, match="t-1"):
        workspace.write_verdict(verdict(task_run="t-2"))
    assert workspace.verdicts()["client"].task_run == "t-1"


def test_points_are_read_only_with_the_window_that_vouches_for_them(workspace: Workspace, tmp_path: Path) -> None:
    points = np.array([(5, 7, 200, 0), (6, -1, 0, 1)], dtype=points_dtype())
    sha = workspace.write_points("fault", points)
    assert workspace.read_points("fault") is None
    workspace.write_window(window(sha=sha))
    read = workspace.read_points("fault")
    assert read is not None
    assert read.tolist() == points.tolist()
    assert Workspace(tmp_path, "other").read_points("fault") is None
    workspace.write_points("fault", points[:1])
    assert workspace.read_points("fault") is None


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"run": "mine", "name": "fault", "startMs": "x"}', b"\xff"])
def test_a_document_that_cannot_be_read_is_an_error_that_names_it(workspace: Workspace, content: bytes) -> None:
    path = workspace.write_window(window())
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"windows/fault\.json"):
        workspace.read_window("fault")


def test_a_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"first, and longer")
    with path.open("rb") as reader:
        write_atomically(path, b"second")
        assert reader.read() == b"first, and longer"
    assert path.read_bytes() == b"second"
    assert [each.name for each in path.parent.iterdir()] == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_unavailable_and_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="file"):
        Workspace(tmp_path / "file", "mine").write_window(window())
