"""Injector: a command that puts one kind of fault into a target, and takes it out again.

An injector's function returns the `Aim` that its options describe; everything else is the same for all of them and
stands here: actions, limits, ledger, holding, results.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from chaos_steps import signals
from chaos_steps.command import Command, Context, Option, Result
from chaos_steps.errors import (
    ChaosError,
    ChildFailed,
    FaultMayRemain,
    Refused,
    Unavailable,
    UsageError,
)
from chaos_steps.ledger.target import Aim, Fault, Target
from chaos_steps.params import DURATION, URL, rfc3339

if TYPE_CHECKING:
    from chaos_steps.ledger.documents import Claim
    from chaos_steps.ledger.injection import Injection
    from chaos_steps.ledger.reversion import Outcome, Reversion

log = logging.getLogger(__name__)

TTL_MARGIN = 60.0
"""Seconds that a claim outlives its duration by default."""

RESULTS = (
    Result("run", "Id of the run, for fault-revert."),
    Result("claim", "Id of the claim in the ledger; empty when there is none."),
    Result("state", "active, reverted, absent or drifted."),
    Result("expires-at", "When the claim expires, RFC 3339; empty when there is none."),
    Result("confirmed", "How the fault was confirmed: config when it was read back, else empty."),
)

_OWN_OPTIONS = ("action", "duration", "ttl", "wait_for_load", "probe_url")
_CHILD_GRACE = 20.0


class Injector(Command):
    """A command whose function builds an `Aim` of its options."""

    def __init__(
        self, *args: Any, kind: str, fault_types: tuple[str, ...], results: tuple[Result, ...] = (), **kwargs: Any
    ) -> None:
        super().__init__(
            *args,
            results=(*RESULTS, *results),
            exits=(0, 1, 2, 3, 4, 5, 6, 7, 143),
            config=True,
            workspace="read",
            ledger=True,
            limits=True,
            credentials=True,
            takes_command=True,
            defers_signals=True,
            **kwargs,
        )
        self.kind = kind
        self.fault_types = fault_types
        self.params += _injector_options()


def injector(name: str, **kwargs: Any) -> Callable[[Callable[..., Aim]], Injector]:
    """Make a function of (Context, options...) that returns an `Aim` an injector; keywords as for `Injector`.

    Options that only the fault needs must not be `required`, or a revert would ask for them too; see `needed`.
    """

    def decorate(function: Callable[..., Aim]) -> Injector:
        def act(ctx: Context, **options: Any) -> None:
            own = {key: value for key, value in options.items() if key not in (*_OWN_OPTIONS, "command")}
            _ACTIONS[options["action"]](ctx, lambda: function(ctx, **own), options)

        act.__doc__ = function.__doc__
        act.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        return click.command(name, cls=Injector, **kwargs)(act)

    return decorate


def _injector_options() -> list[click.Parameter]:
    return [
        Option(
            ["--action"],
            type=click.Choice(list(_ACTIONS)),
            default="apply",
            show_default=True,
            common=True,
            help="What to do: put the fault in, take it out, tell its state, or hold it for a time.",
        ),
        Option(
            ["--duration"],
            type=DURATION,
            experiment="durationSeconds",
            common=True,
            help="hold: how long the fault lasts, such as 120s. apply: only for the default of --ttl.",
        ),
        Option(
            ["--ttl"],
            type=DURATION,
            common=True,
            show_default="duration + 60s",
            help="When the claim expires and fault-sweep may revert it.",
        ),
        Option(
            ["--wait-for-load"],
            type=DURATION,
            common=True,
            help="hold: wait this long for k6-load to be ready, and end when it is done.",
        ),
        Option(
            ["--probe-url"],
            type=URL,
            common=True,
            help="hold: measure the share and the delay of the fault by 5 untraced requests a second to this address "
            "on the faulted path.",
        ),
        click.Argument(["command"], nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARG]...]"),
    ]


def _apply(ctx: Context, aim: Callable[[], Aim], options: dict[str, Any]) -> None:
    if options["command"]:
        raise UsageError("a COMMAND goes with --action hold only")
    fault, ttl = _checked(ctx, aim, options)
    injection = _injection(ctx, fault, ttl, lease=None)
    with _telling(ctx, injection):
        injection.apply()
        _hand_over(injection)
    _tell(ctx, injection.claim, "active")
    log.info(
        "fault active: %s; it stays until fault-revert --run %s, or fault-sweep after %s",
        fault.summary,
        ctx.run,
        rfc3339(injection.claim.expires),
    )


def _hand_over(injection: Injection) -> None:
    """Leave the fault to others. Until that is written it is ours to take out again; after it a signal is too late."""
    from chaos_steps.ledger.hold import announce  # noqa: PLC0415

    try:
        announce(injection)
        signals.check()
        injection.leave()
    except Exception as error:
        injection.undo(str(error))
        raise


def _hold(ctx: Context, aim: Callable[[], Aim], options: dict[str, Any]) -> None:
    try:
        _hold_fault(ctx, aim, options)
    except ChaosError as error:
        _end_what_never_began(ctx, error)
        raise


def _end_what_never_began(ctx: Context, error: ChaosError) -> None:
    """Write fault-ended when no fault of the run was or will be there, so that its load does not wait for one."""
    with signals.deferred(), contextlib.suppress(Unavailable):
        ledger = ctx.ledger.hurried()
        if "fault-active" not in ledger.marks(ctx.run) and not ledger.claims(ctx.run):
            ledger.mark(ctx.run, "fault-ended", reason=f"nothing was injected: {error}")


def _hold_fault(ctx: Context, aim: Callable[[], Aim], options: dict[str, Any]) -> None:
    from chaos_steps.ledger.hold import LEASE, Hold  # noqa: PLC0415

    fault, ttl = _checked(ctx, aim, options)
    if options["duration"] is None:
        raise UsageError("hold needs a duration", hint="give --duration, or durationSeconds in the experiment file")
    if options["command"] and shutil.which(options["command"][0]) is None:
        raise UsageError(f"there is no program {options['command'][0]!r}")
    injection = _injection(ctx, fault, ttl, lease=LEASE)
    hold = Hold(
        injection,
        duration=options["duration"],
        wait_for_load=options["wait_for_load"],
        probe=_probe(ctx, fault, options["probe_url"]),
        companion=_Child(options["command"]) if options["command"] else None,
    )
    with _telling(ctx, injection):
        code = hold.run()
    ctx.result("state", "reverted")
    ctx.result("confirmed", "config")
    if code:
        raise ChildFailed(options["command"][0], code)


@contextlib.contextmanager
def _telling(ctx: Context, injection: Injection) -> Iterator[None]:
    """Set the results by how the block failed: whatever it raised, short of FaultMayRemain, the fault is out."""
    try:
        yield
    except FaultMayRemain:
        if injection.is_claimed:
            _tell(ctx, injection.claim, "drifted")
        raise
    except Exception as error:
        untouched = isinstance(error, (Refused, Unavailable, UsageError)) or not injection.is_claimed
        ctx.result("state", "absent" if untouched else "reverted")
        raise


def _revert(ctx: Context, aim: Callable[[], Aim], _options: dict[str, Any]) -> None:
    from chaos_steps.ledger.faults import target_of  # noqa: PLC0415
    from chaos_steps.ledger.reversion import GRACE, Reversion  # noqa: PLC0415

    try:
        reversion = Reversion(ctx.ledger, target_of, ctx.limits, grace=GRACE, by=ctx.command.name or "")
        outcome = reversion.run(ctx.run) if ctx.run_is_given else _revert_target(ctx, reversion, aim().target)
        if ctx.run_is_given and not outcome.reverted and not outcome.remaining:
            others = ", ".join(map(str, ctx.ledger.claims())) or "none"
            log.warning("run %s has no claim in ledger %s; its claims: %s", ctx.run, ctx.ledger.describe(), others)
    except Unavailable as error:
        raise FaultMayRemain(f"whether a fault is there cannot be told: {error}") from error
    ctx.result("state", "drifted" if outcome.remaining else "reverted" if outcome.reverted else "absent")
    outcome.check()
    log.info("reverted %d, remaining 0", len(outcome.reverted))
    signals.check()


def _revert_target(ctx: Context, reversion: Reversion, target: Target) -> Outcome:
    from chaos_steps.ledger.reversion import Outcome  # noqa: PLC0415

    claim = _claim_on(ctx, target)
    if claim is not None:
        ctx.result("run", claim.run)
        return reversion.claim(claim)
    marked = target.marked_by(target.read())
    if marked is not None:
        ctx.result("state", "drifted")
        raise FaultMayRemain(
            f"{target.kind} {target.identity} has a fault of run {marked}, unknown to ledger {ctx.ledger.describe()}",
            hint="name the ledger of that run with --ledger",
        )
    log.info("the ledger has no claim on this target, and no fault of ours is in it")
    return Outcome()


def _status(ctx: Context, aim: Callable[[], Aim], _options: dict[str, Any]) -> None:
    if ctx.run_is_given:
        claim = next((claim for claim in ctx.ledger.claims(ctx.run) if claim.kind == _injector(ctx).kind), None)
        state = "absent"
    else:
        target = aim().target
        claim = _claim_on(ctx, target)
        state = "absent" if claim or target.marked_by(target.read()) is None else "drifted"
    if claim is None:
        ctx.result("state", state)
    else:
        state = _state_of(claim)
        _tell(ctx, claim, state)
    log.info("state: %s", state)


def _state_of(claim: Claim) -> str:
    from chaos_steps.ledger.documents import Unreadable  # noqa: PLC0415
    from chaos_steps.ledger.faults import target_of  # noqa: PLC0415

    if isinstance(claim, Unreadable):
        raise Unavailable(f"{claim}: {claim.why}")
    target, change = target_of(claim), claim.change
    if change is None:
        return "absent"
    state = target.read()
    if target.holds(state, change.change):
        return "active"
    return "absent" if state == change.before else "drifted"


_ACTIONS = {"apply": _apply, "revert": _revert, "status": _status, "hold": _hold}


def _checked(ctx: Context, aim: Callable[[], Aim], options: dict[str, Any]) -> tuple[Fault, float]:
    """The fault and the claim's ttl in seconds, within the limits."""
    fault = aim().fault()
    duration, ttl = options["duration"], options["ttl"]
    if ttl is None:
        if duration is None:
            raise UsageError("neither --ttl nor --duration is given", hint="say how long the fault may last")
        ttl = duration + TTL_MARGIN
    ctx.limits.check(fault.target.scope(fault.change), duration=duration, ttl=ttl)
    return fault, ttl


