"""waf-inject from the outside: its actions, exit codes, results, options and credentials."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.hold import LEASE
from chaos_steps.stats import clopper_pearson
from tests.conftest import RunCommand, StartCommand
from tests.effects import Job, run_job, run_jobs
from tests.places import RestPlace
from tests.running import Finished
from tests.servers.caddy import Caddy
from tests.servers.nginx_waf import NginxWaf
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

HOST = NginxWaf.host


@pytest.fixture
def ledger(command_environment: dict[str, str]) -> FileLedger:
    """The default ledger of the commands."""
    return FileLedger(Path(command_environment["XDG_STATE_HOME"]) / "chaos-steps" / "ledger")


@pytest.fixture
def waf_environment(nginx_waf: NginxWaf) -> dict[str, str]:
    return {"WAF_ADMIN_API_URL": nginx_waf.admin_url, "WAF_ADMIN_API_TOKEN": nginx_waf.token}


def fault(*more: str, host: str = HOST) -> tuple[str, ...]:
    return ("waf-inject", "--target-host", host, "--status-code", "503", "--percentage", "100", *more)


def hold(*more: str) -> tuple[str, ...]:
    return fault("--action", "hold", *more)


Waf = Callable[..., Finished]


@pytest.fixture
def waf(run_command: RunCommand, waf_environment: dict[str, str]) -> Waf:
    """Run a command with the WAF's address and token."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Finished:
        return run_command(*arguments, env={**waf_environment, **(env or {})})

    return run


# Apply, status, revert


def test_apply_puts_the_rule_in_and_tells_run_claim_state_and_expiry(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    done = waf(*fault("--duration", "1m", "--run", "r-1"))
    assert done.code == 0, done.stderr
    (rule,) = nginx_waf.rules().values()
    assert rule["match"] == {"host": HOST, "path": "/*"}
    assert rule["action"] == {"type": "deny", "statusCode": 503}
    assert rule["samplingRate"] == 1
    assert "r-1" in rule["description"]
    (claim,) = ledger.claims("r-1")
    expires = done.results.pop("expires-at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", expires)
    assert {**done.results, "expires-at": ""} == {
        "run": "r-1",
        "claim": claim.id,
        "state": "active",
        "confirmed": "config",
        "expires-at": "",
    }
    assert claim.deadline - claim.created == pytest.approx(120)


def test_a_delay_is_a_rule_that_delays(waf: Waf, nginx_waf: NginxWaf) -> None:
    done = waf("waf-inject", "--target-host", HOST, "--delay-ms", "250", "--percentage", "12.5", "--ttl", "1m")
    assert done.code == 0, done.stderr
    (rule,) = nginx_waf.rules().values()
    assert (rule["action"], rule["samplingRate"]) == ({"type": "add_delay", "delayMs": 250}, 0.125)


def test_status_by_target_and_by_run_follow_the_fault(waf: Waf, nginx_waf: NginxWaf) -> None:
    target = ("waf-inject", "--action", "status", "--target-host", HOST)
    assert waf(*target).results["state"] == "absent"
    waf(*fault("--duration", "1m", "--run", "r-1"))
    for asked in (target, ("waf-inject", "--action", "status", "--run", "r-1")):
        done = waf(*asked)
        assert (done.code, done.results["state"], done.results["run"]) == (0, "active", "r-1")
    (rule_id,) = nginx_waf.rules()
    nginx_waf.remove(rule_id)
    assert waf(*target).results["state"] == "absent"
    nginx_waf.add({"id": rule_id, "match": {"host": HOST}, "action": {"type": "deny", "statusCode": 418}})
    assert waf(*target).results["state"] == "drifted"


def test_status_of_a_waf_that_cannot_be_reached_is_3(waf: Waf) -> None:
    assert waf("waf-inject", "--action", "status", "--target-host", HOST, "--waf-url", "http://127.0.0.1:9").code == 3


@pytest.mark.parametrize("by", [("--run", "r-1"), ("--target-host", HOST)])
def test_revert_by_run_and_by_target_takes_the_fault_out_and_again_is_a_no_op(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger, by: tuple[str, ...]
) -> None:
    waf(*fault("--duration", "1m", "--run", "r-1"))
    first = waf("waf-inject", "--action", "revert", *by)
    assert (first.code, first.results["state"]) == (0, "reverted")
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])
    second = waf("waf-inject", "--action", "revert", *by)
    assert (second.code, second.results["state"]) == (0, "absent")


