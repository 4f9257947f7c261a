"""The prompt map in a real browser: pointing, zooming, legend, search, time, hostile tokens,
nothing loaded.
"""

import pytest

from parabench.explore.mappage import map_to_html
from tests.support.maps import small
from tests.support.pages import PAYLOADS

pytestmark = pytest.mark.slow


def open_map(browser, folder, text="", **context):
    file = folder / "map.html"
    file.write_text(map_to_html(small(text)), encoding="utf-8")
    tab = browser.new_context(**{"viewport": {"width": 1280, "height": 1400}, **context}).new_page()
    tab.set_default_timeout(60_000)
    tab.heard = []
    tab.on("console", lambda message: tab.heard.append(message.text))
    tab.on("pageerror", lambda error: tab.heard.append(str(error)))
    tab.on("dialog", lambda dialog: tab.heard.append("dialog") or dialog.dismiss())
    tab.on(
        "request",
        lambda request: request.url.startswith(file.as_uri()) or tab.heard.append(request.url),
    )
    tab.goto(file.as_uri())
    return tab


def point_at(tab, prompt, row):
    """Move the mouse to where the page says that a row of a prompt is drawn."""
    x, y = tab.evaluate(f"toScreen(...place(data.prompts[{prompt}], {row}))")
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.move(box["x"] + x, box["y"] + y)
    return tab.locator("#tip")


def test_pointing_names_position_and_neighbours(browser, tmp_path):
    tab = open_map(browser, tmp_path)
    tip = point_at(tab, 0, 2)
    assert "softprompt-3, position 2" in tip.inner_text()
    assert "␣cat 0.50, =1+2 0.25" in tip.inner_text()
    tab.keyboard.press("Escape")
    assert tip.is_hidden()
    tab.uncheck("[data-prompt='0']")
    assert not (
        point_at(tab, 0, 2).is_visible() and "softprompt-3" in tab.locator("#tip").inner_text()
    )
    assert tab.heard == []


def test_zooming_moving_and_back(browser, tmp_path):
    tab = open_map(browser, tmp_path)
    whole = tab.evaluate("({...view})")
    tab.get_by_label("Zoom in").click()
    assert tab.evaluate("view.scale") == pytest.approx(1.5 * whole["scale"])
    tab.locator("#canvas").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("view.x") > whole["x"]
    box = tab.locator("#canvas").bounding_box()
    tab.mouse.move(box["x"] + 200, box["y"] + 100)
    fixed = (
        "[view.x + (200 - canvas.clientWidth / 2) / view.scale, "
        "view.y - (100 - canvas.clientHeight / 2) / view.scale]"
    )
    before = tab.evaluate(fixed)
    tab.mouse.wheel(0, -200)
    tab.wait_for_function(f"view.scale > {1.6 * whole['scale']}")
    assert tab.evaluate(fixed) == pytest.approx(before, abs=1 / whole["scale"])  # a pixel
    tab.locator("#canvas").focus()
    tab.keyboard.press("0")
    assert tab.evaluate("({...view})") == whole
    assert tab.heard == []


def test_time_goes_through_the_snapshots(browser, tmp_path):
    tab = open_map(browser, tmp_path)
    for value, text in (
        (0, "initial prompts"),
        (500, "softprompt-3: step 10; imported: kept"),
        (1000, "kept prompts"),
    ):
        tab.locator("#time").fill(str(value))
        assert tab.locator("#step").inner_text() == text
    tab.locator("#time").fill("500")
    assert tab.evaluate("place(data.prompts[0], 1)") == tab.evaluate(
        "data.prompts[0].path[1].map((axis) => axis[1])"
    )
    assert tab.heard == []


@pytest.mark.parametrize("payload", ["", PAYLOADS[0]])
def test_search_and_hostile_tokens(browser, tmp_path, payload):
    tab = open_map(browser, tmp_path, payload)
    tab.fill("#find", "TOK")
    assert tab.locator("#found").inner_text().startswith("9 tokens")
    assert point_at(tab, 0, 0).is_visible()
    assert tab.locator("img, b script, #tip *").count() == 0
    assert tab.heard == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_no_barrier_and_no_sideways_scrolling(browser, tmp_path, width, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    tab = open_map(browser, tmp_path, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert [item["id"] for item in axe.Axe().run(tab).response["violations"]] == []
