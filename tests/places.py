"""Gateways that take many faults at once, each for a host of its own, and the jobs that put faults there."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.protocol import Ledger
from tests.effects import Act, Job
from tests.ledger.back_ends import client_of, kube_ledger
from tests.servers.caddy import Caddy
from tests.servers.call import call
from tests.servers.kubernetes import ADMIN, Kubernetes
from tests.servers.nginx_waf import NginxWaf


class Place(ABC):
    """A gateway. A name stands for a host, a ledger and a run of its own."""

    driver: str
    parallel: int
    """How many faults may be put in at once."""

    def __init__(self, admin_url: str, token: str, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "WAF_ADMIN_API_URL": admin_url,
            "WAF_ADMIN_API_TOKEN": token,
        }

    @abstractmethod
    def prepare(self, names: Sequence[str]) -> None:
        """Know the hosts of these names."""

    @abstractmethod
    def state(self) -> bytes:
        """All that a fault could change, byte for byte."""

    @abstractmethod
    def has_fault(self, name: str) -> bool:
        """Whether the host of a name has a fault."""

    def ledger(self, name: str) -> Ledger:
        """The ledger of a name."""
        return FileLedger(self.folder / f"ledger-{name}")

    def inject(
        self,
        name: str,
        action: str,
        *more: str,
        effect: int = 0,
        act: Act = "kill",
        patches: Mapping[str, float | str] | None = None,
    ) -> Job:
        """A job of waf-inject for the host of a name."""
        arguments = (
            *("waf-inject", "--driver", self.driver, "--action", action, "--target-host", f"{name}.test"),
            *("--status-code", "503", "--percentage", "50", *more),
        )
        return self.job(name, *arguments, effect=effect, act=act, patches=patches)

    def revert(
        self,
        name: str,
        *more: str,
        effect: int = 0,
        act: Act = "kill",
        patches: Mapping[str, float | str] | None = None,
    ) -> Job:
        """A job of fault-revert for the run of a name."""
        return self.job(name, "fault-revert", *more, effect=effect, act=act, patches=patches)

    def job(
        self,
        name: str,
        *arguments: str,
        effect: int = 0,
        act: Act = "kill",
        patches: Mapping[str, float | str] | None = None,
    ) -> Job:
        """A job with the run and the ledger of a name."""
        ledger, run = self.ledger(name).describe(), f"run-{name}"
        full = (arguments[0], "--ledger", ledger, "--run", run, *arguments[1:])
        return Job(full, self.environment, ledger, effect, act, run, patches or {})


class RestPlace(Place):
    """The programmable WAF."""

    driver = "rest"
    parallel = 6

    def __init__(self, waf: NginxWaf, folder: Path) -> None:
        super().__init__(waf.admin_url, waf.token, folder)
        self._waf = waf

    def prepare(self, names: Sequence[str]) -> None:
        """Nothing to do: a rule may name any host."""

    def state(self) -> bytes:
        """All rules."""
        return json.dumps(self._waf.rules(), sort_keys=True).encode()

    def has_fault(self, name: str) -> bool:
        """Whether there is a rule for the host."""
        return any(rule["match"]["host"] == f"{name}.test" for rule in self._waf.rules().values())


class KubePlace(RestPlace):
    """The programmable WAF, with the ledger of each name in a namespace of a real API server, as in a pod."""

    def __init__(self, waf: NginxWaf, kubernetes: Kubernetes, folder: Path) -> None:
        super().__init__(waf, folder)
        self.kubernetes = kubernetes
        self._namespaces: dict[str, str] = {}
        self._account = folder / "account"
        self._account.mkdir()
        self.use_token(ADMIN)
        (self._account / "ca.crt").write_bytes(kubernetes.ca_file.read_bytes())
        host, port = "127.0.0.1", str(kubernetes.ports[0])
        self.environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    def use_token(self, token: str) -> None:
        """From now on commands have another service account; by default one that may do everything."""
        (self._account / "token").write_text(token)

    def ledger(self, name: str) -> Ledger:
        """In a namespace of its own."""
        if name not in self._namespaces:
            self._namespaces[name] = self.kubernetes.new_namespace()
        return kube_ledger(self._namespaces[name], client_of(self.kubernetes))

    def job(
        self,
        name: str,
        *arguments: str,
        effect: int = 0,
        act: Act = "kill",
        patches: Mapping[str, float | str] | None = None,
    ) -> Job:
        """A job with the run and the ledger of a name."""
        account = {"chaos_steps.kube._ACCOUNT": str(self._account)}
        return super().job(name, *arguments, effect=effect, act=act, patches={**account, **(patches or {})})


class CaddyPlace(Place):
    """Caddy with a server for each host: it guards changes by the state of the server's routes."""

    driver = "caddy"
    parallel = 1  # At each change Caddy opens its admin API anew, and resets connections that come just then.

    def __init__(self, caddy: Caddy, folder: Path) -> None:
        super().__init__(caddy.admin_url, "caddy-test-token", folder)
        self._caddy = caddy

    def prepare(self, names: Sequence[str]) -> None:
        """Load a configuration with a server for each."""
        config = self._caddy.initial_config
        config["apps"]["http"]["servers"] |= {name: self._server(name) for name in names}
        answer = call("POST", f"{self._caddy.admin_url}/load", body=config)
        assert answer.status == 200, answer

    def state(self) -> bytes:
        """The whole configuration."""
        return self._caddy.config()

    def has_fault(self, name: str) -> bool:
        """Whether the host's server has more than its own route."""
        servers = json.loads(self.state())["apps"]["http"]["servers"]
        return bool(servers[name]["routes"] != self._server(name)["routes"])

    def _server(self, name: str) -> dict[str, Any]:
        route = {"match": [{"host": [f"{name}.test"]}], "handle": [{"handler": "static_response", "status_code": 200}]}
        socket = f"unix/{self._caddy.folder}/{name}.sock"
        return {"listen": [socket], "automatic_https": {"disable": True}, "routes": [route]}