def test_the_id_of_the_own_taskrun_does_not_make_a_revert_by_target_one_by_run(waf: Waf, nginx_waf: NginxWaf) -> None:
    waf(*fault("--duration", "1m", "--run", "r-1"))
    task = {"CHAOS_TASKRUN_UID": "uid-of-this-taskrun"}
    done = waf("waf-inject", "--action", "revert", "--target-host", HOST, env=task)
    assert (done.code, nginx_waf.rules()) == (0, {}), done.stderr


def test_revert_by_target_that_cannot_be_reached_is_6(waf: Waf) -> None:
    done = waf("waf-inject", "--action", "revert", "--target-host", HOST, "--waf-url", "http://127.0.0.1:9")
    assert done.code == 6, done.stderr


def test_revert_by_target_of_a_fault_that_the_ledger_does_not_know_is_6_and_names_its_run(
    waf: Waf, nginx_waf: NginxWaf, tmp_path: Path
) -> None:
    waf(*fault("--duration", "1m", "--run", "r-1", "--ledger", f"file:{tmp_path}/other"))
    done = waf("waf-inject", "--action", "revert", "--target-host", HOST)
    assert done.code == 6
    assert "r-1" in done.stderr
    assert len(nginx_waf.rules()) == 1


def test_the_same_run_again_goes_on_from_its_claim(waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger) -> None:
    for _ in range(2):
        done = waf(*fault("--duration", "1m", "--run", "r-1"))
        assert (done.code, done.results["state"]) == (0, "active"), done.stderr
    assert (len(nginx_waf.rules()), len(ledger.claims())) == (1, 1)


def test_the_same_run_with_another_change_replaces_it_and_a_revert_brings_the_first_state_back(
    waf: Waf, nginx_waf: NginxWaf
) -> None:
    waf(*fault("--duration", "1m", "--run", "r-1"))
    done = waf(
        *("waf-inject", "--target-host", HOST, "--status-code", "429", "--percentage", "5"),
        *("--duration", "1m", "--run", "r-1"),
    )
    assert done.code == 0, done.stderr
    (rule,) = nginx_waf.rules().values()
    assert (rule["action"]["statusCode"], rule["samplingRate"]) == (429, 0.05)
    assert waf("fault-revert", "--run", "r-1").code == 0
    assert nginx_waf.rules() == {}


def test_a_closed_run_writes_nothing(waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger) -> None:
    waf("fault-revert", "--run", "r-1")
    with Unreliable(nginx_waf.admin_url) as proxy:
        for action in ("apply", "hold"):
            options = fault("--action", action, "--duration", "1m", "--run", "r-1")
            done = waf(*options, env={"WAF_ADMIN_API_URL": proxy.url})
            assert done.code == 4, done.stderr
            assert "closed" in done.stderr
        assert {request.method for request in proxy.requests} <= {"GET"}
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


