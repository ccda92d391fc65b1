"""The ledger: who has put which fault where, written down before it is done.

One mechanism answers four needs: record before acting, mutual exclusion, revert from anywhere, expiry. `documents` is
what is kept, `protocol` what a back end can do, `file` the back end on a file system; `target` is what a kind of fault
brings along; `injection` and `hold` are the side of the process that owns a fault, `reversion` the side of everybody
else. It holds data only: never code, never secrets.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from chaos_steps.errors import UsageError

if TYPE_CHECKING:
    from chaos_steps.ledger.protocol import Ledger


def open_ledger(name: str | None) -> Ledger:
    """The ledger that `file:DIR` names; by default the user's own. Raises UsageError for any other form.

    A pod has no default: what it keeps for itself, no other pod of the run could see.
    """
    from chaos_steps.ledger.file import FileLedger  # noqa: PLC0415 - back ends are imported when they are asked for

    if name is None and os.environ.get("CHAOS_POD_UID"):
        raise UsageError("no ledger named", hint="give --ledger file:DIR with a folder that all pods of the run mount")
    if name is None:
        return FileLedger(_state_folder() / "chaos-steps" / "ledger")
    kind, separator, place = name.partition(":")
    if kind != "file" or not separator or not place:
        raise UsageError(f"{name!r} names no ledger", hint="write file:DIR")
    return FileLedger(Path(place).absolute())


def _state_folder() -> Path:
    named = os.environ.get("XDG_STATE_HOME")
    return Path(named) if named else Path.home() / ".local" / "state"
