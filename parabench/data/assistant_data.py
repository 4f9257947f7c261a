"""Intent and slot records of the assistant data, as NeMo's notebook makes them.

Source: NeMo v1.11 ``scripts/dataset_processing/nlp/intent_and_slot``.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from parabench.contracts import UserError
from parabench.data.task_data import TaskSplits, read_text

ASSISTANT_SEED = 42
"""The seed of NeMo's script."""
_ASSISTANT_FOLD = Path(
    "CrossValidation/autoGeneFromRealAnno/autoGene_2018_03_22-13_01_25_169/CrossValidation/KFold_1"
)
"""Where one fold lies in an unpacked copy of ``xliuhw/NLU-Evaluation-Data``."""
_SLOT = re.compile(r"\[\s*(\S+)\s+:\s+([^\[\]]*?)\s*\]|(\S+)")
"""An annotated span ``[time : seven am]``, or a word outside one."""


def assistant_records(folder: Path, seed: int = ASSISTANT_SEED) -> TaskSplits:
    """Intent and slot records of the assistant data (Liu et al. 2019), from one fold's csv files.

    ``folder`` is an unpacked ``NLU-Evaluation-Data``, or one with ``trainset`` and ``testset``.
    Labels are ``"\\nIntent: …\\nSlots: name(words), …"``; half of the test set is validation.
    Raises UserError where files or columns are missing.
    """
    unpacked = folder / _ASSISTANT_FOLD
    fold = unpacked if unpacked.is_dir() else folder
    trainset = fold / "trainset"
    testset = fold / "testset"
    # some copies of the data have a folder more there
    if (testset / "csv").is_dir():
        testset = testset / "csv"
    train = _utterances(folder, trainset)
    test = _utterances(folder, testset)
    # one generator for both, in this order: the records are then those of NeMo's script
    draw = random.Random(seed)
    draw.shuffle(train)
    draw.shuffle(test)
    half = len(test) // 2
    return TaskSplits(
        "intent_and_slot",
        "label",
        train,
        test[:half],
        test[half:],
    )


def _utterances(asked: Path, folder: Path) -> list[dict[str, str]]:
    """The records of a folder with one csv file for each intent, in the order of their names."""
    files = sorted(folder.glob("*.csv"))
    if not files:
        found = f"no csv files in {folder}"
        mend = "unpack https://github.com/xliuhw/NLU-Evaluation-Data and name its folder"
        raise UserError(
            f"read the assistant data {asked}",
            found,
            mend=mend,
        )
    records = []
    for path in files:
        lines = read_text(path, "utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            # the first line is a header
            if number > 1 and line.strip():
                records.append(_utterance(path, number, line))
    return records


def _utterance(
    path: Path,
    number: int,
    line: str,
) -> dict[str, str]:
    """One line: the fourth column is the annotated text, the fifth the text in quotes."""
    columns = line.split(";")
    if len(columns) < 5:
        found = f"{len(columns)} columns, 5 or more are needed"
        raise UserError(
            f"read line {number} of {path}",
            found,
            mend="separate them by ;",
        )
    utterance = _without_quotes(columns[4])
    slots = _slots(_without_quotes(columns[3]))
    label = f"\nIntent: {path.stem}\nSlots: {slots}"
    return {"taskname": "intent_and_slot", "utterance": utterance, "label": label}


def _without_quotes(cell: str) -> str:
    # one pair, and not strip('"'): a text may begin or end with a quote of its own
    return cell.strip().removeprefix('"').removesuffix('"')


def _slots(annotated: str) -> str:
    """``name(words), …`` of an annotated text, or ``None``.

    Spans of one slot that touch are one, as in NeMo, which keeps a slot for each word and not where
    it begins.
    """
    spans: list[tuple[str, list[str]]] = []
    previous = ""
    for match in _SLOT.finditer(annotated):
        # a word outside a span has no name, and ends the slot before it
        name = match[1] or ""
        words = (match[2] or "").split()
        if name and name == previous:
            spans[-1][1].extend(words)
        elif name and words:
            spans.append((name, words))
        previous = name
    labels = [f"{name}({' '.join(words)})" for name, words in spans]
    return ", ".join(labels) or "None"