def test_a_run_that_is_closed_while_its_rule_is_written_takes_it_out_itself(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    with Unreliable(nginx_waf.admin_url) as proxy:
        pass_on = proxy.respond
        assert pass_on is not None

        def close(request: Request) -> Reply:
            reply = pass_on(request)
            if request.method == "POST":
                ledger.mark("r-1", "closed", reason="by a revert that was killed then")
            return reply

        proxy.respond = close
        done = waf(*fault("--duration", "1m", "--run", "r-1"), env={"WAF_ADMIN_API_URL": proxy.url})
    assert done.code == 4, done.stderr
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


# Two at one target


def test_a_second_run_ends_4_and_names_the_first(waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger) -> None:
    waf(*fault("--duration", "1m", "--run", "first-run"))
    before = nginx_waf.rules()
    done = waf(*fault("--duration", "1m", "--run", "second-run", host=HOST.upper()))
    assert done.code == 4
    assert "first-run" in done.stderr
    assert nginx_waf.rules() == before
    assert [claim.run for claim in ledger.claims()] == ["first-run"]


def test_an_expired_claim_is_named_with_what_settles_it(waf: Waf, ledger: FileLedger) -> None:
    waf(*fault("--duration", "1m", "--run", "first-run"))
    ledger.renew(ledger.claims()[0], 1.0)
    done = waf(*fault("--duration", "1m", "--run", "second-run"))
    assert done.code == 4
    assert "first-run" in done.stderr
    assert "fault-sweep" in done.stderr


def test_a_fault_of_another_ledger_is_left_and_its_run_is_named(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger, tmp_path: Path
) -> None:
    waf(*fault("--duration", "1m", "--run", "first-run"))
    before = nginx_waf.rules()
    done = waf(*fault("--duration", "1m", "--run", "second-run", "--ledger", f"file:{tmp_path}/other"))
    assert done.code == 4
    assert "first-run" in done.stderr
    assert nginx_waf.rules() == before
    assert FileLedger(tmp_path / "other").claims() == []


def test_a_fault_of_another_ledger_that_comes_between_look_and_write_is_left_too(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    waf(*fault("--duration", "1m", "--run", "first-run"))
    ((rule_id, rule),) = nginx_waf.rules().items()
    waf("fault-revert", "--run", "first-run")
    with Unreliable(nginx_waf.admin_url) as proxy:
        pass_on = proxy.respond
        assert pass_on is not None

        def be_faster(request: Request) -> Reply:
            if request.method == "POST":
                nginx_waf.add(rule)
            return pass_on(request)

        proxy.respond = be_faster
        done = waf(*fault("--duration", "1m", "--run", "second-run"), env={"WAF_ADMIN_API_URL": proxy.url})
    assert done.code == 4, done.stderr
    assert "first-run" in done.stderr
    assert (list(nginx_waf.rules()), ledger.claims()) == ([rule_id], [])


def test_of_ten_at_once_exactly_one_wins(nginx_waf: NginxWaf, tmp_path: Path) -> None:
    place = RestPlace(nginx_waf, tmp_path)
    jobs = []
    for number in range(10):
        arguments = (*fault("--duration", "1m"), "--ledger", f"file:{tmp_path}/ledger", "--run", f"run-{number}")
        jobs.append(Job(arguments, place.environment, f"file:{tmp_path}/ledger"))
    ended = run_jobs(jobs, tmp_path / "ten", parallel=10)
    assert sorted(done.code for done in ended) == [0, *[4] * 9]
    (winner,) = (done.results["run"] for done in ended if done.code == 0)
    (claim,) = FileLedger(tmp_path / "ledger").claims()
    assert claim.run == winner
    (rule,) = nginx_waf.rules().values()
    assert winner in rule["description"]
    assert all(winner in done.stderr for done in ended if done.code == 4)


# Usage and limits


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--target-host", HOST, "--status-code", "503", "--percentage", "0", "--ttl", "1m"), "percentage"),
        (("--target-host", HOST, "--status-code", "503", "--percentage", "101", "--ttl", "1m"), "percentage"),
        (("--target-host", HOST, "--status-code", "503", "--ttl", "1m"), "--percentage"),
        (("--target-host", HOST, "--percentage", "5", "--ttl", "1m"), "--status-code"),
        (
            ("--target-host", HOST, "--status-code", "503", "--delay-ms", "5", "--percentage", "5", "--ttl", "1m"),
            "--delay-ms",
        ),
        (("--status-code", "503", "--percentage", "5", "--ttl", "1m"), "--target-host"),
        (("--target-host", HOST, "--status-code", "503", "--percentage", "5"), "--ttl"),
        (fault("--action", "hold", "--ttl", "1m")[1:], "--duration"),
        (fault("--ttl", "1m", "--driver", "caddy", "--percentage", "0.0000005")[1:], "cannot represent"),
        (("--driver", "caddy", "--target-host", HOST, "--delay-ms", "5", "--percentage", "5", "--ttl", "1m"), "delay"),
        (fault("--ttl", "1m", "--", "true")[1:], "hold"),
        (hold("--duration", "1m", "--", "no-such-program")[1:], "no-such-program"),
        (fault("--ttl", "1m", "--ledger", "nowhere")[1:], "ledger"),
        (fault("--ttl", "1m", "--run", "a/b")[1:], "--run"),
    ],
)
def test_what_cannot_be_asked_for_is_2_and_changes_nothing(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger, options: tuple[str, ...], named: str
) -> None:
    done = waf("waf-inject", *options)
    assert done.code == 2, done.stderr
    assert named in done.stderr
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ("maxPercentage: 50", "percentage"),
        ("maxDuration: 30s", "duration"),
        ("maxTtl: 90s", "ttl"),
        ("allowedHosts: ['*.staging.svc']", HOST),
    ],
)
def test_limits_refuse_what_is_outside_naming_it(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger, tmp_path: Path, limits: str, named: str
) -> None:
    (tmp_path / "limits.yaml").write_text(limits)
    for action in ("apply", "hold"):
        done = waf(*fault("--duration", "1m", "--action", action), env={"CHAOS_LIMITS": str(tmp_path / "limits.yaml")})
        assert done.code == 4, done.stderr
        assert named in done.stderr
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


