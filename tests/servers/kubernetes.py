"""A real API server of Kubernetes with etcd and RBAC; no nodes and no controllers, so nothing happens by itself."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers.built import built
from tests.servers.call import Answer, call
from tests.servers.program import Server, find_program
from tests.waiting import wait_until

ADMIN = "admin-token"
_numbers = itertools.count()


class _Etcd(Server):
    port_count = 2

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def arguments(self) -> list[str]:
        peers = f"http://127.0.0.1:{self.ports[1]}"
        options = {
            "data-dir": "data",
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "log-level": "warn",
        }
        return [str(built("kubernetes")), "etcd", "--unsafe-no-fsync", *(f"--{key}={options[key]}" for key in options)]

    def is_ready(self) -> bool:
        return call("GET", f"{self.url}/health").status == 200


class Kubernetes(Server):
    """The API server; whoever has the token ADMIN may do everything."""

    def __init__(self) -> None:
        super().__init__()
        self._etcd = _Etcd()

    @property
    def url(self) -> str:
        """Base URL; `ca_file` has signed its certificate."""
        return f"https://127.0.0.1:{self.ports[0]}"

    @property
    def ca_file(self) -> Path:
        """The server's own certificate with that of its authority."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def tls(self) -> ssl.SSLContext:
        """What a client needs to trust it."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def arguments(self) -> list[str]:
        """Only what it does not start without, and RBAC."""
        (self.folder / "tokens.csv").write_text(f'{ADMIN},admin,admin,"system:masters"\n')
        key = self.folder / "accounts.key"
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
        self._make_certificate("clients", "/CN=clients")
        self._make_certificate("admin", "/O=system:masters/CN=admin", "-CA", "clients.crt", "-CAkey", "clients.key")
        options = {
            "etcd-servers": self._etcd.url,
            "bind-address": "127.0.0.1",
            "secure-port": self.ports[0],
            "cert-dir": "certificates",
            "authorization-mode": "RBAC",
            "token-auth-file": "tokens.csv",
            "client-ca-file": "clients.crt",
            "service-account-issuer": "https://kubernetes.test",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-cluster-ip-range": "10.0.0.0/24",
        }
        return [str(built("kubernetes")), "kube-apiserver", *(f"--{name}={value}" for name, value in options.items())]

    def _make_certificate(self, name: str, subject: str, *more: str) -> None:
        algorithm = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        self._openssl(
            "req", "-x509", *algorithm, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.crt", *more
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run([find_program("openssl"), *arguments], cwd=self.folder, check=True, capture_output=True)

    def start(self) -> None:
        """Start etcd, then the API server."""
        self._etcd.start()
        super().start()

    def stop(self) -> None:
        """Stop both."""
        super().stop()
        self._etcd.stop()

    def is_ready(self) -> bool:
        """Whether everything that it needs is there."""
        return self.call("GET", "/readyz").status == 200

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Within the block it takes connections and answers nothing; what was asked is done after it."""
        self.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send_signal(signal.SIGCONT)

    def call(self, method: str, path: str, body: object = None, token: str = ADMIN) -> Answer:
        """One request."""
        return call(method, self.url + path, body=body, headers={"Authorization": f"Bearer {token}"}, tls=self.tls)

    def done(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """What the API server answers to a request that succeeds."""
        answer = self.call(method, path, body)
        assert answer.status < 300, answer
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def new_namespace(self) -> str:
        """A namespace with nothing in it."""
        name = f"test-{next(_numbers)}"
        self.done("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def account_token(self, namespace: str, rules: Sequence[dict[str, Any]]) -> str:
        """The token of a new service account that a Role of these rules is bound to."""
        name = f"account-{next(_numbers)}"
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        metadata = {"name": name}
        self.done("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": metadata})
        self.done("POST", f"{rbac}/roles", {"metadata": metadata, "rules": list(rules)})
        self.done("POST", f"{rbac}/rolebindings", {"metadata": metadata, "subjects": [subject], "roleRef": role})
        tokens = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.done("POST", tokens, {"spec": {"audiences": []}})
        token = str(answer["status"]["token"])
        wait_until(lambda: self._may(token, namespace, rules[0]), f"the Role of {name} to hold")
        return token

    @property
    def admin_certificate(self) -> dict[str, str]:
        """A user of a kubeconfig: may do everything, by certificate and key in the file itself."""
        read = {"client-certificate-data": "admin.crt", "client-key-data": "admin.key"}
        return {field: base64.b64encode((self.folder / name).read_bytes()).decode() for field, name in read.items()}

    def kubeconfig(self, path: Path, user: Mapping[str, Any] | None = None, *, url: str = "") -> Path:
        """Write a file for KUBECONFIG: this API server, or a proxy in front of it at `url`; by default for ADMIN."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "c", "cluster": {"server": url or self.url, "certificate-authority": str(self.ca_file)}}
            ],
            "users": [{"name": "u", "user": {"token": ADMIN} if user is None else user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(content))
        return path

    def _may(self, token: str, namespace: str, rule: dict[str, Any]) -> bool:
        """Whether the authorizer has seen a rule."""
        asked = {"namespace": namespace, "verb": rule["verbs"][0], "resource": rule["resources"][0]}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self.call("POST", path, {"spec": {"resourceAttributes": asked}}, token)
        return bool(json.loads(answer.body)["status"]["allowed"])
