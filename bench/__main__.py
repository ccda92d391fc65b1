"""Run the named benchmarks, or all: every module here with a function `run`, which says whether its bounds hold."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path


def main() -> int:
    """1 when a bound is broken, else 0."""
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.name != "__main__"]
    kept = True
    for name in sys.argv[1:] or names:
        print(f"== {name}", flush=True)
        kept &= importlib.import_module(f"bench.{name}").run()
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
