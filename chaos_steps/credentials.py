"""Which secret may go to which address.

A secret is bound to the address that the operator gave it with: by an option or a well-known variable
(`Credentials.bind`), or in `credentials.yaml`, a list of `{url, token | header+value | username+password, caFile,
certFile, keyFile}`. The longest prefix wins, by whole path segments. No error and no repr here holds a secret.
"""

from __future__ import annotations

import base64
import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from chaos_steps.errors import UsageError
from chaos_steps.params import normalize_url

if TYPE_CHECKING:
    import yaml

FILE_NAME = "credentials.yaml"
VARIABLE = "CHAOS_CREDENTIALS"
_FIELDS = ("url", "token", "header", "value", "username", "password", "caFile", "certFile", "keyFile")


def variable(name: str) -> str:
    """A well-known variable that belongs to an address, as its token or its TLS files do; empty when it is unset."""
    return os.environ.get(name, "")


@dataclass(frozen=True, repr=False)
class Secret:
    """What may be sent to `url` and below it: a token, a header and its value, or user name and password; TLS files.

    Raises UsageError where the fields do not go together or an HTTP header could not carry them.
    """

    url: str
    token: str = ""
    header: str = ""
    value: str = ""
    username: str = ""
    password: str = ""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if not _address(self.url):
            raise UsageError(
                "url of a secret is not an http, https or unix address",
                hint="write it without user, query and fragment, like https://waf.example:8443/api",
            )
        kinds = (bool(self.token), bool(self.header or self.value), bool(self.username or self.password))
        if sum(kinds) > 1:
            raise UsageError(f"{self} mixes token, header and username", hint="give one of them")
        if bool(self.header) != bool(self.value):
            raise UsageError(f"{self} has only one of header and value", hint="give both")
        if self.password and not self.username:
            raise UsageError(f"{self} has a password and no username", hint="give both")
        if self.key_file and not self.cert_file:
            raise UsageError(f"{self} has a keyFile and no certFile", hint="give both, or a certFile holding both")
        for name in ("token", "header", "value"):
            if not _fits_header(getattr(self, name)):
                raise UsageError(f"{name} of {self} holds characters that no HTTP header can carry")

    def __repr__(self) -> str:
        return f"the secret for {self.url}"

    def covers(self, url: str) -> bool:
        """Whether `url` is the secret's address or lies below it."""
        return _below(_address(self.url), _address(url))

    def headers(self, token_header: str) -> dict[str, str]:
        """The request headers that carry the secret; a token goes into `token_header`, as Bearer into Authorization."""
        if self.token:
            scheme = "Bearer " if token_header.lower() == "authorization" else ""
            return {token_header: scheme + self.token}
        if self.header:
            return {self.header: self.value}
        if self.username:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode())
            return {"Authorization": f"Basic {pair.decode()}"}
        return {}


