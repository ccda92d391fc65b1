"""The three renderings of a report: page, JUnit, Markdown. Every text in them may be hostile."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from chaos_steps.operate.experiment_report import junit, markdown, page
from chaos_steps.operate.experiment_report.compose import Composed, compose
from chaos_steps.operate.experiment_report.document import Reason, Report
from chaos_steps.operate.experiment_report.text import milliseconds, percent, printable
from chaos_steps.operate.experiment_report.tracing import MOST_LINKS
from chaos_steps.workspace import Workspace
from tests.operate.experiment_report.runs import (
    ENDED,
    EXPECTED,
    FAULT_MS,
    add_load,
    claim,
    composed,
    error,
    evidence,
    experiment,
    fill_workspace,
    hostile,
    marks_of_a_good_run,
    points,
    traced,
    verdict,
)

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onload='alert(1)",
    "]]><x/>",
    "--><b>",
    "\x1b[31mred\x1b[0m",
    "nul\x00byte",
    "line\nbreak",
    "\u202egnp.exe",
    "$\\frac{a}{b}$ $x_$",
    "{{ 7 * 7 }}{% raw %}",
    "&amp;&#x41;",
    "| a | b |",
    "![x](http://evil.example/x.png)",
    "`code` **bold** @someone #12",
)
HOSTILE_CSS = '<style>@import "http://evil.example"</style>'


class Elements(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


class Tables(HTMLParser):
    """Texts of the cells of each table, row by row; a cell over several rows is repeated."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[list[list[str]]] = []
        self._open = False
        self._over: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.found.append([])
        if tag in ("table", "tbody"):
            self._over = []
        elif tag == "tr":
            self.found[-1].append(list(self._over))
        elif tag in ("td", "th"):
            self._open = True
            self.found[-1][-1].append("")
            if dict(attrs).get("scope") == "rowgroup":
                self._over = self.found[-1][-1]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False
            self.found[-1][-1][-1] = " ".join(self.found[-1][-1][-1].split())
            if self._over is self.found[-1][-1]:
                self._over = self._over[:1]

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[-1][-1][-1] += data


