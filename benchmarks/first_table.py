"""When a large page shows its table, in headless Chromium: ``python -m benchmarks.first_table``.

The page is that of 10 systems and 15 controls on 500 examples, in 24 columns, as the browser tests
have it. Chromium tells the first paint itself (Paint Timing, W3C), counted from the opening of the
file; the table is in it where its first rows are within the window, which is checked.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from parabench.report.page import page_html
from tests.support.pages import large

WINDOWS = {"a wide window": (1400, 900), "a phone": (390, 844)}
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
FLAGS = ["--no-sandbox", "--disable-gpu"]


def measure(rounds: int) -> str:
    """A Markdown table: bytes of the page, and milliseconds to the first paint in each window.

    Raises SystemExit where no Chromium is installed, or a window shows no row at once.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium is installed")
    html = page_html(large()).encode()
    lines = [
        "| window | MB | ms to the first paint, median | best | worst |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "report.html"
        file.write_bytes(html)
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS, timeout=120_000)
        for name, (width, height) in WINDOWS.items():
            times = []
            for _ in range(rounds):
                # A context of its own: nothing is cached from the round before.
                context = browser.new_context(viewport={"width": width, "height": height})
                tab = context.new_page()
                tab.goto(file.as_uri())
                times.append(float(tab.evaluate(PAINTED)))
                top = tab.locator(".board tbody tr:visible").first.bounding_box()
                if top is None or top["y"] > height:
                    raise SystemExit(f"{name} shows no row of the table at once")
                context.close()
            middle = statistics.median(times)
            numbers = f"{middle:.0f} | {min(times):.0f} | {max(times):.0f}"
            lines.append(f"| {name} | {len(html) / 1e6:.1f} | {numbers} |")
        browser.close()
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_table", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="openings of each window (default 7)")
    print(measure(parser.parse_args(arguments).rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
