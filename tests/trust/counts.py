"""The long runs of this folder as tables: ``python -m tests.trust.counts`` (minutes)."""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from parabench.pipeline import runner
from tests.support import light
from tests.trust import test_changed_adapters, test_hostile_corpora, test_loaders, test_sinks

LOADED, SUNK = 10_000, 5_000


def changed_run(folder: Path) -> Counter[str]:
    plan = light.plan(folder)
    runner.run_plan(plan)
    return test_loaders.mangled(plan.folder, LOADED // 6)


def reading() -> None:
    """Loaders and folders, each in a process's own temporary folder."""
    sources: dict[str, Callable[[Path], Counter[str]]] = {
        name: partial(test_loaders.fuzz, name=name, number=LOADED) for name in test_loaders.LOADERS
    }
    sources |= {"finished runs, each file in turn": changed_run}
    sources |= {
        f"corpora, {name}": partial(test_hostile_corpora.fuzz, form=name, number=LOADED)
        for name in test_hostile_corpora.CONTENT
    }
    sources |= {
        f"corpora, packed as {ending}": partial(
            test_hostile_corpora.fuzz_packed, ending=ending, number=LOADED
        )
        for ending in (".gz", ".zst", ".zip")
    }
    sources |= {
        "adapters, each file in turn": partial(test_changed_adapters.changed, number=LOADED // 4)
    }
    print("\n## Bytes that nobody meant\n")
    print(
        "Damaged, hostile and arbitrary bytes; "
        "what is taken is compared with a plain reading of the same bytes.\n"
    )
    print("| read | inputs | refused with a message | taken exactly | crashed, hung or misread |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, read in sources.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                tally, wrong = read(Path(folder)), 0
            except Exception as error:
                print(name, error, file=sys.stderr)
                tally, wrong = Counter(), 1
        taken = tally.total() - tally["refused"]
        print(f"| {name} | {tally.total()} | {tally['refused']} | {taken} | {wrong} |", flush=True)


def writing() -> None:
    """Sinks and pages."""
    print("\n## Foreign text where it is written\n")
    print("| written to | payloads | escapes | escapes without the escaping (control) |")
    print("| --- | ---: | ---: | ---: |")
    texts = test_sinks.payloads(SUNK, seed=1)
    for name, escapes in test_sinks.ESCAPES.items():
        found, control = (
            sum(map(escapes, texts)),
            sum(escapes(text, test_sinks.plain) for text in texts),
        )
        print(f"| {name} | {len(texts)} | {found} | {control} |", flush=True)
    found, pages = 0, list(test_sinks.pages(SUNK, 250, seed=2))
    for page, expected in pages:
        try:
            test_sinks.check_page(page, expected)
        except (AssertionError, ValueError) as error:
            print("page", error, file=sys.stderr)
            found += 1
    print(f"| {len(pages)} HTML pages | {250 * len(pages)} | {found} | |", flush=True)


if __name__ == "__main__":
    reading()
    writing()
