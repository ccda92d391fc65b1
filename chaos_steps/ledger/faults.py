"""From a claim to its target: each kind registers a builder in the entry-point group `chaos_steps.faults`."""

from __future__ import annotations

from importlib.metadata import entry_points

from chaos_steps.errors import UsageError
from chaos_steps.ledger.documents import Claim
from chaos_steps.ledger.target import Target, TargetOf

GROUP = "chaos_steps.faults"


def target_of(claim: Claim) -> Target:
    """Build the target of a claim. Raises UsageError for a kind that no installed package knows."""
    for entry in entry_points(group=GROUP, name=claim.kind):
        build: TargetOf = entry.load()
        return build(claim)
    raise UsageError(
        f"no installed program knows faults of kind {claim.kind!r}", hint="use the image that made the claim"
    )
