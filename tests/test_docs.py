"""What README, CONTRIBUTING and docs/ say is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml

from chaos_steps.credentials import Credentials
from chaos_steps.errors import MEANINGS
from chaos_steps.experiment import parse
from chaos_steps.limits import Limits
from tests.conftest import RunCommand

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "tekton" / "pipelines").rglob("*.md"),
    ]
)


def example(page: str) -> str:
    """The YAML example of a page."""
    found = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_git_knows(page: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    known = {ROOT / name for name in tracked} | {parent for name in tracked for parent in (ROOT / name).parents}
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page.read_text())]
    missing = [link for link in links if "://" not in link and (page.parent / link).resolve() not in known]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_folders_and_files_in_backquotes_exist(page: str) -> None:
    names = re.findall(
        r"`((?:chaos_steps|tests|tools|docs|demo|bench|tekton|schemas|images)/[^`<>*]*)`", (ROOT / page).read_text()
    )
    assert names
    written = re.findall(r"<!-- file: (\S+) -->", (ROOT / page).read_text())
    assert [name for name in names if not (ROOT / name).exists() and name not in written] == []


def test_the_readme_lists_every_exit_code_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| (\d+)(?:, 130)? \| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE))
    meanings = {str(code): meaning for code, meaning in MEANINGS.items()}
    meanings["143"] = "stopped by SIGTERM or SIGINT with everything reverted and read back"
    assert rows == meanings


def test_the_readmes_experiment_is_one() -> None:
    found = re.search(r'^    \{"experimentName".*?\}\}$', (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    assert parse(found[0], where="README.md").fault.kind == "L7_HTTP_ERROR"


def test_the_readme_has_a_row_for_every_folder() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    folders = {name.partition("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    rows = re.findall(r"^\| `(\w+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert set(rows) == folders


def test_the_index_of_decisions_has_a_line_for_each_with_its_title() -> None:
    folder = ROOT / "docs" / "adr"
    titles = {page.name: page.read_text().partition("\n")[0].removeprefix("# ") for page in folder.glob("0*.md")}
    listed = re.findall(r"^- \[(.*)\]\((.*)\)$", (folder / "README.md").read_text(), re.MULTILINE)
    assert {name: title for title, name in listed} == titles


def test_a_pipeline_s_install_applies_just_the_tasks_that_it_uses() -> None:
    folder = ROOT / "tekton" / "pipelines" / "chaos-experiment"
    spec = yaml.safe_load((folder / "chaos-experiment.yaml").read_text())["spec"]
    used = {task["taskRef"]["name"] for task in spec["tasks"] + spec["finally"]}
    applied = re.findall(r"-f tekton/tasks/([\w-]+)/\1\.yaml", (folder / "README.md").read_text())
    assert set(applied) == used


def test_the_example_of_limits_names_every_limit() -> None:
    shown = msgspec.to_builtins(msgspec.yaml.decode(example("limits.md"), type=Limits))
    assert None not in shown.values()


def test_the_example_of_credentials_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials.yaml").write_text(example("credentials.md"))
    monkeypatch.setenv("CHAOS_CREDENTIALS", str(tmp_path))
    credentials = Credentials.load()
    for entry in yaml.safe_load(example("credentials.md")):
        assert credentials.for_url(f"{entry['url']}/below") is not None
    assert credentials.for_url("https://elsewhere.example") is None


def test_the_readmes_options_are_those_of_the_commands(run_command: RunCommand) -> None:
    used = re.findall(
        r"^    (waf-inject|experiment-check|fault-revert|zipkin-slo) (.*(?:\\\n.*)*)$",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    assert len(used) >= 5
    for name, words in used:
        shown = run_command(name, "--help").stdout
        assert [option for option in re.findall(r"--[a-z][a-z-]+", words) if option not in shown] == []


@pytest.mark.parametrize("page", ["README.md", "tekton/pipelines/chaos-experiment/README.md"])
def test_the_params_that_a_page_gives_are_those_of_the_pipeline(page: str) -> None:
    file = ROOT / "tekton/pipelines/chaos-experiment/chaos-experiment.yaml"
    declared = {param["name"] for param in yaml.safe_load(file.read_text())["spec"]["params"]}
    given = set(re.findall(r"-p ([a-z-]+)=", (ROOT / page).read_text()))
    assert {"target-service-url", "waf-url"} <= given <= declared
