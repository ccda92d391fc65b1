"""consul-fetch: the experiment that a Consul key holds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from chaos_steps.command import Context, command, option
from chaos_steps.configure import RESULTS, hand_on
from chaos_steps.errors import UsageError

log = logging.getLogger(__name__)


@command("consul-fetch", results=RESULTS, exits=(0, 2, 3), family="consul", workspace="write", credentials=True)
@option("--key", help="Key that holds the experiment, such as chaos/experiments/user-service.")
@option("--experiment", help="The experiment itself, in JSON or YAML, in place of a key; Consul is not asked then.")
@option(
    "--consul-url",
    env="CONSUL_HTTP_ADDR",
    default="http://127.0.0.1:8500",
    show_default=True,
    help="Address of a Consul agent, in every form that Consul itself takes: host:port, http://, https://, "
    "with a path in front of the API, or unix:///path/of/socket.",
)
@option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the ACL token. Without it CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_TOKEN or credentials.yaml.",
)
@option("--datacenter", help="Datacenter to ask; by default the agent's own.")
@option("--namespace", env="CONSUL_NAMESPACE", help="Namespace of the key (Consul Enterprise).")
@option("--consistent", is_flag=True, help="Have the leader confirm that it still leads before it answers.")
def consul_fetch(
    ctx: Context,
    *,
    key: str | None,
    experiment: str | None,
    consul_url: str,
    token_file: Path | None,
    datacenter: str | None,
    namespace: str | None,
    consistent: bool,
) -> None:
    """Read an experiment from Consul, check it and write it to the workspace.

    The value is checked whole before anything is written: an unknown field, a wrong type or a value out of its range
    is exit code 2, with the path of the mistake. A key that is not there is 2 as well; a refusal by Consul is 3, in
    Consul's own words.

    CONSUL_CACERT, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY, CONSUL_HTTP_SSL and CONSUL_HTTP_SSL_VERIFY are read as Consul
    reads them. A token in the environment goes only to the address of CONSUL_HTTP_ADDR, where that is set.

    A Pipeline has one fetch task for both of its ways to name an experiment, as no task may use the results of one that
    was skipped: hence --experiment.
    """
    if (key is None) == (experiment is None):
        raise UsageError("there must be a key or an experiment, and not both", hint="give --key or --experiment")
    if experiment is not None:
        _take(ctx, experiment.encode(), "--experiment")
        return
    from chaos_steps.configure.consul_fetch import address, client  # noqa: PLC0415 - imports requests and py-consul

    name = (key or "").removeprefix("/")  # As `consul kv get` does.
    agent = address.agent_at(consul_url, token_file)
    entry = client.read(agent, name, datacenter=datacenter, namespace=namespace, consistent=consistent)
    if entry is None:
        raise UsageError(
            f"Consul at {agent.url} has no key {name!r}", hint="check --key, and --datacenter if it is given"
        )
    log.info("read key %s of Consul at %s, ModifyIndex %d", name, agent.url, entry.modify_index)
    _take(
        ctx,
        entry.value,
        f"Consul key {name!r}",
        url=agent.url,
        key=name,
        modify_index=entry.modify_index,
        datacenter=datacenter,
        namespace=namespace,
    )


def _take(ctx: Context, raw: bytes, where: str, **origin: Any) -> None:
    """Check an experiment's text and hand it on; `origin` is what its Source says besides the digest."""
    import hashlib  # noqa: PLC0415

    from chaos_steps.experiment import Source, parse  # noqa: PLC0415

    source = Source(sha256=hashlib.sha256(raw).hexdigest(), **origin)
    hand_on(ctx, parse(raw, where=where), source)
