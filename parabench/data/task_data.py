"""Records for the three tasks of NeMo's notebook, from their data as published.

Sources: NeMo v1.11 ``scripts/dataset_processing/nlp``: ``financial_phrase_bank``, ``squad`` and
``intent_and_slot``. Splits, seeds and labels are theirs, so that the counts are those of the
notebook ``Multitask_Prompt_and_PTuning.ipynb``.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from parabench.contracts import UserError
from parabench.store.files import write_atomically

_Item = TypeVar("_Item")

_TRAIN_SHARE = 0.8
PHRASEBANK_SEED, SQUAD_SEED, ASSISTANT_SEED = 1234, 1234, 42
"""The seeds of NeMo's three scripts."""
_SENTIMENTS = ("positive", "neutral", "negative")
_ASSISTANT_FOLD = Path(
    "CrossValidation/autoGeneFromRealAnno/autoGene_2018_03_22-13_01_25_169/CrossValidation/KFold_1"
)
"""Where one fold lies in an unpacked copy of ``xliuhw/NLU-Evaluation-Data``."""
_SLOT = re.compile(r"\[\s*(\S+)\s+:\s+([^\[\]]*?)\s*\]|(\S+)")
"""An annotated span ``[time : seven am]``, or a word outside one."""


@dataclass(frozen=True)
class TaskSplits:
    """The records of one task for training, validation and testing.

    ``answer`` is the field that test records are written without; in ``test`` it may hold a list,
    where several answers are right. ``left_out`` counts by reason what the source has and the
    records have not; ``notes`` say what a reader of the numbers should know.
    """

    taskname: str
    answer: str
    train: Sequence[Mapping[str, Any]]
    val: Sequence[Mapping[str, Any]]
    test: Sequence[Mapping[str, Any]]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def phrasebank_records(source: Path, seed: int = PHRASEBANK_SEED) -> TaskSplits:
    """Sentiment records of Financial PhraseBank's ``Sentences_*Agree.txt`` (Malo et al. 2014).

    Lines are ``sentence@label`` in ISO-8859-1; ``seed`` shuffles them before 80 % go to training
    and the rest is halved. Raises UserError for a line of another form.
    """
    lines = _read_text(source, "ISO-8859-1").split("\n")
    records = [
        _sentiment(source, number, line) for number, line in enumerate(lines, 1) if line.strip()
    ]
    random.Random(seed).shuffle(records)
    train, val, test = _three_parts(records)
    trained = {record["sentence"] for record in train}
    repeated = sum(record["sentence"] in trained for record in (*val, *test))
    notes = (f"{repeated} sentences of val and test are in train too",) * bool(repeated)
    return TaskSplits("sentiment", "label", train, val, test, notes=notes)


def squad_records(source: Path, dev: Path | None = None, seed: int = SQUAD_SEED) -> TaskSplits:
    """Question answering records of SQuAD's JSON, version 1.1 or 2.0 (Rajpurkar et al. 2018).

    All questions about one topic are on one side of the split: ``seed`` shuffles the topics of
    ``source`` before 80 % of them go to training. With ``dev``, a file of its own is validation and
    test. Questions without an answer are left out and counted. Raises UserError for another layout.
    """
    topics = _topics(source)
    if dev is None:
        titles = list(topics)
        random.Random(seed).shuffle(titles)
        parts = _three_parts(titles)
        train, val, test = ([topics[title] for title in part] for part in parts)
    else:
        train, val = list(topics.values()), list(_topics(dev).values())
        test = val
    sides = [[question for topic in part for question in topic] for part in (train, val, test)]
    counted = sides if dev is None else sides[:2]
    unanswerable = sum(not question["answers"] for side in counted for question in side)
    first, middle, last = (
        [_question(question, index == 2) for question in side if question["answers"]]
        for index, side in enumerate(sides)
    )
    left_out = {"questions without an answer": unanswerable}
    return TaskSplits("squad", "answer", first, middle, last, left_out)


def assistant_records(folder: Path, seed: int = ASSISTANT_SEED) -> TaskSplits:
    """Intent and slot records of the assistant data (Liu et al. 2019), from one fold's csv files.

    ``folder`` is an unpacked ``NLU-Evaluation-Data``, or one with ``trainset`` and ``testset``.
    Labels are ``"\\nIntent: …\\nSlots: name(words), …"``; half of the test set is validation.
    Raises UserError where files or columns are missing.
    """
    fold = next((path for path in (folder / _ASSISTANT_FOLD, folder) if path.is_dir()), folder)
    trainset, testset = fold / "trainset", fold / "testset"
    if (testset / "csv").is_dir():
        testset = testset / "csv"
    train, test = _utterances(folder, trainset), _utterances(folder, testset)
    draw = random.Random(seed)
    draw.shuffle(train)
    half = len(test) // 2
    draw.shuffle(test)
    return TaskSplits("intent_and_slot", "label", train, test[:half], test[half:])


