"""A real Caddy as the gateway that holds faults."""

from __future__ import annotations

import json
from typing import Any

from tests.servers.call import call
from tests.servers.program import Gateway, find_program
from tests.waiting import wait_until


def read(url: str) -> bytes:
    """GET an address of Caddy's admin API, again when Caddy drops the connection: it may while it changes itself."""

    def attempt() -> bytes | None:
        try:
            answer = call("GET", url)
        except ConnectionResetError:
            return None
        assert answer.status == 200, answer
        return answer.body

    return wait_until(attempt, f"an answer from {url}")


class Caddy(Gateway):
    """A gateway at `url` that sends requests for `host` to one upstream; its admin API is at `admin_url`."""

    def arguments(self) -> list[str]:
        """`caddy run` with the configuration in a file."""
        config = self.folder / "caddy.json"
        config.write_text(json.dumps(self.initial_config))
        return [str(find_program("caddy")), "run", "--config", str(config)]

    @property
    def _route(self) -> dict[str, Any]:
        return {
            "match": [{"host": [self.host]}],
            "handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": self.upstream}]}],
        }

    @property
    def initial_config(self) -> dict[str, Any]:
        """What it starts with and what `reset` brings back: one server, one route."""
        gateway = {
            "listen": [f"127.0.0.1:{self.ports[0]}"],
            "automatic_https": {"disable": True},
            "routes": [self._route],
        }
        return {
            "admin": {"listen": f"127.0.0.1:{self.ports[1]}", "config": {"persist": False}},
            "logging": {"logs": {"default": {"level": "WARN"}}},
            "apps": {"http": {"servers": {"gateway": gateway}}},
        }

    def is_ready(self) -> bool:
        """The gateway answers a host that it does not know."""
        return call("GET", self.url).status == 200 and call("GET", f"{self.admin_url}/config/").status == 200

    def config(self) -> bytes:
        """The whole running configuration, byte for byte."""
        return read(f"{self.admin_url}/config/")

    def routes(self) -> list[dict[str, Any]]:
        """The gateway's routes."""
        routes: list[dict[str, Any]] = json.loads(self.config())["apps"]["http"]["servers"]["gateway"]["routes"]
        return routes

    def faults(self) -> list[dict[str, Any]]:
        """The routes beyond the one that it started with."""
        return [
            route
            for route in self.routes()
            if route not in self.initial_config["apps"]["http"]["servers"]["gateway"]["routes"]
        ]

    def reset(self) -> None:
        """Bring the first configuration back, if it was changed."""
        answer = call("POST", f"{self.admin_url}/load", body=self.initial_config)
        assert answer.status == 200, answer
