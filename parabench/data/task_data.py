"""Records for the tasks of NeMo's notebook, from their data as published.

Sources: NeMo v1.11 ``scripts/dataset_processing/nlp``: ``financial_phrase_bank``, ``squad`` and
``intent_and_slot``. Splits, seeds and labels are theirs, so that the counts are those of the
notebook ``Multitask_Prompt_and_PTuning.ipynb``.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from parabench.contracts import UserError
from parabench.data.text_files import read_whole
from parabench.store.files import write_atomically

_Item = TypeVar("_Item")

_LARGEST = 256 * 2**20
"""Bytes of a file, which is held whole; SQuAD's has 42 million."""
_TRAIN_SHARE = 0.8
PHRASEBANK_SEED, SQUAD_SEED = 1234, 1234
"""The seeds of NeMo's scripts."""
_SENTIMENTS = ("positive", "neutral", "negative")


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
    lines = read_text(source, "ISO-8859-1").split("\n")
    records = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            records.append(_sentiment(source, number, line))
    random.Random(seed).shuffle(records)
    train, val, test = _three_parts(records)
    # NeMo's split leaves these in: the counts stay its own, and the reader is told
    trained = {record["sentence"] for record in train}
    repeated = sum(record["sentence"] in trained for record in (*val, *test))
    notes: tuple[str, ...] = ()
    if repeated:
        notes = (f"{repeated} sentences of val and test are in train too",)
    return TaskSplits("sentiment", "label", train, val, test, notes=notes)


def squad_records(
    source: Path,
    dev: Path | None = None,
    seed: int = SQUAD_SEED,
) -> TaskSplits:
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
        sides = [_questions(topics, part) for part in parts]
    else:
        others = _topics(dev)
        held_out = _questions(others, others)
        sides = [_questions(topics, topics), held_out, held_out]
    # where the last two sides are one file, its questions are counted once
    counted = sides if dev is None else sides[:2]
    unanswerable = sum(not question["answers"] for question in chain.from_iterable(counted))
    # a test record keeps every answer that is right; training learns the first
    first = _answered(sides[0], every_answer=False)
    middle = _answered(sides[1], every_answer=False)
    last = _answered(sides[2], every_answer=True)
    left_out = {"questions without an answer": unanswerable}
    return TaskSplits("squad", "answer", first, middle, last, left_out)


def write_splits(
    splits: TaskSplits,
    folder: Path,
    name: str,
) -> dict[str, Path]:
    """Write ``NAME_train.jsonl`` and its like into ``folder``; returns the paths by split.

    ``splits``: the records. ``name``: begins the file names. ``NAME_test.jsonl`` has no answers;
    ``NAME_test_ground_truth.jsonl`` has them.

    Raises UserError where the folder cannot be written.
    """
    blind = []
    for record in splits.test:
        without_answer = dict(record)
        without_answer.pop(splits.answer, None)
        blind.append(without_answer)
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
        content = "".join(lines)
        write_atomically(paths[split], content.encode())
    return paths


def _three_parts(items: Sequence[_Item]) -> tuple[list[_Item], list[_Item], list[_Item]]:
    """80 % of the items, then the two halves of the others; the last takes an odd one."""
    train_end = int(len(items) * _TRAIN_SHARE)
    others = len(items) - train_end
    val_end = train_end + others // 2
    train = items[:train_end]
    val = items[train_end:val_end]
    test = items[val_end:]
    return list(train), list(val), list(test)


def _sentiment(
    source: Path,
    number: int,
    line: str,
) -> dict[str, str]:
    # The label follows the last @, since a sentence may hold one itself.
    sentence, _, label = line.rpartition("@")
    sentence = sentence.strip()
    label = label.strip()
    if not sentence or label not in _SENTIMENTS:
        asked = f"read line {number} of {source}"
        shown = line.strip()[:60]
        raise UserError(asked, f"no sentence@label in {shown!r}", _SENTIMENTS)
    # The space belongs to the label, as in NeMo: the template is "… sentiment:{label}".
    return {"taskname": "sentiment", "sentence": sentence, "label": f" {label}"}


def _topics(source: Path) -> dict[str, list[dict[str, Any]]]:
    """The questions of each topic, with their context and all their answers."""
    asked = f"read {source}"
    mend = "use train-v2.0.json"
    try:
        content = json.loads(read_text(source, "utf-8"))
    except ValueError as error:
        raise UserError(asked, f"not JSON ({error})", mend=mend) from None
    topics: dict[str, list[dict[str, Any]]] = {}
    try:
        for topic in content["data"]:
            # a title that occurs twice is one topic
            questions = topics.setdefault(topic["title"], [])
            for paragraph in topic["paragraphs"]:
                questions += _paragraph_questions(paragraph)
    except (KeyError, TypeError) as error:
        found = f"not SQuAD's layout ({type(error).__name__}: {error})"
        raise UserError(asked, found, mend=mend) from None
    return topics


def _paragraph_questions(paragraph: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The questions about a paragraph, each with its context and all answers."""
    found = []
    for question in paragraph["qas"]:
        answers = [answer["text"] for answer in question["answers"]]
        found.append(
            {
                "context": paragraph["context"],
                "question": question["question"],
                "answers": answers,
            }
        )
    return found


def _questions(
    topics: Mapping[str, Sequence[Mapping[str, Any]]],
    titles: Iterable[str],
) -> list[Mapping[str, Any]]:
    """All questions about the topics of these titles, in their order."""
    found = list[Mapping[str, Any]]()
    for title in titles:
        found += topics[title]
    return found


def _answered(questions: Sequence[Mapping[str, Any]], every_answer: bool) -> list[dict[str, Any]]:
    """The records of the questions that have an answer."""
    return [_question(one, every_answer) for one in questions if one["answers"]]


def _question(question: Mapping[str, Any], every_answer: bool) -> dict[str, Any]:
    answers = question["answers"]
    return {
        "taskname": "squad",
        "context": question["context"],
        "question": question["question"],
        "answer": answers if every_answer else answers[0],
    }


def read_text(path: Path, encoding: str) -> str:
    """The text of a whole file. Raises UserError where it cannot be read."""
    try:
        # ISO-8859-1 decodes any bytes, so only UTF-8 can fail here.
        data = read_whole(path, _LARGEST)
        # as text files are read everywhere in Python: all line ends become line feeds
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except OSError as error:
        raise UserError(
            f"read {path}",
            str(error.strerror),
            mend="name an existing file",
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"read {path}", f"not UTF-8 ({error.reason})") from None
