"""Where the servers are that `tools/servers/build` puts into its cache."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers.program import HOW_TO_GET, MissingProgramError

BUILD = Path(__file__).parents[2] / "tools/servers/build"


def built(name: str) -> Path:
    """A program in the cache of built servers. Raises MissingProgramError when it is not there."""
    where = Path(subprocess.run([BUILD, "--where", name], check=True, capture_output=True, text=True).stdout.strip())
    if not where.exists():
        raise MissingProgramError(f"no {name} at {where}: {HOW_TO_GET}")
    return where
