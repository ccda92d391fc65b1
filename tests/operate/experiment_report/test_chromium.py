"""The page as a real browser shows it: on a wide screen, by night, on a phone, on paper."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from matplotlib.image import imread
from playwright.sync_api import Page

from chaos_steps.operate.experiment_report import page as report_page
from chaos_steps.operate.experiment_report.compose import compose
from tests.operate.experiment_report.runs import (
    FAULT_MS,
    add_load,
    evidence,
    experiment,
    fill_workspace,
    hostile,
    points,
    traced,
)
from tests.servers.chromium import Chromium, Look

LOOKS = {
    "light": Look(),
    "dark": Look(scheme="dark"),
    "phone": Look(width=400),
    "phone by night": Look(width=400, scheme="dark"),
    # The width that is left on A4 paper; who prints by night still wants black on white.
    "print": Look(width=688, scheme="dark", medium="print"),
}
SCRIPT = "<script>alert(1)</script>"
LONG = "averylongname" * 16

# Texts that are not wholly seen: beyond their box, unless that can be scrolled, or beyond the drawing they are in.
CUT_OFF = """() => {
    const found = [];
    for (const element of document.querySelectorAll("body *:not(svg *)")) {
        const style = getComputedStyle(element);
        const scrolls = style.overflowX === "auto" || style.overflowX === "scroll";
        const inside = element.closest(".scroll");
        const mayScroll = inside && getComputedStyle(inside).overflowX === "auto";
        if (element.clientWidth && element.scrollWidth > element.clientWidth + 1 && !scrolls && !mayScroll)
            found.push(`${element.tagName}: ${element.textContent.slice(0, 60)}`);
    }
    for (const text of document.querySelectorAll(".plot svg text")) {
        const box = text.getBoundingClientRect(), drawing = text.closest("svg").getBoundingClientRect();
        if (box.width && (box.left < drawing.left - 1 || box.right > drawing.right + 1
            || box.top < drawing.top - 1 || box.bottom > drawing.bottom + 1))
            found.push(`drawing: ${text.textContent}`);
    }
    return found;
}"""
# Pairs of texts of one drawing that lie over one another by more than a hair.
OVER_ONE_ANOTHER = """() => {
    const found = [];
    for (const svg of document.querySelectorAll(".plot svg")) {
        const boxes = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
        boxes.forEach(([one, a], number) => boxes.slice(number + 1).forEach(([other, b]) => {
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (wide > 1 && high > 3) found.push(`${one} / ${other}`);
        }));
    }
    return found;
}"""
# The least contrast (WCAG 2.2) of a drawing's texts with the panel, and with the panel under the fault's band.
LEAST_CONTRAST = """() => {
    const channels = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const light = rgb => rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
    const probe = document.createElement("i");
    document.body.append(probe);
    const named = name => { probe.style.color = `var(--${name})`; return channels(getComputedStyle(probe).color); };
    const panel = named("panel"), fault = named("fault");
    const band = panel.map((c, i) => c * 0.87 + fault[i] * 0.13);
    const texts = [...document.querySelectorAll(".plot svg text")].filter(text => text.getBoundingClientRect().width);
    const inks = texts.map(text => channels(getComputedStyle(text).fill));
    return Math.min(...inks.flatMap(ink => [contrast(ink, panel), contrast(ink, band)]));
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """One browser for all looks; gone with this module, as its driver's event loop is in the way of others."""
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """With everything on it, with many loads and nines, and with every name a script, or too long."""
    folder = tmp_path_factory.mktemp("pages")
    crowded = fill_workspace(folder / "d")
    add_load(crowded, "client", points(FAULT_MS + 1000, 29, 3500))
    for number, name in enumerate(("warm-up", "second-client-with-a-long-name", "third", "x", "y", "z")):
        add_load(crowded, name, points(FAULT_MS + 1000 + 4000 * number, 3, 30))
    built = {
        "crowded": compose(crowded, evidence(), experiment()),
        "plain": traced(folder / "a", "The fault sits in front of the service."),
        "script": hostile(folder / "b", SCRIPT),
        "long": hostile(folder / "c", LONG),
    }
    for name, each in built.items():
        (folder / f"{name}.html").write_text(report_page.render(each))
    return {name: folder / f"{name}.html" for name in built}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["plain", "crowded", "script", "long"])
