"""Source files of the three demonstration tasks, in the embedded language and their publishers'
layouts.

Financial PhraseBank's text file, SQuAD's JSON and the assistant data's csv files, so that the page
``docs/tasks.md`` can be run from the first cell of NeMo's notebook on without a download. Every
text is drawn from word lists with a seed; nothing is taken from the published data.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parabench.store.files import write_atomically

_PLACES = (
    "Delhi",
    "Nairobi",
    "Paris",
    "London",
    "Berlin",
    "Rome",
    "Oslo",
    "Lima",
    "Cairo",
    "Tokyo",
)
_GOODS = ("rice", "tea", "bread", "wood", "wheat", "milk", "sugar", "coffee", "paper", "wool")
_RISES, _FALLS = ("rose", "increased", "went up"), ("fell", "decreased", "went down")
_NEUTRAL = ("stayed the same", "will be announced", "was not mentioned")
_PEOPLE = ("barber", "teacher", "driver", "farmer", "doctor", "painter", "baker", "nurse", "clerk")
_THINGS = ("boat", "piano", "bicycle", "house", "clock", "lamp", "letter", "bottle", "garden")
_DEEDS = ("sold", "bought", "painted", "found", "lost", "repaired", "wanted", "saw")
_HOURS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TIMES = tuple(f"{hour} {half}" for hour in _HOURS for half in ("am", "pm"))
_DAYS = ("today", "tomorrow", "tonight", "on Monday", "on Tuesday", "on Friday", "on Sunday")

_INTENTS: dict[str, tuple[str, ...]] = {
    "alarm_set": ("wake me at {time} {date}", "set an alarm for {time} {date}"),
    "weather_query": ("will it rain in {place_name} {date}", "{date} in {place_name} the weather"),
    "transport_taxi": ("a taxi to {place_name} at {time}", "at {time} i go to {place_name}"),
    "play_music": ("play the song {song} by the {artist}", "play something about a {song} {date}"),
}
_SLOT_VALUES = {
    "time": _TIMES,
    "date": _DAYS,
    "place_name": _PLACES,
    "artist": _PEOPLE,
    "song": _THINGS,
}


def write_task_sources(folder: Path, seed: int = 0, size: int = 600) -> dict[str, Path]:
    """Write the three sources into ``folder``; returns the path of each, by the task's name.

    ``size`` is the number of sentences and, about, of questions and of utterances.
    """
    paths = {
        "sentiment": folder / "Sentences_AllAgree.txt",
        "squad": folder / "train-v2.0.json",
        "intent_and_slot": folder / "NLU-Evaluation-Data",
    }
    draw = random.Random(f"task-sources-{seed}")
    # As published: Latin-1, the label behind an @, and lines that end as on Windows.
    lines = [f"{text}@{label}\r\n" for text, label in _sentiments(draw, size)]
    sentences = "".join(lines)
    write_atomically(paths["sentiment"], sentences.encode("ISO-8859-1"))
    topics = list(_topics(draw, size))
    squad = json.dumps({"version": "v2.0", "data": topics})
    write_atomically(paths["squad"], squad.encode())
    seen = set[str]()
    for side, count in (("trainset", size), ("testset", size // 5)):
        utterances = _utterances(draw, count, seen)
        _write_intents(paths["intent_and_slot"] / side, utterances)
    return paths


def _write_intents(folder: Path, utterances: Mapping[str, Sequence[str]]) -> None:
    """One file an intent, whose name is the file's."""
    for intent, rows in utterances.items():
        content = "\n".join(rows) + "\n"
        write_atomically(folder / f"{intent}.csv", content.encode())


def _sentiments(draw: random.Random, size: int) -> Iterator[tuple[str, str]]:
    """Distinct sentences, so that none is on both sides of a split."""
    verbs_of = {"positive": _RISES, "negative": _FALLS, "neutral": _NEUTRAL}
    labels = tuple(verbs_of)
    seen = set[str]()
    while len(seen) < size:
        label = draw.choice(labels)
        verbs = verbs_of[label]
        # The order of draws is part of what a seed gives.
        amount = ""
        if label != "neutral":
            percent = draw.randrange(2, 60)
            amount = f" by {percent} percent"
        goods = draw.choice(_GOODS)
        place = draw.choice(_PLACES)
        verb = draw.choice(verbs)
        day = draw.choice(_DAYS)
        text = f"The sales of {goods} in {place} {verb}{amount} {day} ."
        if text not in seen:
            seen.add(text)
            yield text, label


def _topics(draw: random.Random, size: int) -> Iterator[dict[str, Any]]:
    """Topics of ten questions that have an answer, and five that have none."""
    count = max(size // 10, 1)
    for number in range(count):
        paragraphs = [_paragraph(draw, f"{number}-{part}") for part in range(5)]
        yield {"title": f"Topic {number}", "paragraphs": paragraphs}


def _paragraph(draw: random.Random, name: str) -> dict[str, Any]:
    person = draw.choice(_PEOPLE)
    thing = draw.choice(_THINGS)
    deed = draw.choice(_DEEDS)
    place = draw.choice(_PLACES)
    day = draw.choice(_DAYS)
    context = f"The {person} {deed} the {thing} in {place} {day} ."
    questions = {
        "Who was it?": f"The {person}",
        "Where was it?": place,
        "Why was it?": "",
    }
    asked = []
    for number, (question, answer) in enumerate(questions.items()):
        answers = list[dict[str, Any]]()
        # The published files give the answer's first character; no answer is an empty list.
        if answer:
            start = context.find(answer)
            answers.append({"text": answer, "answer_start": start})
        asked.append(
            {
                "id": f"{name}-{number}",
                "question": question,
                "answers": answers,
                "is_impossible": not answer,
            }
        )
    return {"context": context, "qas": asked}


def _utterances(draw: random.Random, size: int, seen: set[str]) -> dict[str, list[str]]:
    """The csv lines of each intent: a header, then annotated and plain text in columns 4 and 5.

    What is among ``seen`` is not drawn again, so that no test utterance was trained on.
    """
    header = "userid;answerid;scenario;answer_annotation;answer_normalised;answer"
    intents = list(_INTENTS)
    lines = {intent: [header] for intent in intents}
    enough = len(seen) + size
    while len(seen) < enough:
        intent = draw.choice(intents)
        pattern = draw.choice(_INTENTS[intent])
        values = {}
        annotated = {}
        # Every slot is drawn, though a pattern names few of them: the draws stay in step.
        for slot, choices in _SLOT_VALUES.items():
            value = draw.choice(choices)
            values[slot] = value
            annotated[slot] = f"[{slot} : {value}]"
        plain = pattern.format(**values)
        marked = pattern.format(**annotated)
        if plain in seen:
            continue
        seen.add(plain)
        number = len(seen)
        lines[intent].append(f'1;{number};demo;{marked};"{plain}";{plain}')
    return lines
