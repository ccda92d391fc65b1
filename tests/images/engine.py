"""Running images with docker or podman, as restricted as Tasks are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# What the Tasks demand of the pod, and a root file system that is read-only.
RESTRICTED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")


def run(*command: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its exit code is the caller's to look at."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=timeout,
    )


def done(*command: str | Path) -> str:
    """Run a program that must succeed; its stdout."""
    ended = run(*command)
    assert ended.returncode == 0, f"{command}: {ended.stderr}"
    return ended.stdout


def find_engine() -> str:
    """docker or podman: what ENGINE names, else the first that works. buildah builds, but runs no read-only image."""
    asked = os.environ.get("ENGINE", "")
    for name in ("docker", "podman") if asked in ("", "buildah") else (asked,):
        if shutil.which(name) and run(name, "info").returncode == 0:
            return name
    raise AssertionError("images are run with docker or podman: neither works here")


class Engine:
    """An engine and the images of this checkout in its store."""

    def __init__(self) -> None:
        self.program = find_engine()
        inputs = done("tools/images/inputs").splitlines()
        self.inputs = {name: value for name, _, value in (line.partition("=") for line in inputs)}
        self.repository = os.environ.get("REPOSITORY") or "ghcr.io/chaos-steps/chaos-steps"

    def image(self, name: str) -> str:
        """The full name of a command's image."""
        return f"{self.repository}/{name}:{self.inputs['VERSION']}"

    def arguments(self, name: str, *options: str) -> list[str]:
        """The command that runs an image; what comes behind are arguments of the image's own command."""
        return [self.program, "run", "--rm", "--pull", "never", *RESTRICTED, *options, self.image(name)]

    def run(self, name: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run an image without a network, unless the options say another."""
        network = () if "--network" in options else ("--network", "none")
        return run(*self.arguments(name, *network, *options), *arguments)

    def inspect(self, image: str) -> dict[str, Any]:
        """What the engine knows of an image."""
        (found,) = json.loads(done(self.program, "image", "inspect", image))
        assert isinstance(found, dict)
        return found

    def files(self, name: str, folder: Path) -> Iterator[tarfile.TarInfo]:
        """Every file, folder and link of an image."""
        container = done(self.program, "create", "--pull", "never", self.image(name)).strip()
        archive = folder / f"{name}.tar"
        try:
            done(self.program, "export", "-o", archive, container)
        finally:
            done(self.program, "rm", container)
        with tarfile.open(archive) as members:
            yield from members