@pytest.fixture(scope="module")
def plain_elements(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the elements that a harmless page has."""
    built = traced(tmp_path_factory.mktemp("plain"), "note")
    reason = Reason(code=6, subject="ledger", message="claim")
    left = msgspec.structs.replace(built.report, claims=("claim",), reasons=(reason,))
    return {tag for tag, _ in Elements(page.render(Composed(left, built.loads))).found}


@pytest.mark.parametrize("text", [*HOSTILE, HOSTILE_CSS])
def test_a_hostile_text_adds_no_element_attribute_or_script_to_the_page(
    tmp_path: Path, text: str, plain_elements: set[str]
) -> None:
    html = page.render(hostile(tmp_path, text))
    elements = Elements(html).found
    assert {tag for tag, _ in elements} <= plain_elements
    assert "script" not in plain_elements
    attributes = {name for _, attrs in elements for name in attrs}
    assert not {name for name in attributes if name.startswith("on")}
    assert not re.search("[\x00-\x08\x0e-\x1f\x7f\u202a-\u202e\ud800-\udfff]", html)
    html.encode()


def test_a_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    html = page.render(hostile(tmp_path, HOSTILE[0]))
    assert HOSTILE[0] in Elements(html).text
    assert "&lt;script&gt;" in html


def test_a_name_is_never_mathematics_in_the_plot(tmp_path: Path) -> None:
    html = page.render(hostile(tmp_path, "$x_y$"))
    assert "fault $x_y$ 10 %" in Elements(html).text


def test_the_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    html = page.render(composed(tmp_path))
    elements = Elements(html).found
    policy = next(attrs["content"] for _, attrs in elements if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    references = [
        value
        for _, attrs in elements
        for name, value in attrs.items()
        if name in ("src", "href", "xlink:href", "data", "action", "srcset") and value
    ]
    assert all(value.startswith("#") for value in references), references
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html


def test_the_page_says_the_verdict_and_why_before_anything_else(tmp_path: Path) -> None:
    text = Elements(page.render(composed(tmp_path, client_rate=0.871, failing=0.13))).text
    text = " ".join(text[text.index("chaos experiment") :].split())
    verdict_and_reason = "failexit code 1 A limit was breached. Why client: success-rate is 87.1 %"
    assert text.startswith(f"chaos experiment, run run-1 user-service-503-resilience {verdict_and_reason}")


def test_the_page_shows_limits_intervals_dose_and_source(tmp_path: Path) -> None:
    text = Elements(page.render(composed(tmp_path))).text
    for shown in (
        "at most 1500 ms",
        "at least 90 %",
        "96.1 % to 99.6 % (95 %)",
        "17 of 150 requests",
        "4711",
        "ab" * 32,
    ):
        assert shown in text
    assert "chaos/user-service" in text


def test_the_page_shows_settings_as_they_are_written_in_json(tmp_path: Path) -> None:
    marks = marks_of_a_good_run(ended={**ENDED, "list": ["a", 1.5, None], "flag": True})
    text = Elements(page.render(composed(tmp_path, {"marks": marks}))).text
    assert 'list: ["a", 1.5, null], flag: true' in text
    assert "fault.percentage10\n" in text


def test_the_plot_names_the_windows_and_the_fault(tmp_path: Path) -> None:
    html = page.render(composed(tmp_path))
    svg = html[html.index("<svg xmlns") :]
    for name in ("baseline", "client", "recovery", "fault L7_HTTP_ERROR 10 %", "limit P99 1500 ms"):
        assert name in svg
    assert "var(--fault)" in svg
    assert "#0000" not in svg


def test_each_plot_has_its_numbers_in_a_table_behind_it(tmp_path: Path) -> None:
    built = composed(tmp_path)
    tables = Tables(page.render(built)).found
    bins = next(rows for rows in tables if rows[0][:2] == ["Load", "From, s"])
    assert len(bins) == 1 + sum(len(curve.time) for curve in built.loads.curves)
    assert bins[1] == ["baseline", "-20", "40", "0", "23.7 ms", "78.2 ms"]
    spread = next(rows for rows in tables if rows[0][:2] == ["Load", "p50"])
    assert [row[0] for row in spread] == ["Load", "baseline", "client", "recovery"]
    client = built.report.windows[1].percentiles_ms
    assert spread[2][1:] == [milliseconds(client[name]) for name in spread[0][1:]]


def test_each_header_of_a_table_says_what_it_is_the_header_of(tmp_path: Path) -> None:
    html = page.render(traced(tmp_path))
    headers = re.findall(r"<th\b[^>]*>", html)
    assert all(re.search(r'scope="(col|row|rowgroup)"', header) for header in headers)
    assert not any("<td" in head for head in re.findall("<thead>.*?</thead>", html, re.DOTALL))


def test_a_bin_without_answers_has_no_latency_in_the_table(tmp_path: Path) -> None:
    workspace = fill_workspace(tmp_path)
    silent = points(FAULT_MS + 1000, 29, 50)
    silent["status"], silent["error"], silent["duration_us"] = 0, 1, -1
    add_load(workspace, "client", silent)
    built = compose(workspace, evidence(), experiment())
    rows = next(rows for rows in Tables(page.render(built)).found if rows[0][:2] == ["Load", "From, s"])
    assert ["client", "0", "50", "50 (100 %)", "", ""] in rows


def test_no_two_elements_of_the_page_have_one_id_and_each_reference_has_its_target(tmp_path: Path) -> None:
    html = page.render(composed(tmp_path))
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(set(ids)) == len(ids)
    references = set(re.findall(r'(?:url\(|href=")#([^")]+)', html))
    assert references
    assert references <= set(ids)


def test_the_tails_show_the_interval_of_a_judged_p99_of_these_very_points(tmp_path: Path) -> None:
    """Nothing else on the page is drawn as wide."""

    def drawn(built: Composed) -> set[str]:
        return set(re.findall(r"stroke: var\(--(load-\d)\); stroke-opacity: 0.45; stroke-width: 5", page.render(built)))

    p99s = {window.name: window.p99_latency_ms for window in composed(tmp_path / "a").report.windows}
    assert p99s["recovery"] == 75
    assert drawn(composed(tmp_path / "b")) == {"load-3"}
    assert p99s["client"] is not None
    assert drawn(composed(tmp_path / "c", client_p99=p99s["client"])) == {"load-2", "load-3"}


def test_all_renderings_tell_what_the_traces_show_and_the_notes_of_judges(tmp_path: Path) -> None:
    note = "the fault sits in front of the service"
    built = traced(tmp_path, note)
    html = " ".join(Elements(page.render(built)).text.split())
    assert "Traces of shop" in html
    assert "4 edges are known, 3 changed." in html
    tables = {rows[0][0]: rows for rows in Tables(page.render(built)).found}
    edge = "shop → user-service 1.11 x the attempts"
    judged = ["judged", "1.112", "1450", "1612", "163 (10.11 %)", "4 (0.25 %)", "0", "1 (0.07 %)", "0"]
    assert [edge, *judged] in tables["Caller and callee"]
    assert ["stock → db", "vanished", "150", "0", "0", "0"] in tables["Parent and child"]
    assert ["judged client", "1450", "5800", "1450", "2", "99.86 %", "70 ms", "0"] in tables["Window"]
    text = markdown.render(built.report)
    assert "| shop → user-service | judged | 1.112 | 163 (10.11 %) | 4 (0.25 %) | 0 | 1 (0.07 %) | 0 |" in text
    assert "| stock → db | vanished |" in text
    told = suite(built.report).findtext("system-out") or ""
    assert "Attempts per request, shop to user-service: 1 (baseline), 1.112 (judged)" in told
    assert "Dependency stock to db: vanished" in told
    for rendering in (html, text, told):
        assert f"traces: {note}" in rendering


def test_of_very_many_dependencies_the_page_lists_some(tmp_path: Path) -> None:
    built = traced(tmp_path)
    (shown,) = built.report.traces
    links = tuple(
        msgspec.structs.replace(shown.links[2], child=f"child{number:03}") for number in range(MOST_LINKS + 1)
    )
    many = msgspec.structs.replace(built.report, traces=(msgspec.structs.replace(shown, links=links),))
    html = page.render(Composed(many, built.loads))
    assert f"child{MOST_LINKS - 1:03}" in html
    assert f"child{MOST_LINKS:03}" not in html
    assert f"the first {MOST_LINKS} are listed, verdict.json has all" in html


def test_all_renderings_say_how_sure_the_verdict_is_and_what_more_is_needed(tmp_path: Path) -> None:
    built = composed(tmp_path, client_rate=0.901)
    explanation = built.report.explanation
    page_text = " ".join(Elements(page.render(built)).text.split())
    told = suite(built.report).findtext("system-out") or ""
    for rendering in (page_text, markdown.render(built.report), told):
        for said in (explanation.tried, explanation.sure, *explanation.needed):
            assert said in rendering


def test_the_page_compares_asked_and_measured_dose(tmp_path: Path) -> None:
    marks = marks_of_a_good_run()
    built = composed(tmp_path, {"marks": marks})
    assert built.report.dose is not None
    delayed = msgspec.structs.replace(
        built.report.dose, asked_delay_ms=300, delay_ms=301.5, delay_low_ms=290.0, delay_high_ms=None
    )
    report = msgspec.structs.replace(built.report, dose=delayed)
    rows = next(rows for rows in Tables(page.render(Composed(report, built.loads))).found if rows[0][0] == "Dose")
    assert rows[1] == ["share of faulted requests", "10 %", "11.33 %", "3.73 % to 24.34 %", "17 of 150 requests"]
    assert rows[2] == ["delay", "300 ms", "301.5 ms", "290 ms or more", ""]


def test_clocks_that_disagree_do_not_spoil_the_plot_and_are_noted(tmp_path: Path) -> None:
    marks = marks_of_a_good_run()
    for name, each in marks.items():
        marks[name] = msgspec.structs.replace(each, at=each.at + 86_400)
    built = composed(tmp_path, {"marks": marks})
    html = page.render(built)
    assert "seconds since the first request" in html
    assert "fault L7_HTTP_ERROR" not in html
    assert any("do not overlap" in note for note in built.report.notes)
    assert built.report.verdict == "pass"


def test_a_fault_that_lies_between_its_loads_is_no_matter_of_clocks(tmp_path: Path) -> None:
    assert composed(tmp_path).report.notes == ()


def test_a_run_without_points_has_a_page_without_a_plot(tmp_path: Path) -> None:
    workspace = fill_workspace(tmp_path)
    for path in (tmp_path / "points").iterdir():
        path.unlink()
    built = compose(workspace, evidence(), experiment())
    assert "no points of this run to draw" in page.render(built)
    assert any("no points" in note for note in built.report.notes)


@pytest.mark.parametrize("given", [{"marks": {}, "verdicts": ()}, {"marks": {}, "verdicts": (), "enabled": False}])
def test_a_run_that_left_nothing_has_all_renderings(tmp_path: Path, given: Any) -> None:
    built = compose(Workspace(tmp_path, "run-1"), evidence(**given), None)
    assert built.report.verdict in page.render(built)
    assert built.report.verdict in markdown.render(built.report)
    assert ET.fromstring(junit.render(built.report)).tag == "testsuite"


def test_an_unmeasured_dose_is_said_in_page_and_markdown(tmp_path: Path) -> None:
    built = composed(tmp_path, {"marks": marks_of_a_good_run(ended={**ENDED, "dose": None})})
    for rendering in (page.render(built), markdown.render(built.report)):
        assert "was not measured" in rendering


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = composed(tmp_path / "a"), composed(tmp_path / "b")
    assert page.render(first) == page.render(second)
    assert junit.render(first.report) == junit.render(second.report)
    assert markdown.render(first.report) == markdown.render(second.report)


def test_the_plot_does_not_grow_with_the_number_of_requests(tmp_path: Path) -> None:
    few, many = composed(tmp_path / "few"), fill_workspace(tmp_path / "many")
    add_load(many, "client", points(FAULT_MS + 1000, 29, 4000, failing=0.1))
    grown = compose(many, evidence(), experiment())
    assert len(page.render(grown)) < 1.5 * len(page.render(few))


# JUnit.


def suite(report: Report) -> ET.Element:
    return ET.fromstring(junit.render(report))


def states(report: Report) -> dict[str, str]:
    found = suite(report)
    assert int(found.attrib["tests"]) == len(found.findall("testcase"))
    for state in ("failure", "error", "skipped"):
        count = {"failure": "failures", "error": "errors", "skipped": "skipped"}[state]
        assert int(found.attrib[count]) == len(found.findall(f"testcase/{state}"))
    return {case.attrib["name"]: case[0].tag if len(case) else "passed" for case in found.findall("testcase")}


PASSED = dict.fromkeys((*EXPECTED, "fault happened", "fault gone"), "passed")


def test_junit_has_a_case_for_each_expected_verdict_and_for_the_faults_coming_and_going(tmp_path: Path) -> None:
    assert states(composed(tmp_path).report) == PASSED


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        (
            {"verdicts": (verdict("client", "fail"),)},
            {"client": "failure", "steady-state": "error", "recovery": "error"},
        ),
        ({"marks": marks_of_a_good_run(ended={**ENDED, "missing": 1})}, {"fault happened": "error"}),
        ({"claims": (claim(),)}, {"fault gone": "error"}),
        ({"errors": (error("client", 7, "dropped"),)}, {"client": "error"}),
        ({"errors": (error("waf-inject", 6),)}, {"fault gone": "error"}),
    ],
)
def test_junit_says_what_is_wrong_where_it_is_wrong(tmp_path: Path, given: Any, changed: dict[str, str]) -> None:
    assert states(composed(tmp_path, given).report) == PASSED | changed


def test_junit_tells_an_inconclusive_verdict_from_a_breached_limit(tmp_path: Path) -> None:
    given = {"verdicts": (verdict("client", "inconclusive"), verdict("steady-state"), verdict("recovery"))}
    assert states(composed(tmp_path, given).report)["client"] == "error"


def test_junit_of_a_disabled_experiment_skips_everything(tmp_path: Path) -> None:
    given = {"enabled": False, "marks": {}, "verdicts": ()}
    assert set(states(composed(tmp_path, given).report).values()) == {"skipped"}


def test_junit_keeps_to_the_strictest_schema(tmp_path: Path) -> None:
    """The order of elements and the attributes of the XSD of Ant's JUnit tasks."""
    found = suite(composed(tmp_path, {"errors": (error("client", 7),)}).report)
    assert [child.tag for child in found] == ["properties", *["testcase"] * 5, "system-out", "system-err"]
    assert set(found.attrib) == {
        *("name", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"),
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", found.attrib["timestamp"])
    for case in found.findall("testcase"):
        assert set(case.attrib) == {"name", "classname", "time"}
    assert all(set(error.attrib) == {"type", "message"} for error in found.findall("testcase/error"))


@pytest.mark.parametrize("text", HOSTILE)
def test_junit_stays_well_formed_with_hostile_texts(tmp_path: Path, text: str) -> None:
    found = suite(hostile(tmp_path, text).report)
    assert len(found.findall("testcase")) == 5
    assert {element.tag for element in found.iter()} <= {
        *("testsuite", "properties", "property", "testcase", "failure", "error", "system-out", "system-err"),
    }


# Markdown.


def test_markdown_says_the_verdict_the_reasons_and_the_numbers(tmp_path: Path) -> None:
    text = markdown.render(composed(tmp_path, client_rate=0.871, failing=0.13).report)
    assert text.startswith("## ❌ user-service-503-resilience: fail\n\nA limit was breached. Exit code 1, run run-1.\n")
    assert "- **client** success-rate is 87.1 %" in text
    assert "| client | success-rate | 87.1 % |" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_has_no_markup_mention_image_or_extra_line_from_hostile_texts(tmp_path: Path, text: str) -> None:
    plain, rendered = composed(tmp_path / "plain"), markdown.render(hostile(tmp_path / "hostile", text).report)
    assert not re.search(r"(?<!\\)[<`\[]", rendered)
    assert not re.search(r"@\w|\w://", rendered)
    assert "\x1b" not in rendered
    for line in rendered.splitlines():
        assert (
            line == ""
            or line[:2] in ("##", "- ", "| ", "|-", "> ")
            or line.startswith(("A fault", "Fault", "The dose"))
        )
    assert plain.report.verdict in markdown.render(plain.report)


# Texts and numbers.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, tëxt", "plain, tëxt"),
        ("a\nb\tc  d", "a b c d"),
        ("\x1b[31m", "\ufffd[31m"),
        ("\x00\ud800\u202e\uffff\x9b", "\ufffd" * 5),
    ],
)
def test_what_would_not_be_seen_as_it_is_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0 %"), (1, "100 %"), (0.1, "10 %"), (0.12345, "12.35 %"), (0.99999, "99.999 %"), (0.00001, "0.001 %")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share: float, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0123, "0.012 ms"), (7.097, "7.1 ms"), (12.34, "12.3 ms"), (1500, "1500 ms")]
)
def test_latencies_have_the_digits_that_matter(value: float, shown: str) -> None:
    assert milliseconds(value) == shown
