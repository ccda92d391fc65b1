"""From SIGTERM in `waf-inject --action hold` to the rule gone and read back: at most 1 s on loopback.

Taken by the clock here, from sending the signal to the run record's fault-ended, which is written after the read-back.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chaos_steps.ledger.file import FileLedger
from tests.servers.caddy import Caddy
from tests.servers.nginx_waf import NginxWaf
from tests.servers.upstream import Upstream

BOUND_S = 1.0
ROUNDS = 10
ROOT = Path(__file__).parent.parent


def run() -> bool:
    """Both drivers; the slowest round counts."""
    kept = True
    with Upstream() as upstream, NginxWaf(upstream.address) as waf, Caddy(upstream.address) as caddy:
        for driver, server in (("rest", waf), ("caddy", caddy)):
            taken = [_seconds(driver, server.admin_url) for _ in range(ROUNDS)]
            ok = max(taken) <= BOUND_S
            kept &= ok
            print(
                f"{driver:6} {statistics.median(taken) * 1000:4.0f} ms, at most {max(taken) * 1000:.0f} ms "
                f"of {BOUND_S * 1000:.0f} ms{'' if ok else '  OVER'}",
                flush=True,
            )
    return kept


def _seconds(driver: str, admin_url: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        ledger = FileLedger(Path(folder))
        options = (
            *("--driver", driver, "--action", "hold", "--target-host", NginxWaf.host, "--status-code", "503"),
            *("--percentage", "10", "--duration", "5m", "--run", "bench", "--ledger", ledger.describe()),
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "chaos_steps", "waf-inject", *options],
            env={**os.environ, "WAF_ADMIN_API_URL": admin_url, "WAF_ADMIN_API_TOKEN": NginxWaf.token},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        while "fault-active" not in ledger.marks("bench"):
            time.sleep(0.01)
        time.sleep(0.3)  # Into the waiting between two looks.
        sent = time.time()
        process.send_signal(signal.SIGTERM)
        if process.wait() != 128 + signal.SIGTERM:
            raise RuntimeError(f"hold ended with {process.returncode}")
        return ledger.marks("bench")["fault-ended"].at - sent
