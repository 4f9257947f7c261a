"""The long runs of this folder as tables: ``python -m tests.trust.counts`` (minutes)."""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from parabench.pipeline import runner
from tests.support import light
from tests.trust import (
    damaged_runs,
    endpoint_modes,
    model_folders,
    test_changed_adapters,
    test_hostile_corpora,
    test_loaders,
    test_sinks,
)

LOADED, SUNK = 10_000, 5_000


def changed_run(folder: Path, number: int) -> Counter[str]:
    plan = light.plan(folder)
    runner.run_plan(plan)
    return test_loaders.mangled(plan.folder, number)


def reading(share: float = 1.0) -> None:
    """Loaders and folders, each in a process's own temporary folder, so often as ``share`` says."""
    number = round(LOADED * share)
    sources: dict[str, Callable[[Path], Counter[str]]] = {
        name: partial(test_loaders.fuzz, name=name, number=number) for name in test_loaders.LOADERS
    }
    sources |= {"finished runs, each file in turn": partial(changed_run, number=number // 6)}
    sources |= {
        f"corpora, {name}": partial(test_hostile_corpora.fuzz, form=name, number=number)
        for name in test_hostile_corpora.CONTENT
    }
    sources |= {
        f"corpora, packed as {ending}": partial(
            test_hostile_corpora.fuzz_packed, ending=ending, number=number
        )
        for ending in (".gz", ".zst", ".zip")
    }
    sources |= {
        "adapters, each file in turn": partial(test_changed_adapters.changed, number=number // 4)
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


def writing(share: float = 1.0) -> None:
    """Sinks and pages, with so many payloads as ``share`` says."""
    number = round(SUNK * share)
    print("\n## Foreign text where it is written\n")
    print("| written to | payloads | escapes | escapes without the escaping (control) |")
    print("| --- | ---: | ---: | ---: |")
    texts = test_sinks.payloads(number, seed=1)
    for name, escapes in test_sinks.ESCAPES.items():
        found, control = (
            sum(map(escapes, texts)),
            sum(escapes(text, test_sinks.plain) for text in texts),
        )
        print(f"| {name} | {len(texts)} | {found} | {control} |", flush=True)
    found, pages = 0, list(test_sinks.pages(number, min(250, number), seed=2))
    for page, expected in pages:
        try:
            test_sinks.check_page(page, expected)
        except (AssertionError, ValueError) as error:
            print("page", error, file=sys.stderr)
            found += 1
    print(f"| {len(pages)} HTML pages | {min(250, number) * len(pages)} | {found} | |", flush=True)


LISTS: dict[str, Callable[[Path], Counter[str]]] = {
    "run folders, each file damaged, edited or exchanged": partial(
        damaged_runs.counted, say=partial(print, file=sys.stderr)
    ),
    "model folders": partial(model_folders.counted, say=partial(print, file=sys.stderr)),
    "what a server answers": lambda _: endpoint_modes.counted(say=partial(print, file=sys.stderr)),
}


def lists() -> None:
    """Folders and servers of the three lists, each with what it must come to."""
    print("\n## Damaged runs, changed models, servers that misbehave\n")
    print("Each was met as it should: what the list says of it is what came of it.\n")
    print(
        "| what | how many | what came of them | wrong |\n| --- | ---: | --- | ---: |", flush=True
    )
    for name, count in LISTS.items():
        with tempfile.TemporaryDirectory() as folder:
            tally = count(Path(folder))
        wrong = tally.pop("wrong", 0)
        came = ", ".join(f"{kind} {number}" for kind, number in tally.items())
        print(f"| {name} | {tally.total() + wrong} | {came} | {wrong} |", flush=True)


if __name__ == "__main__":
    reading()
    writing()
    lists()