def test_caddy_without_a_server_for_the_host_is_2_and_leaves_no_claim(
    run_command: RunCommand, caddy: Caddy, ledger: FileLedger
) -> None:
    before = caddy.config()
    done = run_command(*fault("--duration", "1m", "--driver", "caddy", "--waf-url", caddy.admin_url, host="other.svc"))
    assert done.code == 2, done.stderr
    assert "other.svc" in done.stderr
    assert (caddy.config(), ledger.claims()) == (before, [])


# Credentials


def test_a_wrong_token_is_3_on_apply_and_6_on_revert_and_is_printed_nowhere(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    wrong = {"WAF_ADMIN_API_TOKEN": "wrong-token-0815"}
    applied = waf(*fault("--duration", "1m"), env=wrong)
    assert (applied.code, ledger.claims()) == (3, []), applied.stderr
    waf(*fault("--duration", "1m", "--run", "r-1"))
    reverted = waf("fault-revert", "--run", "r-1", env=wrong)
    assert reverted.code == 6
    assert (len(nginx_waf.rules()), len(ledger.claims())) == (1, 1)
    assert nginx_waf.admin_url in reverted.stderr
    for done in (applied, reverted):
        assert "wrong-token-0815" not in done.stderr + done.stdout


def test_a_revert_without_credentials_says_which_address_needs_some(
    waf: Waf, run_command: RunCommand, nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    waf(*fault("--duration", "1m", "--run", "r-1"))
    done = run_command("fault-revert", "--run", "r-1")
    assert done.code == 6
    told = f"no credentials configured for {nginx_waf.admin_url}; set WAF_ADMIN_API_URL or credentials.yaml"
    assert told in done.stderr
    assert (len(nginx_waf.rules()), len(ledger.claims())) == (1, 1)


def test_an_address_from_the_ledger_gets_no_token_unless_the_operator_gave_it_for_that_address(
    waf: Waf, run_command: RunCommand, nginx_waf: NginxWaf
) -> None:
    with Unreliable(nginx_waf.admin_url) as proxy:
        waf(*fault("--duration", "1m", "--run", "r-1"), env={"WAF_ADMIN_API_URL": proxy.url})
        proxy.requests.clear()
        done = waf("fault-revert", "--run", "r-1")  # WAF_ADMIN_API_URL is the WAF's own address.
        assert done.code == 6, done.stderr
        assert proxy.url in done.stderr
        assert proxy.requests
        assert [request for request in proxy.requests if nginx_waf.token in str(request.headers)] == []


def test_credentials_yaml_serves_a_revert(
    waf: Waf, run_command: RunCommand, nginx_waf: NginxWaf, tmp_path: Path
) -> None:
    waf(*fault("--duration", "1m", "--run", "r-1"))
    (tmp_path / "credentials.yaml").write_text(f"- {{url: {nginx_waf.admin_url}, token: {nginx_waf.token}}}")
    done = run_command("fault-revert", "--run", "r-1", env={"CHAOS_CREDENTIALS": str(tmp_path)})
    assert (done.code, nginx_waf.rules()) == (0, {}), done.stderr


# Hold


def test_hold_lasts_for_its_duration_and_writes_its_marks(waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger) -> None:
    began = time.time()
    done = waf(*hold("--duration", "1500ms", "--run", "r-1"))
    assert done.code == 0, done.stderr
    assert time.time() - began >= 1.5
    assert (done.results["state"], done.results["confirmed"]) == ("reverted", "config")
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])
    marks = ledger.marks("r-1")
    assert list(marks) == ["fault-active", "fault-ended"]
    assert marks["fault-active"].details["askedShare"] == 1
    assert marks["fault-ended"].details["readBacks"] >= 2
    assert marks["fault-ended"].details["missing"] == 0
    assert marks["fault-ended"].details["dose"] is None


