"""Where Consul is and what may be sent there: the CONSUL_* variables, understood as Consul's own client does.

Read in hashicorp/consul api/api.go (NewClient, defaultConfig), version 1.34.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from chaos_steps.credentials import Credentials, Secret, variable
from chaos_steps.errors import UsageError
from chaos_steps.params import normalize_url

log = logging.getLogger(__name__)

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True)
class Agent:
    """A Consul agent: base URL (http, https or unix), the secret for it, and whether its certificate is verified."""

    url: str
    secret: Secret
    verify_tls: bool


def agent_at(text: str, token_file: Path | None) -> Agent:
    """The agent at an address in any of Consul's forms. Raises UsageError for what is no address, file or switch."""
    url = base_url(text)
    given = variable("CONSUL_HTTP_ADDR")
    # A token of the environment was given with the environment's address, if there is one, and goes nowhere else.
    own = not given or base_url(given) == url
    credentials = Credentials.load()
    if token_file:
        credentials.bind(url, _token_in(token_file))
    elif own:
        credentials.bind(url, _environment_token())
    elif _environment_token():
        log.warning("the token in the environment belongs to CONSUL_HTTP_ADDR and is not sent to %s", url)
    secret = credentials.for_url(url) or Secret(url)
    verify = _switch("CONSUL_HTTP_SSL_VERIFY", default=True)
    if not verify:
        log.warning("CONSUL_HTTP_SSL_VERIFY is off: the certificate of %s is not checked", url)
    return Agent(url, _with_tls_files(secret, own=own), verify)


def base_url(text: str) -> str:
    """host, host:port, http://, https:// with an optional path, or unix:///path; normalised.

    Without a port it is 80 or 443, as for Consul. CONSUL_HTTP_SSL turns http into https. Raises UsageError.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "http", scheme
    if scheme == "unix":
        if not rest.startswith("/"):
            raise UsageError(f"{text!r} names no socket", hint="write unix:///path/of/socket")
        return f"unix://{rest}"
    if scheme not in ("http", "https"):
        raise UsageError(f"unknown scheme {scheme!r} of Consul's address", hint="use http, https or unix")
    if _switch("CONSUL_HTTP_SSL", default=False):
        scheme = "https"
    try:
        return normalize_url(f"{scheme}://{rest}")
    except ValueError as error:
        raise UsageError(f"Consul's address: {error}", hint="write host:port or http://host:port") from None


def _environment_token() -> str:
    file = variable("CONSUL_HTTP_TOKEN_FILE")
    return _token_in(Path(file)) if file else variable("CONSUL_HTTP_TOKEN")


def _token_in(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise UsageError(f"cannot read the token file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the token file {path} holds more than a token") from None
    if not token:
        raise UsageError(f"the token file {path} is empty")
    return token


def _with_tls_files(secret: Secret, *, own: bool) -> Secret:
    """The authority's certificate may serve any address, a client certificate only its own."""
    names = {"ca_file": "CONSUL_CACERT"}
    if own:
        names |= {"cert_file": "CONSUL_CLIENT_CERT", "key_file": "CONSUL_CLIENT_KEY"}
    files = {field: Path(variable(name)) for field, name in names.items() if variable(name)}
    return replace(secret, **files)  # type: ignore[arg-type]


def _switch(name: str, *, default: bool) -> bool:
    text = variable(name)
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text:
        raise UsageError(f"{name} is {text!r}", hint="set it to true or false")
    return default
