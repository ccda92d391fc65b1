"""The images run: each as its command, as the Tasks' user, on a read-only root, stopped as Kubernetes stops them.

`make images-test` builds them first.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests import containerfile
from tests.images.engine import Engine, done
from tests.servers.caddy import Caddy
from tests.servers.upstream import Upstream
from tests.waiting import wait_until

COMMANDS = containerfile.commands()
# One command of each family.
ONE_OF_EACH = sorted({family: name for name, family in COMMANDS.items()}.values())
SHELLS = {"sh", "ash", "bash", "dash", "busybox", "ksh", "zsh"}

IMPORTS = Path(__file__).with_name("imports.py")


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.mark.parametrize("name", COMMANDS)
def test_an_image_is_its_command(engine: Engine, name: str) -> None:
    shown = engine.run(name, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"Usage: {name} ")
    assert engine.run(name, "--no-such-option").returncode == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_an_image_says_what_it_is(engine: Engine, name: str) -> None:
    config = engine.inspect(engine.image(name))["Config"]
    labels = {label.removeprefix("org.opencontainers.image."): text for label, text in config["Labels"].items()}
    assert labels["title"] == name
    assert labels["version"] == engine.inputs["VERSION"]
    assert labels["revision"].removesuffix("-dirty") == engine.inputs["REVISION"].removesuffix("-dirty")
    assert labels["created"] == engine.inputs["CREATED"]
    assert labels["licenses"] == "Apache-2.0"
    assert config["User"] == "65532:65532"


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_there_is_no_shell_and_nothing_that_changes_user(engine: Engine, name: str, tmp_path: Path) -> None:
    files = list(engine.files(name, tmp_path))
    assert len(files) > 1000
    assert {Path(file.name).name for file in files} & SHELLS == set()
    assert [file.name for file in files if file.isfile() and file.mode & (stat.S_ISUID | stat.S_ISGID)] == []
    writable = [file for file in files if not file.issym() and file.mode & stat.S_IWOTH]
    assert [file.name for file in writable if not file.mode & stat.S_ISVTX] == []


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_nothing_is_compiled_when_a_command_starts(engine: Engine, name: str) -> None:
    module = name.replace("-", "_")
    (group,) = (path.parent.name for path in containerfile.ROOT.glob(f"chaos_steps/*/{module}*") if path.stem == module)
    options = ("--entrypoint", "/usr/bin/python3")
    looked = engine.run(name, "-c", IMPORTS.read_text(), f"chaos_steps.{group}.{module}", options=options)
    assert looked.returncode == 0, looked.stderr
    count, rest = looked.stdout.split(" ", 1)
    assert int(count) > 50
    assert rest == "[] 65532 65532\n"


def test_a_hold_that_is_stopped_takes_its_fault_out(engine: Engine, caddy: Caddy, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    options = ("--network", "host", "--volume", f"{tmp_path}:/ledger", "--name", f"chaos-steps-{tmp_path.name}")
    arguments = (
        *("--action", "hold", "--driver", "caddy", "--waf-url", caddy.admin_url, "--target-host", caddy.host),
        *("--status-code", "503", "--percentage", "100", "--duration", "5m", "--ledger", "file:/ledger/claims"),
    )
    command = [*engine.arguments("waf-inject", *options), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as holding:
        try:
            wait_until(lambda: caddy.faults() or holding.poll() is not None, "the fault")
            assert caddy.faults(), holding.communicate()
        finally:
            done(engine.program, "stop", "-t", "30", options[-1])
        out, err = holding.communicate(timeout=60)
    assert holding.returncode == 143, err
    assert json.loads(out)["state"] == "reverted"
    assert caddy.faults() == []


def test_a_load_is_judged_and_reported_by_the_images(engine: Engine, upstream: Upstream, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    common = ("--workspace", "/workspace", "--run", "r1")
    options = ("--network", "host", "--volume", f"{tmp_path}:/workspace", "--env", "HOME=/tmp")

    def step(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return engine.run(name, *common, *arguments, options=options)

    loaded = step("k6-load", "--target-url", upstream.url, "--rate-rps", "50", "--duration", "2s")
    assert loaded.returncode == 0, loaded.stderr
    judged = step("k6-slo", "--window", "k6-load", "--min-success-rate", "0.5", "--name", "client")
    assert judged.returncode == 0, judged.stderr
    reported = step("experiment-report", "--expect", "client", "--ledger", "file:/workspace/ledger")
    assert reported.returncode == 0, reported.stderr
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000


def test_consul_fetch_has_its_client(engine: Engine) -> None:
    fetched = engine.run("consul-fetch", "--key", "chaos/x", "--consul-url", "http://127.0.0.1:1")
    assert fetched.returncode == 3, fetched.stderr


def test_the_readme_names_an_image_that_make_images_builds(engine: Engine) -> None:
    (image,) = re.findall(r"docker run --rm (\S+) --help\n", (containerfile.ROOT / "README.md").read_text())
    assert image == engine.image("waf-inject")


def test_builds_without_a_cache_give_the_same_image_and_with_one_the_same_layers(
    engine: Engine, tmp_path: Path
) -> None:
    name, identities = "waf-inject", []
    layers = engine.inspect(engine.image(name))["RootFS"]["Layers"]
    build_args = f"BUILD_ARGS={os.environ.get('BUILD_ARGS', '')} --no-cache"
    for repository in ("localhost/once", "localhost/again"):
        tag = f"{repository}/{name}:{engine.inputs['VERSION']}"
        built = done("make", "images", f"IMAGES={name}", f"REPOSITORY={repository}", f"ARCHIVES={tmp_path}", build_args)
        assert built.splitlines()[-1] == tag
        found = engine.inspect(tag)
        done(engine.program, "image", "rm", tag)
        assert found["RootFS"]["Layers"] == layers
        identities.append(found["Id"])
        with tarfile.open(tmp_path / f"{name}.tar") as archive:
            manifest = archive.extractfile("manifest.json")
            assert manifest is not None
            assert [image["RepoTags"] for image in json.load(manifest)] == [[tag]]
    assert identities[0] == identities[1]
