"""The ledger: who has put which fault where, written down before it is done.

One mechanism answers four needs: record before acting, mutual exclusion, revert from anywhere, expiry. `documents` is
what is kept, `protocol` what a back end can do, `file` and `kube` the back ends on a file system and in a namespace of
Kubernetes; `target` is what a kind of fault brings along; `injection` and `hold` are the side of the process that owns
a fault, `reversion` the side of everybody else. It holds data only: never code, never secrets.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from chaos_steps.errors import UsageError

if TYPE_CHECKING:
    from chaos_steps.ledger.protocol import Ledger

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def open_ledger(name: str | None) -> Ledger:
    """The ledger that `file:DIR` or `kube:NAMESPACE` names, or the default one. Raises UsageError for any other form.

    The default is the namespace in CHAOS_LEDGER_NAMESPACE or the own one in a pod, elsewhere a folder of the user's.
    """
    kind, _, place = (name or _default_name()).partition(":")
    if kind == "file" and place:
        return _file_ledger(Path(place).absolute())
    if kind == "kube" and _NAMESPACE.fullmatch(place):
        return _kube_ledger(place)
    raise UsageError(f"{name!r} names no ledger", hint="write file:DIR or kube:NAMESPACE")


def _default_name() -> str:
    from chaos_steps.kube import is_in_pod, own_namespace  # noqa: PLC0415

    if is_in_pod():
        return f"kube:{os.environ.get('CHAOS_LEDGER_NAMESPACE') or own_namespace()}"
    named = os.environ.get("XDG_STATE_HOME")
    state = Path(named) if named else Path.home() / ".local" / "state"
    return f"file:{state / 'chaos-steps' / 'ledger'}"


# Back ends are imported when they are asked for.


def _file_ledger(folder: Path) -> Ledger:
    from chaos_steps.ledger.file import FileLedger  # noqa: PLC0415

    return FileLedger(folder)


def _kube_ledger(namespace: str) -> Ledger:
    from chaos_steps.kube import Objects, connector  # noqa: PLC0415
    from chaos_steps.ledger.kube import PATIENCE, ROLES, KubeLedger  # noqa: PLC0415

    return KubeLedger(namespace, Objects(connector(), "configmaps", namespace, ROLES), PATIENCE)
