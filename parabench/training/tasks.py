"""Several tasks in one training: a TOML file with a table for each.

    [paraphrase]
    data = "parabank2:parabank2.tsv=0.5,paranmt:para-nmt-5m-processed.txt=0.5"

    [simplify]
    data = "tsv:simple.tsv"
    template = "{source}\\nsimpler: {target}"
    virtual_tokens = 10
    share = 0.3

``virtual_tokens`` is otherwise the number in the trained system's name, ``share`` (of the rows
drawn) 1 for each.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parabench.contracts import UserError
from parabench.data import specs, training_set
from parabench.data.filters import TextPair
from parabench.data.leakage import TestSentences
from parabench.data.skipped import SkipCounts
from parabench.data.specs import CorpusSpec
from parabench.data.text_files import read_whole
from parabench.data.training_set import Mix
from parabench.prompts.templates import Template
from parabench.training.encoding import TaskPair
from parabench.training.requests import TrainingData

_LARGEST = 1 << 20
"""Bytes of a file of tasks."""
_EXAMPLE = 'a table [NAME] for each task, with data = "FORMAT:PATH"'


class TrainingTask(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    template: str = "{source}\n{target}"
    virtual_tokens: int | None = Field(None, ge=1)
    share: float = Field(1.0, gt=0)


@dataclass(frozen=True)
class TaggedPairs:
    """Pairs of one task, each after the task's name; it can be iterated over more than once."""

    task: str
    pairs: Iterable[TextPair]

    def __iter__(self) -> Iterator[TaskPair]:
        return ((self.task, pair) for pair in self.pairs)


def read_tasks(path: Path) -> Mapping[str, TrainingTask]:
    """The tasks of a file, by name.

    Raises UserError where the file cannot be read or is no valid list of tasks, and for a name that
    cannot be part of a folder's.
    """
    try:
        tables = tomllib.loads(read_whole(path, _LARGEST).decode())
        tasks = {name: TrainingTask.model_validate(table) for name, table in tables.items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(
            f"read the tasks {path}", getattr(error, "strerror", None) or str(error), mend=_EXAMPLE
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        found = f"{where}: {first['msg']}"
        raise UserError(f"read the tasks {path}", found, mend=_EXAMPLE) from None
    for name in tasks:
        # The name of a task is the end of a folder's name.
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise UserError(
                f"read the tasks {path}",
                f"a task named {name!r}",
                mend="lower-case letters and digits",
            )
    if not tasks:
        raise UserError(f"read the tasks {path}", "no task", mend=_EXAMPLE)
    return tasks


def task_templates(tasks: Mapping[str, TrainingTask], length: int) -> tuple[Template, ...]:
    """The templates of ``tasks``, their virtual tokens in front.

    A task that does not say how many it has gets ``length`` of them.
    """
    templates = []
    for name, task in tasks.items():
        virtual = task.virtual_tokens or length
        # In front, where other tools can read the prompt too.
        text = f"<|VIRTUAL_PROMPT_0|>{task.template}"
        template = Template(
            name, text, virtual, (virtual,), "source", "target", answer_only_loss=True
        )
        templates.append(template)
    return tuple(templates)


def prepare_tasks(
    tasks: Mapping[str, TrainingTask], length: int, test: TestSentences, dev: int, seed: int
) -> tuple[TrainingData, Sequence[SkipCounts]]:
    """The pairs of all ``tasks`` mixed by their shares, and about ``dev`` held out of each.

    They are split, and cleared of the ``test`` sentences, as one data set, so no sentence held out
    of one task is trained on in another. ``length`` is the default number of virtual tokens,
    ``seed`` that of the draws. Returns the counts of skipped rows too, by corpus. Raises UserError
    where no pair of a task can be held out.
    """
    corpora = list(_corpora(tasks))
    names = [name for name, _ in corpora]
    corpus_specs = [spec for _, spec in corpora]
    found = training_set.prepare_training_set(corpus_specs, test, dev, seed, names)
    # A task may have several corpora; each stands here with its task's name.
    by_corpus = list(zip(names, found.corpora, found.held_out, strict=True))
    for name in tasks:
        held_out = [pair for other, _, held in by_corpus if other == name for pair in held]
        if dev and not held_out:
            raise UserError(
                f"hold pairs of the task {name!r} out",
                "all its sentences are linked to each other",
                mend="--dev 0",
            )
    tagged = tuple(TaggedPairs(name, corpus) for name, corpus, _ in by_corpus)
    shares = tuple(spec.share for spec in corpus_specs)
    dev_pairs = tuple((name, pair) for name, _, held in by_corpus for pair in held)
    settings = []
    for name, task in tasks.items():
        # The data are known by what they hold, and not by where they lie.
        described = task.model_dump_json(exclude={"data"})
        settings.append(f"{name} {described}")
    facts = {
        "tasks": "; ".join(settings),
        "data": found.fingerprint,
        "pairs": sum(tally.kept for tally in found.tallies),
        "dev": len(dev_pairs),
        "removed": found.removed,
    }
    pairs = Mix(tagged, shares, seed)
    templates = task_templates(tasks, length)
    data = TrainingData(pairs, dev_pairs, facts, templates, test.keys)
    return data, found.tallies


def _corpora(tasks: Mapping[str, TrainingTask]) -> Iterator[tuple[str, CorpusSpec]]:
    """Every corpus with its task's name; its share of the rows is its share of the task's."""
    total = sum(task.share for task in tasks.values())
    for name, task in tasks.items():
        for spec in specs.parse_corpora(task.data):
            yield name, replace(spec, share=spec.share * task.share / total)
