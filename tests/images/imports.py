"""Run in an image: imports a module, prints how many modules that takes and which were not compiled beforehand.

Compiled means: by the hash of the source, never to be checked again (PEP 552). Frozen modules have no file.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path


def is_compiled(path: Path) -> bool:
    """Whether there is such a file."""
    return path.exists() and path.read_bytes()[4] == 1


importlib.import_module(sys.argv[1])
files = {name: Path(cached) for name, module in sys.modules.items() if (cached := getattr(module, "__cached__", None))}
missing = [name for name, path in files.items() if path.suffix == ".pyc" and not is_compiled(path)]
print(len(files), missing, os.getuid(), os.getgid())
