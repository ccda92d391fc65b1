"""The README's experiment, unchanged, from a real Consul, against a WAF that wants a token: the main job, whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RunCommand
from tests.servers.consul import Consul
from tests.servers.nginx_waf import NginxWaf

ROOT = Path(__file__).parents[2]
KEY = "chaos/user-service-503-resilience"


def experiment_of_the_readme() -> str:
    found = re.search(r'^    \{"experimentName".*?\}\}$', (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


@pytest.fixture
def shop(nginx_waf: NginxWaf) -> Iterator[str]:
    """The demo's shop, which retries within a budget, behind the WAF; its address."""
    command = [sys.executable, str(ROOT / "demo/shop.py"), "--upstream", nginx_waf.url, "--host", nginx_waf.host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.split()[-1]
        process.terminate()


@pytest.fixture
def credentials(consul: Consul, nginx_waf: NginxWaf, tmp_path: Path) -> Path:
    """A folder with credentials.yaml: Consul's token may read chaos/ and nothing else."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    entries = [
        {"url": consul.url, "token": consul.token_for("chaos/")},
        {"url": nginx_waf.admin_url, "token": nginx_waf.token},
    ]
    (folder / "credentials.yaml").write_text(json.dumps(entries))
    return folder


def test_the_experiment_passes_because_the_shop_retries_what_the_waf_denies(
    consul: Consul, nginx_waf: NginxWaf, shop: str, credentials: Path, run_command: RunCommand, tmp_path: Path
) -> None:
    # The WAF denies a tenth of the calls. The shop tries a call three times while retries are at most a fifth of all
    # calls, so about one page in a thousand fails: far above the 0.90 asked for, and 503s are fast.
    consul.put(KEY, experiment_of_the_readme())
    data = tmp_path / "data"
    finished = run_command(
        "chaos-steps", "run", "chaos-experiment",
        "-p", f"consul-key={KEY}", "-p", f"consul-url={consul.url}",
        "-p", f"target-service-url={shop}",
        "-p", f"waf-url={nginx_waf.admin_url}", "-p", f"probe-url={nginx_waf.url}",
        "-p", "baseline-duration=10s", "-p", "recovery-duration=10s",
        "-w", f"shared-data={data}", "-w", f"credentials={credentials}",
        timeout=300,
    )  # fmt: skip
    assert finished.code == 0, finished.stderr
    assert finished.results["verdict"] == "pass"
    report = json.loads((data / "report/verdict.json").read_text())
    asked_and_sent = (report["dose"]["outcome"], json.loads((data / "windows/client.json").read_text())["requests"])
    assert asked_and_sent == ("agrees", pytest.approx(120 * 50, rel=0.01))
    assert nginx_waf.rules() == {}
    for secret in (nginx_waf.token, json.loads((credentials / "credentials.yaml").read_text())[0]["token"]):
        assert secret not in finished.stderr + finished.stdout
        assert not any(secret in path.read_text(errors="replace") for path in data.rglob("*") if path.is_file())
