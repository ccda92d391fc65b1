"""waf-inject: a rule in a WAF or gateway answers a share of one host's requests with an error, or delays them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from chaos_steps.command import Context, option
from chaos_steps.credentials import Credentials, Secret
from chaos_steps.errors import UsageError
from chaos_steps.inject.waf_inject.caddy import CaddyDriver
from chaos_steps.inject.waf_inject.rest import RestDriver
from chaos_steps.inject.waf_inject.wanted import MARKER_HEADER, Driver, Wanted, rule_id
from chaos_steps.injector import injector, needed
from chaos_steps.ledger.target import Aim, Effect, Fault, State
from chaos_steps.params import HOST, LATENCY_MS, PERCENTAGE, URL, format_number
from chaos_steps.scope import Scope

if TYPE_CHECKING:
    from chaos_steps.ledger.documents import Claim

KIND = "waf"
DRIVERS: dict[str, Callable[[str, str, Secret | None], Driver]] = {"rest": RestDriver, "caddy": CaddyDriver}

URL_VARIABLE = "WAF_ADMIN_API_URL"
TOKEN_VARIABLE = "WAF_ADMIN_API_TOKEN"  # noqa: S105 - a variable's name


class WafTarget:
    """One host behind one WAF.

    A change is {rule, percentage}: the rule as the driver writes it, and the share for limits.
    """

    kind = KIND

    def __init__(self, driver: str, url: str, host: str, secret: Secret | None) -> None:
        self.identity = f"{url} {host}"
        self._address = {"driver": driver, "url": url, "host": host}
        self._driver = DRIVERS[driver](url, host, secret)

    def address(self) -> dict[str, Any]:
        """Driver, admin URL and host."""
        return dict(self._address)

    def change(self, wanted: Wanted) -> dict[str, Any]:
        """What `write` takes. Raises UsageError for what the driver cannot represent."""
        return {"rule": self._driver.change(wanted), "percentage": wanted.percentage}

    def read(self) -> State:
        """Our rule, or None."""
        return self._driver.read()

    def write(self, change: Any) -> None:
        """Add the rule."""
        self._driver.write(change["rule"])

    def restore(self, _before: State, _change: Any) -> None:
        """Remove the rule: none with its id was there before, or the claim would have been refused."""
        self._driver.remove()

    def holds(self, state: State, change: Any) -> bool:
        """Whether the rule is there."""
        return self._driver.holds(state, change["rule"])

    def marked_by(self, state: State) -> str | None:
        """The run that the rule names."""
        return self._driver.marked_by(state)

    def scope(self, change: Any) -> Scope:
        """Host and share."""
        return Scope(percentage=change["percentage"], host=self._address["host"])


def target_of_claim(claim: Claim) -> WafTarget:
    """The target of a claim, with credentials only if the operator gave some for its very address."""
    driver, url, host = (str(claim.target.get(key)) for key in ("driver", "url", "host"))
    if driver not in DRIVERS:
        raise UsageError(f"{claim} is for driver {driver!r}, which this program does not know")
    return WafTarget(driver, url, host, _secret(url, given=None))


@injector("waf-inject", kind=KIND, fault_types=("L7_HTTP_ERROR", "L7_HTTP_DELAY"))
@option(
    "--driver", type=click.Choice(list(DRIVERS)), default="rest", show_default=True, help="Which product's admin API."
)
@option("--waf-url", type=URL, env=URL_VARIABLE, help="Address of the admin API.")
@option("--target-host", type=HOST, experiment="fault.targetHost", help="Host whose requests are faulted.")
@option("--path", experiment="fault.path", help="Path to fault, with * as wildcard; every path by default.")
@option(
    "--status-code",
    type=click.IntRange(200, 599),
    experiment="fault.errorCode",
    help="HTTP status that faulted requests are answered with.",
)
@option("--delay-ms", type=LATENCY_MS, experiment="fault.delayMs", help="Delay of faulted requests.")
@option("--percentage", type=PERCENTAGE, experiment="fault.percentage", help="Share of requests.")
def waf_inject(
    ctx: Context,
    *,
    driver: str,
    waf_url: str | None,
    target_host: str | None,
    path: str | None,
    status_code: int | None,
    delay_ms: float | None,
    percentage: float | None,
) -> Aim:
    """Fault a share of one host's requests by a rule in a WAF or gateway.

    Driver `rest` is a WAF with POST /rules, GET and DELETE /rules/{id} and the token in X-Auth-Token; it denies with a
    status or delays. Driver `caddy` is Caddy's admin API; it answers with a status. The admin token is
    WAF_ADMIN_API_TOKEN, sent to WAF_ADMIN_API_URL only, or an entry of credentials.yaml.
    """
    url = needed("--waf-url", waf_url)
    host = needed("--target-host", target_host).lower()
    target = WafTarget(driver, url, host, _secret(url, given=url))

    def fault() -> Fault:
        if (status_code is None) == (delay_ms is None):
            raise UsageError("a WAF rule has either a status or a delay", hint="give --status-code or --delay-ms")
        wanted = Wanted(ctx.run, host, path, status_code, delay_ms, needed("--percentage", percentage))
        experiment = ctx.experiment()
        return Fault(
            target=target,
            change=target.change(wanted),
            effect=_effect(wanted, marked=driver == "caddy"),
            summary=_summary(wanted),
            probe_url=experiment.fault.probe_url if experiment else None,
        )

    return Aim(target, fault)


def _summary(wanted: Wanted) -> str:
    what = f"status {wanted.status}" if wanted.delay_ms is None else f"{format_number(wanted.delay_ms)} ms delay"
    return f"{what} for {format_number(wanted.percentage)} % of the requests for {wanted.host}{wanted.path or ''}"


def _effect(wanted: Wanted, *, marked: bool) -> Effect:
    """An error is seen by its status and, where the driver sets it, our header; a delay only by its duration."""

    def seen(status: int, headers: Mapping[str, str]) -> bool:
        return status == wanted.status and (not marked or headers.get(MARKER_HEADER) == rule_id(wanted.host))

    return Effect(
        share=wanted.percentage / 100,
        seen=None if wanted.status is None else seen,
        marked=marked,
        status=wanted.status,
        delay_ms=wanted.delay_ms or 0.0,
        host=wanted.host,
        path=wanted.path,
    )


def _secret(url: str, given: str | None) -> Secret | None:
    credentials = Credentials.load()
    credentials.bind_variables(URL_VARIABLE, TOKEN_VARIABLE, given)
    return credentials.for_url(url)
