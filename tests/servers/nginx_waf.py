"""A programmable WAF: nginx with Lua, whose rules change by REST.

Rule: {id, match {host, path}, action {type deny|add_delay, statusCode, delayMs}, samplingRate}. On the admin port, with
the token in X-Auth-Token (else 401): POST /rules 201, 409 for an id that is taken, 400 for what is no rule;
GET /rules/ID 200, 404; DELETE /rules/ID 204, 404. A faulted answer has the header X-Chaos-Rule with the rule's id.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.servers.call import Answer, call
from tests.servers.program import Gateway, find_program

TEMPLATE = Path(__file__).with_name("nginx_waf.conf")


class NginxWaf(Gateway):
    """The data port is at `url`, in front of one upstream; the rules are at `admin_url` + /rules."""

    token = "waf-test-token"

    def arguments(self) -> list[str]:
        """`nginx` in the foreground with all its paths in its folder."""
        (self.folder / "logs").mkdir()
        values = {
            "DATA": str(self.ports[0]),
            "ADMIN": str(self.ports[1]),
            "UPSTREAM": self.upstream,
            "TOKEN": self.token,
        }
        text = TEMPLATE.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        (self.folder / "nginx.conf").write_text(text)
        return [str(find_program("nginx")), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def is_ready(self) -> bool:
        """The admin port answers."""
        return self._admin("GET", "/all-rules").status == 200

    def rules(self) -> dict[str, Any]:
        """All rules by id, as they were posted."""
        rules: dict[str, Any] = json.loads(self._admin("GET", "/all-rules").body)
        return rules

    def add(self, rule: dict[str, Any]) -> None:
        """Add a rule, as another person or program would."""
        answer = self._admin("POST", "/rules", rule)
        assert answer.status == 201, answer

    def remove(self, rule_id: str) -> None:
        """Remove a rule, as another person or program would."""
        answer = self._admin("DELETE", f"/rules/{rule_id}")
        assert answer.status == 204, answer

    def reset(self) -> None:
        """Remove all rules."""
        for rule_id in self.rules():
            self.remove(rule_id)

    def _admin(self, method: str, path: str, body: object = None) -> Answer:
        return call(method, self.admin_url + path, body=body, headers={"X-Auth-Token": self.token})
