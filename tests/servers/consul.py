"""A real Consul with ACLs on: everything is denied without a token."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from pathlib import Path
from urllib.parse import quote

from tests.servers.built import built
from tests.servers.call import Answer, call
from tests.servers.program import Server


class Consul(Server):
    """One agent in development mode, over HTTP (`url`) and HTTPS (`https_url`, signed by `ca_file`)."""

    port_count = 4
    token = "11111111-1111-1111-1111-111111111111"

    @property
    def url(self) -> str:
        """Base URL over plain HTTP."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def https_url(self) -> str:
        """Base URL over TLS; the certificate is for 127.0.0.1 and localhost."""
        return f"https://127.0.0.1:{self.ports[3]}"

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the server's certificate."""
        return self.folder / "consul-agent-ca.pem"

    def arguments(self) -> list[str]:
        """`consul agent -dev` with everything off that the tests do not use."""
        binary = built("consul")
        self._make_certificates(binary)
        http, serf, rpc, https = self.ports
        cert, key, ca = (json.dumps(str(self.folder / name)) for name in ("server.pem", "server-key.pem", self.ca_file))
        tokens = f'tokens {{ initial_management = "{self.token}" }}'
        settings = [
            f'acl {{ enabled = true  default_policy = "deny"  {tokens} }}',
            f"tls {{ defaults {{ cert_file = {cert}  key_file = {key}  ca_file = {ca} }} }}",
            "disable_update_check = true",
            "ui_config { enabled = false }",
        ]
        ports = {"http": http, "https": https, "serf-lan": serf, "server": rpc}
        ports |= dict.fromkeys(("serf-wan", "dns", "grpc", "grpc-tls"), -1)
        return [
            *(str(binary), "agent", "-dev", "-client", "127.0.0.1", "-bind", "127.0.0.1", "-log-level", "warn"),
            *(text for name, port in ports.items() for text in (f"-{name}-port", str(port))),
            *(text for setting in settings for text in ("-hcl", setting)),
        ]

    def _make_certificates(self, binary: Path) -> None:
        for arguments in (("ca", "create"), ("cert", "create", "-server", "-additional-ipaddress=127.0.0.1")):
            subprocess.run([binary, "tls", *arguments], cwd=self.folder, check=True, capture_output=True)
        (self.folder / "dc1-server-consul-0.pem").rename(self.folder / "server.pem")
        (self.folder / "dc1-server-consul-0-key.pem").rename(self.folder / "server-key.pem")

    def is_ready(self) -> bool:
        """A write is answered `true` once there is a leader."""
        return self._call("PUT", "/v1/kv/ready", b"yes").body.strip() == b"true"

    def put(self, key: str, value: bytes | str | dict[str, object]) -> None:
        """Write a key; a dict is written as JSON."""
        content = json.dumps(value) if isinstance(value, dict) else value
        self._done("PUT", f"/v1/kv/{quote(key)}", content.encode() if isinstance(content, str) else content)

    def modify_index(self, key: str) -> int:
        """The key's ModifyIndex."""
        return int(json.loads(self._done("GET", f"/v1/kv/{quote(key)}").body)[0]["ModifyIndex"])

    def get(self, key: str) -> bytes:
        """The value of a key."""
        return base64.b64decode(json.loads(self._done("GET", f"/v1/kv/{quote(key)}").body)[0]["Value"])

    def delete(self, prefix: str = "") -> None:
        """Remove all keys below a prefix: by default all."""
        self._done("DELETE", f"/v1/kv/{quote(prefix)}?recurse=true")

    def token_for(self, prefix: str) -> str:
        """A new token that may read the keys below `prefix` and do nothing else."""
        name = f"read-{uuid.uuid4().hex}"
        rules = f'key_prefix "{prefix}" {{ policy = "read" }}'
        self._done("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
        token = json.loads(self._done("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]}).body)
        return str(token["SecretID"])

    def _done(self, method: str, path: str, body: object = None) -> Answer:
        answer = self._call(method, path, body)
        assert answer.status == 200, answer
        return answer

    def _call(self, method: str, path: str, body: object = None) -> Answer:
        return call(method, self.url + path, body=body, headers={"X-Consul-Token": self.token})