def _injection(ctx: Context, fault: Fault, ttl: float, lease: float | None) -> Injection:
    from chaos_steps.ledger.injection import Injection  # noqa: PLC0415

    ctx.result("run", ctx.run)
    return Injection(ctx.ledger.hurried(), fault, ctx.run, ttl, lease)


def _probe(ctx: Context, fault: Fault, url: str | None) -> Any:
    from chaos_steps.ledger.probe import Probe  # noqa: PLC0415

    url = url or fault.probe_url
    return Probe(url, fault.effect, ctx.run) if url else None


def _tell(ctx: Context, claim: Claim, state: str) -> None:
    ctx.result("run", claim.run)
    ctx.result("claim", claim.id)
    ctx.result("state", state)
    ctx.result("expires-at", rfc3339(claim.expires))
    ctx.result("confirmed", "config" if state == "active" else "")


def _injector(ctx: Context) -> Injector:
    if not isinstance(ctx.command, Injector):
        raise TypeError(f"{ctx.command.name} is not an injector")
    return ctx.command


def _claim_on(ctx: Context, target: Target) -> Claim | None:
    from chaos_steps.ledger.documents import key_of  # noqa: PLC0415

    return ctx.ledger.find(key_of(target.kind, target.identity))


def needed(flag: str, value: Any) -> Any:
    """The value of an option that only some actions need. Raises UsageError when there is none."""
    if value is None:
        raise UsageError(f"missing option {flag}", hint="see --help")
    return value


class _Child:
    """COMMAND in a session of its own: it gets one signal, from us, however many the process group got."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with the whole environment: it is the user's own command."""
        try:
            self._process = subprocess.Popen(self._arguments, start_new_session=True)
        except OSError as error:
            raise UsageError(f"cannot start {self._arguments[0]}: {error.strerror}") from error

    def poll(self) -> int | None:
        """Its exit code, 128 + N when signal N killed it, or None while it runs."""
        code = None if self._process is None else self._process.poll()
        return None if code is None else code if code >= 0 else 128 - code

    def stop(self, signum: int) -> int:
        """Forward one signal and wait; kill what does not heed it."""
        if self._process is None:
            return 0
        try:
            os.killpg(self._process.pid, signum)
            self._process.wait(_CHILD_GRACE)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        return self.poll() or 0