def write_splits(splits: TaskSplits, folder: Path, name: str) -> dict[str, Path]:
    """Write ``NAME_train.jsonl`` and its like into ``folder``; returns the paths by split.

    ``NAME_test.jsonl`` has no answers; ``NAME_test_ground_truth.jsonl`` has them.
    """
    blind = [
        {key: value for key, value in record.items() if key != splits.answer}
        for record in splits.test
    ]
    files = {
        "train": splits.train,
        "val": splits.val,
        "test": blind,
        "test_ground_truth": splits.test,
    }
    paths = {}
    for split, records in files.items():
        paths[split] = folder / f"{name}_{split}.jsonl"
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        write_atomically(paths[split], "".join(lines).encode())
    return paths


def _three_parts(items: Sequence[_Item]) -> tuple[list[_Item], list[_Item], list[_Item]]:
    """80 % of the items, then the two halves of the others; the last takes an odd one."""
    train_end = int(len(items) * _TRAIN_SHARE)
    val_end = train_end + (len(items) - train_end) // 2
    return list(items[:train_end]), list(items[train_end:val_end]), list(items[val_end:])


def _sentiment(source: Path, number: int, line: str) -> dict[str, str]:
    # The label follows the last @, since a sentence may hold one itself.
    sentence, _, label = line.rpartition("@")
    if not sentence.strip() or label.strip() not in _SENTIMENTS:
        asked = f"read line {number} of {source}"
        raise UserError(asked, f"no sentence@label in {line.strip()[:60]!r}", _SENTIMENTS)
    # The space belongs to the label, as in NeMo: the template is "… sentiment:{label}".
    return {"taskname": "sentiment", "sentence": sentence.strip(), "label": f" {label.strip()}"}


def _topics(source: Path) -> dict[str, list[dict[str, Any]]]:
    """The questions of each topic, with their context and all their answers."""
    try:
        content = json.loads(_read_text(source, "utf-8"))
    except ValueError as error:
        raise UserError(
            f"read {source}", f"not JSON ({error})", mend="use train-v2.0.json"
        ) from None
    topics: dict[str, list[dict[str, Any]]] = {}
    try:
        for topic in content["data"]:
            questions = topics.setdefault(topic["title"], [])
            for paragraph in topic["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = [answer["text"] for answer in asked["answers"]]
                    questions.append(
                        {
                            "context": paragraph["context"],
                            "question": asked["question"],
                            "answers": answers,
                        }
                    )
    except (KeyError, TypeError) as error:
        found = f"not SQuAD's layout ({type(error).__name__}: {error})"
        raise UserError(f"read {source}", found, mend="use train-v2.0.json") from None
    return topics


def _question(question: Mapping[str, Any], every_answer: bool) -> dict[str, Any]:
    answers = question["answers"]
    return {
        "taskname": "squad",
        "context": question["context"],
        "question": question["question"],
        "answer": answers if every_answer else answers[0],
    }


def _utterances(asked: Path, folder: Path) -> list[dict[str, str]]:
    """The records of a folder with one csv file for each intent, in the order of their names."""
    files = sorted(folder.glob("*.csv"))
    if not files:
        found = f"no csv files in {folder}"
        mend = "unpack https://github.com/xliuhw/NLU-Evaluation-Data and name its folder"
        raise UserError(f"read the assistant data {asked}", found, mend=mend)
    records = []
    for path in files:
        for number, line in enumerate(_read_text(path, "utf-8").splitlines(), start=1):
            if number > 1 and line.strip():
                records.append(_utterance(path, number, line))
    return records


def _utterance(path: Path, number: int, line: str) -> dict[str, str]:
    """One line: the fourth column is the annotated text, the fifth the text in quotes."""
    columns = line.split(";")
    if len(columns) < 5:
        found = f"{len(columns)} columns, 5 or more are needed"
        raise UserError(f"read line {number} of {path}", found, mend="separate them by ;")
    utterance = columns[4].strip().removeprefix('"').removesuffix('"')
    slots = _slots(columns[3].strip().removeprefix('"').removesuffix('"'))
    label = f"\nIntent: {path.stem}\nSlots: {slots}"
    return {"taskname": "intent_and_slot", "utterance": utterance, "label": label}


def _slots(annotated: str) -> str:
    """``name(words), …`` of an annotated text, or ``None``.

    Spans of one slot that touch are one, as in NeMo, which keeps a slot for each word and not where
    it begins.
    """
    spans: list[tuple[str, list[str]]] = []
    previous = ""
    for match in _SLOT.finditer(annotated):
        name, words = match[1] or "", (match[2] or "").split()
        if name and name == previous:
            spans[-1][1].extend(words)
        elif name and words:
            spans.append((name, words))
        previous = name
    return ", ".join(f"{name}({' '.join(words)})" for name, words in spans) or "None"


def _read_text(path: Path, encoding: str) -> str:
    try:
        # ISO-8859-1 decodes any bytes, so only UTF-8 can fail here.
        return path.read_text(encoding=encoding)
    except OSError as error:
        raise UserError(f"read {path}", str(error.strerror), mend="name an existing file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"read {path}", f"not UTF-8 ({error.reason})") from None
