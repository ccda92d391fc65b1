"""Claims for tests."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from chaos_steps.ledger import owner
from chaos_steps.ledger.documents import Claim


def claim(**changes: Any) -> Claim:
    """A claim of run r-1, but for the changes."""
    made = Claim(
        id=uuid.uuid4().hex,
        kind="waf",
        identity="http://waf host",
        target={"url": "http://waf"},
        run="r-1",
        created=1.0,
        deadline=100.0,
        owner=owner.current(),
        expires=45.0,
    )
    return msgspec.structs.replace(made, **changes)
