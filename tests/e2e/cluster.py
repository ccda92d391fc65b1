"""A namespace on the cluster, and the programs that talk to it."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
MANIFESTS = Path(__file__).parent / "manifests"
IMAGE = os.environ.get("E2E_IMAGE", "")


class Namespace:
    """A fresh namespace; everything in it goes with it."""

    def __init__(self, prefix: str) -> None:
        self.name = f"{prefix}-{uuid.uuid4().hex[:6]}"

    def __enter__(self) -> Self:
        self.kubectl("create", "namespace", self.name)
        return self

    def __exit__(self, *_: object) -> None:
        self.kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace; returns its output, raises AssertionError with its message."""
        return self._run(["kubectl", "-n", self.name, *arguments], stdin)

    def tkn(self, *arguments: str) -> subprocess.Popen[str]:
        """Start tkn in the namespace."""
        return subprocess.Popen(
            ["tkn", "-n", self.name, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def apply_shipped(self) -> None:
        """Apply the Tasks and Pipelines as the README says."""
        self.kubectl("apply", "-R", "-f", str(ROOT / "tekton" / "tasks"), "-f", str(ROOT / "tekton" / "pipelines"))

    def apply(self, manifest: str) -> None:
        """Apply a manifest of this folder, with the image filled in."""
        self.kubectl("apply", "-f", "-", stdin=(MANIFESTS / manifest).read_text().replace("IMAGE", IMAGE))

    def get(self, *what: str) -> Any:
        """An object, or a list of them, as JSON data."""
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    @staticmethod
    def _run(command: list[str], stdin: str | None) -> str:
        finished = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, f"{command}: {finished.stderr}"
        return finished.stdout
