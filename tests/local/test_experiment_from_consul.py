"""The README's experiment, unchanged, from a real Consul, against a WAF that wants a token: the main job, whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import RunCommand
from tests.demo.services import service
from tests.servers.consul import Consul
from tests.servers.nginx_waf import NginxWaf
from tests.servers.zipkin import Zipkin

ROOT = Path(__file__).parents[2]
KEY = "chaos/user-service-503-resilience"


def experiment_of_the_readme() -> str:
    found = re.search(r'^    \{"experimentName".*?\}\}$', (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


@pytest.fixture
def waf(zipkin: Zipkin) -> Iterator[NginxWaf]:
    """The WAF in front of the demo's user-service, which reports its traces."""
    with service("user_service", "--zipkin", zipkin.url) as users, NginxWaf(users.removeprefix("http://")) as waf:
        yield waf


@pytest.fixture
def shop(waf: NginxWaf, zipkin: Zipkin) -> Iterator[str]:
    """The demo's shop, which retries within a budget, behind the WAF; its address."""
    with service("shop", "--upstream", waf.url, "--host", waf.host, "--zipkin", zipkin.url) as url:
        yield url


@pytest.fixture
def credentials(consul: Consul, waf: NginxWaf, tmp_path: Path) -> Path:
    """A folder with credentials.yaml: Consul's token may read chaos/ and nothing else."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    entries = [
        {"url": consul.url, "token": consul.token_for("chaos/")},
        {"url": waf.admin_url, "token": waf.token},
    ]
    (folder / "credentials.yaml").write_text(json.dumps(entries))
    return folder


def test_the_experiment_passes_because_the_shop_retries_what_the_waf_denies(
    consul: Consul,
    waf: NginxWaf,
    shop: str,
    zipkin: Zipkin,
    credentials: Path,
    run_command: RunCommand,
    tmp_path: Path,
) -> None:
    # The WAF denies a tenth of the calls. The shop tries a call three times while retries are at most a fifth of all
    # calls, so about one page in a thousand fails: far above the 0.90 asked for, and 503s are fast.
    consul.put(KEY, experiment_of_the_readme())
    data = tmp_path / "data"
    finished = run_command(
        "chaos-steps", "run", "chaos-experiment",
        "-p", f"consul-key={KEY}", "-p", f"consul-url={consul.url}",
        "-p", f"target-service-url={shop}",
        "-p", f"waf-url={waf.admin_url}", "-p", f"probe-url={waf.url}", "-p", f"zipkin-url={zipkin.url}",
        "-p", "baseline-duration=10s", "-p", "recovery-duration=10s",
        "-w", f"shared-data={data}", "-w", f"credentials={credentials}",
        timeout=300,
    )  # fmt: skip
    assert finished.code == 0, finished.stderr
    assert finished.results["verdict"] == "pass"
    report = json.loads((data / "report/verdict.json").read_text())
    window = json.loads((data / "windows/client.json").read_text())
    assert (report["dose"]["outcome"], window["requests"]) == ("agrees", pytest.approx(120 * 50, rel=0.01))
    # The traces are those of the load's window, which beats lookbackSeconds; a page that has come needed user-service.
    traces = json.loads((data / "traces/traces.json").read_text())["measured"]
    assert (traces["startMs"], traces["endMs"]) == (window["startMs"], window["endMs"])
    assert traces["requests"] > 0.98 * window["requests"]
    assert {verdict["name"]: verdict["verdict"] for verdict in report["verdicts"]}["traces"] == "pass"
    assert waf.rules() == {}
    for secret in (waf.token, json.loads((credentials / "credentials.yaml").read_text())[0]["token"]):
        assert secret not in finished.stderr + finished.stdout
        assert not any(secret in path.read_text(errors="replace") for path in data.rglob("*") if path.is_file())
