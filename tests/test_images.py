"""images/Containerfile, its locks and docker-bake.hcl fit the commands; tests/images runs what is built from them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests import containerfile
from tests.contract import manifests
from tests.contract.test_commands import NAMES, command_of

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
FAMILIES = ("base", *(extra for extra in EXTRAS if extra not in ("demo", "all")))
TARGET = re.compile(r'target "(\S+)" \{\n  inherits = \["common"\]\n  target   = "(\S+)"\n  tags     = \["(.*)"\]')
LOCK = re.compile(r"^(\S+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def task(path: Path) -> tuple[str, str]:
    """The image of a Task, and the user and group that it runs as."""
    spec = manifests.load(path)["spec"]
    (image,) = (param["default"] for param in spec["params"] if param["name"] == "image")
    security = spec["stepTemplate"]["securityContext"]
    return image, f"{security['runAsUser']}:{security['runAsGroup']}"


TASKS = {name: task(path) for name, path in manifests.all_of("tasks").items()}


def locked(layer: str) -> dict[str, str]:
    """The packages of a lock with their versions. Fails when there is anything but pinned versions with hashes."""
    text = (ROOT / "images" / "locks" / f"{layer}.txt").read_text()
    assert LOCK.sub("", text) == ""
    return {name: version for name, version, _ in LOCK.findall(text)}


def layers(family: str) -> list[str]:
    """The locks whose packages are in a family's images, lowest first."""
    copies = [copy for stage in reversed(containerfile.line_of(family)) for copy in stage.arguments("COPY")]
    folders = [match[1] for copy in copies if (match := re.fullmatch(r"--from=\S+ /layers/(\S+)/ /", copy))]
    assert len(folders) == len(copies)
    assert folders[0] == "stdlib"
    assert folders[-1] == "commands"
    return folders[1:-1]


def test_every_command_has_an_image_of_its_family_that_is_itself() -> None:
    found = containerfile.commands()
    assert found == {name: command_of(name).family for name in NAMES}
    for name in found:
        stage = containerfile.stages()[name]
        assert stage.arguments("ENTRYPOINT") == [f'["/usr/local/bin/{name}"]']
        (label,) = stage.arguments("LABEL")
        assert f'org.opencontainers.image.title="{name}"' in label
        summary = (command_of(name).help or "").partition("\n")[0]
        assert f'org.opencontainers.image.description="{summary}"' in label


def test_docker_bake_builds_the_same_images_under_the_names_that_the_tasks_have() -> None:
    text = (ROOT / "docker-bake.hcl").read_text()
    defaults = dict(re.findall(r'variable "(\w+)" \{\n  default = "(.*)"', text))
    targets = TARGET.findall(text)
    assert sorted((name, target) for name, target, _ in targets) == [(name, name) for name in NAMES]
    tags = {name: re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], tag) for name, _, tag in targets}
    assert tags == {name: image for name, (image, _) in TASKS.items()}
    assert set(re.findall(r'"org.opencontainers.image.(\w+)" ', text)) == {"version", "revision", "created"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_what_its_extra_asks_for_each_package_once(family: str) -> None:
    names = layers(family)
    packages = [package for layer in names for package in locked(layer)]
    assert len(packages) == len(set(packages))
    versions = {package: version for layer in names for package, version in locked(layer).items()}
    k6 = [item for item in EXTRAS["demo"] if item.startswith("k6")] if family == "load" else []
    for wanted in map(Requirement, [*PROJECT["dependencies"], *EXTRAS.get(family, ()), *k6]):
        assert wanted.specifier.contains(versions[wanted.name.lower()]), f"{wanted}: run make locks"


def test_images_differ_in_no_package_s_version() -> None:
    versions: dict[str, set[str]] = {}
    for family in FAMILIES:
        for layer in layers(family):
            for package, version in locked(layer).items():
                versions.setdefault(package, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_the_bases_are_pinned_by_digest_and_nothing_else_comes_from_outside() -> None:
    arguments = containerfile.arguments()
    known = containerfile.stages()
    outside = [stage.parent for stage in known.values() if stage.parent not in known]
    assert sorted(outside) == ["${BUILDER}${BUILDER_DIGEST}", "${RUNTIME}${RUNTIME_DIGEST}"]
    for name in ("BUILDER_DIGEST", "RUNTIME_DIGEST"):
        assert re.fullmatch(r"@sha256:[0-9a-f]{64}", arguments[name])
    for stage in known.values():
        for copy in stage.arguments("COPY"):
            origin = re.match(r"--from=(\S+)", copy)
            assert origin is None or origin[1] in known


@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_says_what_it_is_and_runs_as_the_user_of_the_tasks(family: str) -> None:
    line = containerfile.line_of(family)
    labels = "".join(label for stage in line for label in stage.arguments("LABEL"))
    for name in ("source", "licenses"):
        assert f"org.opencontainers.image.{name}=" in labels
    users = {user for stage in line for user in stage.arguments("USER")}
    assert users == {user for _, user in TASKS.values()}
    assert not any(stage.arguments("RUN") for stage in line), "there is no shell"


def test_images_share_layers_by_how_rarely_they_change() -> None:
    shared = [layers(family) for family in FAMILIES]
    for names in shared:
        assert names[0] == "base"
        assert all(upper in FAMILIES for upper in names)
    assert layers("load")[:2] == layers("report")[:2] == layers("points")
    for lower, upper in pairwise(containerfile.line_of("report")[::-1]):
        assert upper.parent == lower.name


def test_the_build_sees_no_more_of_the_checkout_than_it_copies() -> None:
    seen = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [copy.split()[:-1] for stage in containerfile.stages().values() for copy in stage.arguments("COPY")]
    copied = {path for paths in copies if not paths[0].startswith("--") for path in paths}
    assert {"images/locks" if path.startswith("images/locks/") else path for path in copied} == seen
    assert all((ROOT / path).exists() for path in copied)


def test_hadolint_has_nothing_to_say() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    linted = subprocess.run([linter, containerfile.PATH], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
