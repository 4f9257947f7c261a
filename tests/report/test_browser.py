"""The page in a real browser: sorting, filters, links, keyboard, hostile text, nothing loaded, no
barrier found.
"""

import pytest

from parabench.report.page import page_html
from tests.support.pages import PAYLOADS, page

pytestmark = pytest.mark.slow


def open_page(browser, folder, text="", **context):
    file = folder / "report.html"
    file.write_text(page_html(page(text)), encoding="utf-8")
    tab = browser.new_context(**context).new_page()
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


def systems(tab) -> list[str]:
    return [cell.split(" (")[0] for cell in tab.locator(".board tbody th").all_text_contents()]


def test_sorting_by_a_column_and_back(browser, tmp_path):
    tab = open_page(browser, tmp_path)
    assert systems(tab) == ["softprompt-111", "bart", "copy", "zeroshot"]
    head = tab.locator(".board th", has_text="self-bleu")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert systems(tab) == ["zeroshot", "softprompt-111", "bart", "copy"]
    head.locator("button").click()
    assert systems(tab) == ["copy", "bart", "softprompt-111", "zeroshot"]
    tab.locator(".board th", has_text="system").locator("button").click()
    assert systems(tab) == ["bart", "copy", "softprompt-111", "zeroshot"]
    assert tab.heard == []


def test_undefined_values_sort_last_both_ways(browser, tmp_path):
    tab = open_page(browser, tmp_path)
    button = tab.locator(".board th", has_text="length").locator("button")
    for _ in range(2):
        button.click()
        assert systems(tab)[-1] == "zeroshot"


def test_filters_search_and_links(browser, tmp_path):
    tab = open_page(browser, tmp_path)
    assert tab.locator(".sample").count() == 3
    tab.select_option("[name=show]", "failed")
    assert tab.locator(".sample h3 a").all_inner_texts() == ["# e0", "# e2"]
    tab.select_option("[name=show]", "all")
    tab.fill("[name=search]", "FELINE")
    assert tab.locator(".sample h3 a").all_inner_texts() == ["# e1"]
    assert "search=FELINE" in tab.url
    tab.fill("[name=search]", "")
    tab.select_option("[name=order]", "worst")
    tab.select_option("[name=system]", "bart")
    assert tab.locator(".sample h3 a").all_inner_texts()[-1] == "# e2"
    tab.locator(".sample h3 a", has_text="e1").click()
    assert tab.locator(".sample").count() == 1
    link = tab.url
    tab.goto("about:blank")
    tab.goto(link)
    assert tab.locator(".sample h3 a").all_inner_texts() == ["# e1"]
    tab.locator("#count a").click()
    assert tab.locator(".sample").count() == 3
    assert tab.heard == []


def test_explanations_open_on_focus_and_close_on_escape(browser, tmp_path):
    tab = open_page(browser, tmp_path)
    tab.locator(".board th", has_text="bleu").nth(1).locator("button").focus()
    assert "Does not rank here: copy beats human" in tab.locator("#tip").inner_text()
    tab.keyboard.press("Escape")
    assert tab.locator("#tip").is_hidden()


@pytest.mark.parametrize("payload", PAYLOADS[:2])
def test_hostile_text_stays_text(browser, tmp_path, payload):
    tab = open_page(browser, tmp_path, payload)
    tab.fill("[name=search]", payload[:9])
    assert tab.locator(".sample").count() == 3
    tab.locator(".sample h3 a").first.click()
    assert payload in tab.locator(".sample .source").inner_text()
    assert tab.locator("img, .sample script, .sample b").count() == 0
    assert tab.heard == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_no_barrier_and_no_sideways_scrolling(browser, tmp_path, width, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    tab = open_page(
        browser, tmp_path, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert [item["id"] for item in axe.Axe().run(tab).response["violations"]] == []