def test_a_page_fits_asks_for_nothing_and_has_nothing_to_say_to_the_console(
    chromium: Chromium, pages: dict[str, Path], name: str, look: str
) -> None:
    with chromium.view(pages[name], LOOKS[look]) as view:
        closed = view.page.locator("details:not([open]) > summary")
        while LOOKS[look].medium == "screen" and closed.count():
            closed.first.click()
        assert view.messages == []
        assert view.requests == [pages[name].as_uri()]
        width, room = view.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= room
        assert view.page.evaluate(CUT_OFF) == []
        assert name == "long" or view.page.evaluate(OVER_ONE_ANOTHER) == []


def test_a_service_named_as_a_script_is_text(chromium: Chromium, pages: dict[str, Path]) -> None:
    with chromium.view(pages["script"], Look()) as view:
        assert view.page.locator("script").count() == 0
        for heading in ("h1", "h2 >> nth=3"):
            assert SCRIPT in view.page.locator(heading).inner_text()
        assert view.page.get_by_role("rowheader", name=f"{SCRIPT} → {SCRIPT}2").count() == 2
        assert view.messages == []


def test_a_page_that_broke_the_rules_would_be_found_out(chromium: Chromium, tmp_path: Path) -> None:
    """The tests above look at what they should: a script that asks for something, and a text that is cut off."""
    page = tmp_path / "page.html"
    page.write_text(
        f"<div style='width: 90px'>{LONG}</div><script>alert(1); console.warn(2); fetch('http://x/')</script>"
    )
    with chromium.view(page, LOOKS["phone"]) as view:
        view.page.wait_for_function("performance.now() > 0")
        assert {"dialog: 1", "warning: 2"} <= set(view.messages)
        assert "http://x/" in view.requests
        assert view.page.evaluate("document.documentElement.scrollWidth") > 400
        assert len(view.page.evaluate(CUT_OFF)) == 1


def brightness(page: Page) -> float:
    """Mean of all pixels, 0 black to 1 white."""
    return float(imread(io.BytesIO(page.screenshot(full_page=True)))[..., :3].mean())


@pytest.mark.parametrize(
    ("look", "low", "high"), [("light", 0.9, 1), ("dark", 0, 0.2), ("phone by night", 0, 0.2), ("print", 0.9, 1)]
)
def test_the_page_is_dark_by_night_and_white_on_paper(
    chromium: Chromium, pages: dict[str, Path], look: str, low: float, high: float
) -> None:
    with chromium.view(pages["plain"], LOOKS[look]) as view:
        assert low < brightness(view.page) <= high


@pytest.mark.parametrize("look", LOOKS)
def test_everybody_can_read_the_page(chromium: Chromium, pages: dict[str, Path], look: str) -> None:
    """No rule of axe is broken: contrast, names of regions and images, order of headings, scope of headers."""
    with chromium.view(pages["plain"], LOOKS[look]) as view:
        assert view.page.evaluate(LEAST_CONTRAST) >= 4.5
        found: dict[str, Any] = Axe().run(view.page).response
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        assert {"color-contrast", "svg-img-alt", "heading-order"} & {each["id"] for each in found["passes"]}


@pytest.mark.parametrize(("look", "shown", "hidden"), [("light", "wide", "narrow"), ("phone", "narrow", "wide")])
def test_each_plot_is_drawn_for_the_room_there_is(
    chromium: Chromium, pages: dict[str, Path], look: str, shown: str, hidden: str
) -> None:
    with chromium.view(pages["plain"], LOOKS[look]) as view:
        for size, visible in ((shown, True), (hidden, False)):
            plots = view.page.locator(f".plot .{size}").all()
            assert [plot.is_visible() for plot in plots] == [visible, visible]


def test_on_paper_the_page_is_a_few_sheets(chromium: Chromium, pages: dict[str, Path]) -> None:
    with chromium.view(pages["plain"], Look()) as view:
        pdf = view.page.pdf(format="A4", print_background=True)
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6