@pytest.mark.parametrize("code", [0, 1, 5])
def test_hold_lasts_while_its_command_runs_and_hands_on_its_code(waf: Waf, nginx_waf: NginxWaf, code: int) -> None:
    fetch = (
        f"import urllib.request,urllib.error,sys\n"
        f"r = urllib.request.Request({nginx_waf.url!r}, headers={{'Host': {HOST!r}}})\n"
        f"try: urllib.request.urlopen(r)\nexcept urllib.error.HTTPError as e: print('saw', e.code, file=sys.stderr)\n"
        f"sys.exit({code})"
    )
    done = waf(*hold("--duration", "1m", "--", "python3", "-c", fetch))
    assert done.code == code, done.stderr
    assert "saw 503" in done.stderr
    assert nginx_waf.rules() == {}


def test_the_code_of_a_command_is_handed_on_whatever_it_is(
    start_command: StartCommand, waf_environment: dict[str, str]
) -> None:
    started = start_command(*hold("--duration", "1m", "--", "sh", "-c", "exit 42"), env=waf_environment)
    assert started.popen.wait(120) == 42


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_ends_hold_with_the_rule_gone(
    start_command: StartCommand,
    waf_environment: dict[str, str],
    nginx_waf: NginxWaf,
    ledger: FileLedger,
    signum: int,
    code: int,
) -> None:
    running = start_command(*hold("--duration", "1m", "--run", "r-1"), env=waf_environment)
    running.wait_for_stderr("fault active")
    running.send_signal(signum)
    done = running.wait()
    assert done.code == code, done.stderr
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])
    assert done.results["state"] == "reverted"
    assert ledger.marks("r-1")["fault-ended"].details["exitCode"] == code