@dataclass
class Credentials:
    """All secrets of this process, each with its address."""

    _secrets: list[Secret] = field(default_factory=list, repr=False)

    @classmethod
    def load(cls) -> Credentials:
        """The secrets of CHAOS_CREDENTIALS, a file or a folder that holds credentials.yaml; none when it is empty.

        Raises UsageError for a file that cannot be read or is malformed, naming line and field.
        """
        place = variable(VARIABLE)
        if not place:
            return cls()
        path = Path(place)
        if path.is_dir():
            path /= FILE_NAME
        return cls(_read(path))

    def bind(
        self,
        url: str,
        token: str = "",
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> None:
        """Add what the operator gave together with `url`; it comes before an entry of the file for the same address."""
        if token or ca_file or cert_file:
            secret = Secret(url, token=token, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
            self._secrets.insert(0, secret)

    def bind_variables(self, url_variable: str, token_variable: str, given: str | None = None) -> None:
        """Bind the token of a variable to the address that the operator gave with it.

        That is the address in its own variable; only when there is none, the `given` one, from an option.
        """
        address = variable(url_variable) or given
        token = variable(token_variable)
        if address and token:
            self.bind(address, token)

    def for_url(self, url: str) -> Secret | None:
        """The secret of the longest address that is a prefix of `url`; None without one and for what is no address."""
        fitting = [secret for secret in self._secrets if secret.covers(url)]
        return max(fitting, key=lambda secret: len(_address(secret.url)), default=None)


def _address(url: str) -> tuple[str, ...]:
    """Scheme, host and port, then each path segment; empty for what is no address or could climb out of its prefix."""
    if url.startswith("unix:///"):
        origin, path = "unix://", url.removeprefix("unix://")
    else:
        try:
            parts = urlsplit(url)
            plain = urlsplit(normalize_url(parts._replace(query="", fragment="").geturl()))
        except ValueError:
            return ()
        origin, path = f"{plain.scheme}://{plain.netloc}", plain.path
    segments = path.strip("/").split("/") if path.strip("/") else []
    if any(unquote(segment) in (".", "..") or "\\" in unquote(segment) for segment in segments):
        return ()
    return (origin, *segments)


def _below(prefix: tuple[str, ...], address: tuple[str, ...]) -> bool:
    return bool(prefix) and address[: len(prefix)] == prefix


def _fits_header(text: str) -> bool:
    """Printable ASCII without blanks at its ends: anything else ends in a library's error, which would quote it."""
    return text.isascii() and (not text or text.isprintable()) and text == text.strip()


def _read(path: Path) -> list[Secret]:
    import yaml  # noqa: PLC0415 - only when there is a file

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(
            f"cannot read credentials {path}: {reason}", hint=f"{VARIABLE} names the file or its folder"
        ) from None
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        # The library's message may quote the text around the mistake, and that may be a secret.
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{line} is not valid YAML") from None
    except yaml.YAMLError:
        raise UsageError(f"{path} is not valid YAML") from None
    if root is None:
        return []
    if not isinstance(root, yaml.SequenceNode):
        raise UsageError(f"{path} is not a list", hint="write a list of entries, each with url and token")
    secrets = [_entry(path, node) for node in root.value]
    _refuse_twins(path, secrets)
    return secrets


def _entry(path: Path, node: yaml.Node) -> Secret:
    where = f"{path} line {node.start_mark.line + 1}"
    fields = dict(_pairs(path, node))
    if "url" not in fields:
        raise UsageError(f"{where}: url is missing")
    # Files are looked for beside credentials.yaml: all keys of one mounted Secret.
    ca_file, cert_file, key_file = (
        path.parent / fields[key] if fields.get(key) else None for key in ("caFile", "certFile", "keyFile")
    )
    texts = {key: fields.get(key, "") for key in ("url", "token", "header", "value", "username", "password")}
    try:
        return Secret(ca_file=ca_file, cert_file=cert_file, key_file=key_file, **texts)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", hint=error.hint) from None


def _pairs(path: Path, node: yaml.Node) -> Iterator[tuple[str, str]]:
    """Field and text as written: a token 0123 stays 0123."""
    import yaml  # noqa: PLC0415

    if not isinstance(node, yaml.MappingNode):
        raise UsageError(f"{path} line {node.start_mark.line + 1}: an entry is not a mapping with url and token")
    seen: set[str] = set()
    for key, value in node.value:
        where = f"{path} line {key.start_mark.line + 1}"
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in _FIELDS:
            # What is not a field's name may be a secret in the wrong place: only a near miss is spelled out.
            near = difflib.get_close_matches(name, _FIELDS, 1)
            raise UsageError(
                f"{where}: unknown field", hint=f"did you mean {near[0]}?" if near else f"known: {', '.join(_FIELDS)}"
            )
        if name in seen:
            raise UsageError(f"{where}: {name} is given twice")
        seen.add(name)
        if not isinstance(value, yaml.ScalarNode):
            raise UsageError(f"{where}: {name} is not text")
        yield name, value.value


def _refuse_twins(path: Path, secrets: list[Secret]) -> None:
    seen: set[tuple[str, ...]] = set()
    for secret in secrets:
        address = _address(secret.url)
        if address in seen:
            raise UsageError(f"{path}: two entries for {secret.url}", hint="keep one")
        seen.add(address)
