"""The back ends of the ledger, each with a way to spoil its documents."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos_steps.credentials import Secret
from chaos_steps.http import Http
from chaos_steps.kube import Objects
from chaos_steps.ledger.documents import Claim
from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.kube import PATIENCE, ROLES, KubeLedger
from chaos_steps.ledger.protocol import Ledger
from tests.servers.kubernetes import ADMIN, Kubernetes


class BackEnd(ABC):
    """A ledger, and what tests do to it behind its back."""

    ledger: Ledger

    @abstractmethod
    def overwrite(self, claim: Claim, content: str) -> None:
        """Put something else in the place of a claim's document."""

    @abstractmethod
    def overwrite_mark(self, run: str, content: str) -> None:
        """Put something else in the place of the only mark of a run."""

    @abstractmethod
    def misplace(self, claim: Claim) -> None:
        """Have the claim stand where another target's claim belongs."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """Everything that is there."""


class FileBackEnd(BackEnd):
    """In a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ledger = FileLedger(folder)

    def overwrite(self, claim: Claim, content: str) -> None:
        (self._folder / "claims" / claim.key / claim.id / "claim.json").write_text(content)

    def overwrite_mark(self, run: str, content: str) -> None:
        (self._folder / "runs" / run / "0001.json").write_text(content)

    def misplace(self, claim: Claim) -> None:
        folder = self._folder / "claims" / claim.key
        folder.rename(folder.with_name("0" * 32))

    def leftovers(self) -> list[str]:
        return [str(path) for path in self._folder.rglob("*") if path.is_file()]


class KubeBackEnd(BackEnd):
    """In a namespace of a real API server."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self.kubernetes = kubernetes
        self.namespace = kubernetes.new_namespace()
        self.path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        self.ledger = kube_ledger(self.namespace, client_of(kubernetes))

    def config_maps(self) -> list[dict[str, Any]]:
        """All ConfigMaps of the namespace."""
        found: list[dict[str, Any]] = self.kubernetes.done("GET", self.path)["items"]
        return found

    def edit(self, name: str, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change a ConfigMap as people do."""
        there = self.kubernetes.done("GET", f"{self.path}/{name}")
        edit(there)
        self.kubernetes.done("PUT", f"{self.path}/{name}", there)

    def overwrite(self, claim: Claim, content: str) -> None:
        self.edit(f"chaos-claim-{claim.key}", lambda there: there.update(data={"claim": content}))

    def overwrite_mark(self, run: str, content: str) -> None:
        (record,) = (each for each in self.config_maps() if each["metadata"]["labels"].get("run") == run)
        self.edit(record["metadata"]["name"], lambda there: there.update(data=dict.fromkeys(there["data"], content)))

    def misplace(self, claim: Claim) -> None:
        there = self.kubernetes.done("GET", f"{self.path}/chaos-claim-{claim.key}")
        metadata = {"name": f"chaos-claim-{'0' * 32}", "labels": there["metadata"]["labels"]}
        self.kubernetes.done("POST", self.path, {"metadata": metadata, "data": there["data"]})
        self.kubernetes.done("DELETE", f"{self.path}/chaos-claim-{claim.key}")

    def leftovers(self) -> list[str]:
        return [json.dumps(each) for each in self.config_maps()]


def client_of(kubernetes: Kubernetes, token: str = ADMIN) -> Callable[[], Http]:
    """What makes clients of the API server."""
    return lambda: Http(kubernetes.url, secret=Secret(kubernetes.url, token=token, ca_file=kubernetes.ca_file))


def kube_ledger(namespace: str, connect: Callable[[], Http]) -> KubeLedger:
    """The ledger in a namespace."""
    return KubeLedger(namespace, Objects(connect, "configmaps", namespace, ROLES), PATIENCE)