def test_more_signals_do_not_interrupt_the_undoing_that_the_first_began(
    start_command: StartCommand, waf_environment: dict[str, str], nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    running = start_command(*hold("--duration", "1m", "--run", "r-1"), env=waf_environment)
    running.wait_for_stderr("fault active")
    running.send_signal(signal.SIGTERM)
    while running.popen.poll() is None:
        running.send_signal(signal.SIGTERM)
    assert running.wait().code == 143
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


def test_a_command_in_a_signalled_group_gets_exactly_one_signal(
    start_command: StartCommand, waf_environment: dict[str, str], nginx_waf: NginxWaf
) -> None:
    script = (
        "import signal, sys, time\n"
        "got = []\n"
        "for s in (signal.SIGTERM, signal.SIGINT): signal.signal(s, lambda n, f: got.append(n))\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "while not got: time.sleep(0.01)\n"
        "time.sleep(0.5); print('got', got, file=sys.stderr, flush=True)\n"
    )
    running = start_command(*hold("--duration", "1m", "--", "python3", "-c", script), env=waf_environment)
    running.wait_for_stderr("ready")
    for _ in range(2):
        running.signal_group(signal.SIGTERM)
    done = running.wait()
    assert done.code == 143
    assert "got [15]" in done.stderr
    assert nginx_waf.rules() == {}


def test_hold_whose_rule_somebody_deletes_is_invalid(
    start_command: StartCommand, waf_environment: dict[str, str], nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    running = start_command(*hold("--duration", "1m", "--run", "r-1"), env=waf_environment)
    running.wait_for_stderr("fault active")
    nginx_waf.reset()
    done = running.wait()
    assert done.code == 7, done.stderr
    assert ledger.claims() == []
    assert ledger.marks("r-1")["fault-ended"].details["missing"] == 1


def test_hold_whose_rule_somebody_changes_leaves_it_and_ends_6_with_its_claim(
    start_command: StartCommand, waf_environment: dict[str, str], nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    running = start_command(*hold("--duration", "1m", "--run", "r-1"), env=waf_environment)
    running.wait_for_stderr("fault active")
    (rule,) = nginx_waf.rules().values()
    nginx_waf.reset()
    nginx_waf.add({**rule, "samplingRate": 0.01})
    done = running.wait()
    assert done.code == 6, done.stderr
    (claim,) = ledger.claims()
    assert (done.results["state"], done.results["claim"]) == ("drifted", claim.id)
    assert nginx_waf.rules() == {rule["id"]: {**rule, "samplingRate": 0.01}}


def test_a_rule_changed_by_hand_is_left_alone_by_reverts_until_it_is_gone(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    waf(*fault("--duration", "1m", "--run", "r-1"))
    (rule,) = nginx_waf.rules().values()
    nginx_waf.reset()
    changed = {**rule, "action": {"type": "deny", "statusCode": 500}}
    nginx_waf.add(changed)
    done = waf("fault-revert", "--run", "r-1")
    assert done.code == 6
    assert ledger.claims()[0].id in done.stderr
    assert nginx_waf.rules() == {rule["id"]: changed}
    nginx_waf.reset()
    assert waf("fault-revert", "--run", "r-1").code == 0
    assert ledger.claims() == []


def test_hold_waits_for_the_load_and_ends_when_it_is_done(
    start_command: StartCommand, waf_environment: dict[str, str], nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    ledger.mark("r-1", "load-ready")
    running = start_command(*hold("--duration", "1m", "--run", "r-1", "--wait-for-load", "1m"), env=waf_environment)
    running.wait_for_stderr("fault active")
    ledger.mark("r-1", "load-done")
    done = running.wait()
    assert (done.code, nginx_waf.rules()) == (0, {}), done.stderr


def test_hold_whose_load_never_comes_claims_nothing_and_ends_7(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    done = waf(*hold("--duration", "1m", "--run", "r-1", "--wait-for-load", "500ms"))
    assert done.code == 7, done.stderr
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])
    assert "fault-active" not in ledger.marks("r-1")


def test_hold_stopped_while_it_waits_for_the_load_ends_143(
    start_command: StartCommand, waf_environment: dict[str, str], nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    running = start_command(*hold("--duration", "1m", "--run", "r-1", "--wait-for-load", "1m"), env=waf_environment)
    wait_until(lambda: _handles_sigterm(running.pid), "it to listen to signals")
    running.send_signal(signal.SIGTERM)
    done = running.wait()
    assert done.code == 143, done.stderr
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


def _handles_sigterm(pid: int) -> bool:
    caught = re.search(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_hold_whose_load_is_never_done_ends_7_after_the_margin(nginx_waf: NginxWaf, tmp_path: Path) -> None:
    place = RestPlace(nginx_waf, tmp_path)
    place.ledger("x").mark("run-x", "load-ready")
    job = place.inject(
        *("x", "hold", "--duration", "100ms", "--wait-for-load", "1m"),
        patches={"chaos_steps.ledger.hold.LOAD_MARGIN": 1.0},
    )
    done = run_job(job, tmp_path / "hold")
    assert done.code == 7, done.stderr
    assert done.seconds > 1.1
    assert "not done" in done.stderr
    assert (nginx_waf.rules(), place.ledger("x").claims()) == ({}, [])


def test_hold_whose_lease_cannot_be_renewed_reverts_and_ends_7(nginx_waf: NginxWaf, tmp_path: Path) -> None:
    place = RestPlace(nginx_waf, tmp_path)
    jobs = [place.inject("gone", "hold", "--duration", "1m", patches={"chaos_steps.ledger.hold.RENEWAL": 0.5})]
    folder = tmp_path / "hold"

    def remove_the_ledger() -> None:
        wait_until(lambda: "fault-active" in place.ledger("gone").marks("run-gone"), "the fault to be active")
        (tmp_path / "ledger-gone").rename(tmp_path / "moved")

    remover = threading.Thread(target=remove_the_ledger)
    remover.start()
    (done,) = run_jobs(jobs, folder)
    remover.join()
    assert done.code == 7, done.stderr
    assert done.seconds < LEASE
    assert nginx_waf.rules() == {}


def test_hold_of_a_run_that_is_closed_meanwhile_reverts_and_ends_7(
    start_command: StartCommand, waf: Waf, waf_environment: dict[str, str], nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    running = start_command(*hold("--duration", "1m", "--run", "r-1"), env=waf_environment)
    running.wait_for_stderr("fault active")
    reverted = waf("fault-revert", "--run", "r-1")
    assert reverted.code == 0, reverted.stderr
    assert running.wait().code == 7
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


def test_hold_of_a_recreated_pod_takes_over_and_its_time_counts_from_the_first_fault(
    start_command: StartCommand, waf: Waf, waf_environment: dict[str, str], nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    first = start_command(*hold("--duration", "5m", "--run", "r-1"), env=waf_environment)
    first.wait_for_stderr("fault active")
    os.kill(first.pid, signal.SIGKILL)
    first.popen.wait()
    assert len(nginx_waf.rules()) == 1
    (mark,) = Path(ledger.describe().removeprefix("file:"), "runs", "r-1").iterdir()
    document = json.loads(mark.read_text())
    mark.write_text(json.dumps({**document, "at": document["at"] - 301}))  # As if that had been five minutes ago.
    done = waf(*hold("--duration", "5m", "--run", "r-1"))
    assert done.code == 0, done.stderr
    assert "fault active" in done.stderr
    assert list(ledger.marks("r-1")) == ["fault-active", "fault-ended"]
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


def test_hold_beside_a_living_one_of_the_same_run_is_refused(
    start_command: StartCommand, waf: Waf, waf_environment: dict[str, str], nginx_waf: NginxWaf
) -> None:
    running = start_command(*hold("--duration", "1m", "--run", "r-1"), env=waf_environment)
    running.wait_for_stderr("fault active")
    done = waf(*hold("--duration", "1m", "--run", "r-1"))
    assert done.code == 4, done.stderr
    assert len(nginx_waf.rules()) == 1
    running.send_signal(signal.SIGTERM)
    assert running.wait().code == 143


def test_hold_whose_fault_has_ended_already_ends_143_without_acting(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    ledger.mark("r-1", "fault-active")
    ledger.mark("r-1", "fault-ended")
    done = waf(*hold("--duration", "1m", "--run", "r-1"))
    assert done.code == 143, done.stderr
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


def test_a_hold_that_time_overtook_does_not_touch_the_fault_of_the_next_run(
    start_command: StartCommand, waf: Waf, waf_environment: dict[str, str], nginx_waf: NginxWaf, ledger: FileLedger
) -> None:
    running = start_command(*hold("--duration", "1m", "--run", "r-1"), env=waf_environment)
    running.wait_for_stderr("fault active")
    running.send_signal(signal.SIGSTOP)
    (claim,) = ledger.claims()
    ledger.renew(claim, 1.0)
    wait_until(lambda: waf("fault-sweep").code == 0, "the change to be old enough")
    assert waf(*fault("--duration", "1m", "--run", "r-2")).code == 0
    after = nginx_waf.rules()
    running.send_signal(signal.SIGCONT)
    done = running.wait()
    assert done.code == 7, done.stderr
    assert nginx_waf.rules() == after
    assert [claim.run for claim in ledger.claims()] == ["r-2"]


def test_hold_measures_its_dose_through_caddy(run_command: RunCommand, caddy: Caddy, ledger: FileLedger) -> None:
    done = run_command(
        *("waf-inject", "--driver", "caddy", "--waf-url", caddy.admin_url, "--target-host", HOST, "--action", "hold"),
        *("--status-code", "503", "--percentage", "50", "--duration", "8s", "--run", "r-1", "--probe-url", caddy.url),
    )
    assert done.code == 0, done.stderr
    dose = ledger.marks("r-1")["fault-ended"].details["dose"]
    assert (dose["source"], dose["url"], dose["unanswered"]) == ("marker", caddy.url, 0)
    assert dose["requests"] >= 20
    low, high = clopper_pearson(dose["faulted"], dose["requests"], 0.9999)
    assert low <= 0.5 <= high
    assert 0 < dose["faulted"] < dose["requests"]


def test_the_probe_comes_from_the_experiment_and_counts_delays(
    waf: Waf, nginx_waf: NginxWaf, upstream: Upstream, ledger: FileLedger, tmp_path: Path
) -> None:
    experiment = {
        "experimentName": "x",
        "fault": {
            "type": "L7_HTTP_DELAY",
            "targetHost": HOST,
            "delayMs": 100,
            "percentage": 100,
            "probeUrl": nginx_waf.url,
        },
        "durationSeconds": 3,
        "load": {"rps": 1},
    }
    (tmp_path / "experiment.json").write_text(json.dumps(experiment))
    upstream.respond = lambda _: Reply(302, b"", {"Location": "http://elsewhere.invalid/"})
    done = waf("waf-inject", "--action", "hold", "--config", tmp_path / "experiment.json", "--run", "r-1")
    assert done.code == 0, done.stderr
    active, ended = (ledger.marks("r-1")[name].details for name in ("fault-active", "fault-ended"))
    assert (active["host"], active["probeUrl"], active["askedDelayMs"]) == (HOST, nginx_waf.url, 100)
    dose = ended["dose"]
    assert dose["requests"] == dose["faulted"] == dose["delayed"]["answers"] > 0
    assert dose["delayed"]["value"] >= 100
    assert dose["others"] is None
    assert all("x-chaos-run" in request.headers for request in upstream.requests)


# A full disk


def test_a_disk_that_fills_at_any_point_of_apply_leaves_nothing(nginx_waf: NginxWaf, tmp_path: Path) -> None:
    place = RestPlace(nginx_waf, tmp_path)
    measured = run_job(place.inject("measured", "apply", "--duration", "1m"), tmp_path / "measured")
    names = [f"full-{effect}" for effect in range(1, len(measured.effects) + 1)]
    jobs = [
        place.inject(name, "apply", "--duration", "1m", effect=effect, act="fill")
        for effect, name in enumerate(names, 1)
    ]
    for name, done in zip(names, run_jobs(jobs, tmp_path / "full"), strict=True):
        if done.code == 0:
            assert place.has_fault(name), name
            continue
        assert done.code == 3, (name, done.stderr)
        assert "No space left" in done.stderr
        assert not place.has_fault(name), name
        assert place.ledger(name).claims() == [], name


def test_on_a_full_disk_revert_still_takes_the_fault_out(nginx_waf: NginxWaf, tmp_path: Path) -> None:
    place = RestPlace(nginx_waf, tmp_path)
    run_job(place.inject("x", "apply", "--duration", "1m"), tmp_path / "applied")
    done = run_job(place.revert("x", effect=1, act="fill"), tmp_path / "full")
    assert done.code == 6, done.stderr  # The run could not be closed, so it might go on.
    assert "could not be closed" in done.stderr
    assert not place.has_fault("x")
    assert run_job(place.revert("x"), tmp_path / "again").code == 0
    assert place.ledger("x").claims() == []


def test_unwritable_results_are_told_and_the_fault_stays_known(
    waf: Waf, nginx_waf: NginxWaf, ledger: FileLedger, tmp_path: Path
) -> None:
    env = {"RESULT_STATE": str(tmp_path / "no" / "such" / "folder")}
    done = waf(*fault("--duration", "1m", "--run", "r-1"), env=env)
    assert done.code == 6, done.stderr
    assert "results" in done.stderr
    assert waf("fault-revert", "--run", "r-1").code == 0
    assert (nginx_waf.rules(), ledger.claims()) == ({}, [])


def test_results_on_a_full_stdout_end_like_other_unwritable_results(
    command_environment: dict[str, str], waf_environment: dict[str, str]
) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            ["python", "-m", "chaos_steps", *fault("--duration", "1m", "--run", "r-1")],
            env={**command_environment, **waf_environment},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=180,
            check=False,
        )
    assert ended.returncode == 6, ended.stderr
