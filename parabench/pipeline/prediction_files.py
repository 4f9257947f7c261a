"""Plans that score texts written elsewhere: those of files, one system a file, or given ones."""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parabench.contracts import Example, Paraphrase, Signature, UserError
from parabench.data.prediction_rows import Predictions
from parabench.data.predictions import read_predictions
from parabench.data.test_sets import read_test_set
from parabench.pipeline.plan import RunPlan, RunRequest, plan_examples
from parabench.sequences import numbered_blocks
from parabench.store.records import canonical_json

_SOURCE_SHOWN = 80
"""Characters of a source that a message shows."""


@dataclass(frozen=True)
class FilePredictions:
    """A system that answers from a file.

    ``texts``: its answer to each source. ``cut``: sources whose text is not whole; it counts as cut
    off.
    """

    texts: Mapping[str, str]
    cut: frozenset[str] = frozenset()

    @property
    def signature(self) -> Signature:
        """The file's content, by its SHA-256."""
        # As JSON, because texts that are only joined could be cut at other places.
        content = canonical_json(dict(self.texts))
        digest = hashlib.sha256(content).hexdigest()
        return Signature("file", (("sha256", digest),))

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """The given texts, in blocks."""
        for block in numbered_blocks(sources):
            answers = []
            for position, source in block:
                finished = source not in self.cut
                answers.append(Paraphrase(position, self.texts[source], finished))
            yield answers


def plan_texts(
    request: RunRequest,
    examples: Sequence[Example],
    given: Mapping[str, Sequence[str]],
    cut: frozenset[str] = frozenset(),
) -> RunPlan:
    """A plan that scores given texts as systems, beside the controls of the suite.

    ``request``: everything but the systems. ``examples``: what the texts paraphrase. ``given``:
    name of a system to its texts, one for each example in order. ``cut``: sources of which the text
    was too long and is not whole.

    Raises UserError where examples share a source, a name is taken, or texts are missing.
    """
    # A system is asked by source, so two texts of one source could not be told apart.
    sources = [example.source for example in examples]
    different = set(sources)
    if len(different) < len(examples):
        listed = ", ".join(given)
        raise _shared_source(f"score {listed}", sources)
    made = plan_examples(replace(request, systems=()), examples)
    systems = {}
    for name, texts in given.items():
        if name in made.systems:
            found = "it is the name of a control"
            raise UserError(f"score {name}", found, mend="give it another name")
        if len(texts) != len(examples):
            found = f"{len(texts)} texts for {len(examples)} examples"
            raise UserError(f"score {name}", found, mend="give one text for each example")
        answers = dict(zip(sources, texts, strict=True))
        systems[name] = FilePredictions(answers, cut)
    return replace(made, systems={**systems, **made.systems}, command="parabench.score(…)")


def _shared_source(asked: str, sources: Sequence[str]) -> UserError:
    ((source, times),) = Counter(sources).most_common(1)
    shown = source[:_SOURCE_SHOWN]
    found = f"{times} examples share one source: {shown!r}"
    return UserError(asked, found, mend="make one example of them, with the references of all")


def plan_prediction_files(request: RunRequest, files: Mapping[str, Path]) -> RunPlan:
    """A plan that scores every file as the system of its name, beside the suite's controls.

    ``files``: name of the system to its file. Without ``request.data`` each file holds sources and
    references itself, and all files must hold the same.

    Raises UserError for a file that cannot be read, or whose examples differ from the first's.
    """
    notes = list[str]()
    test_set = None
    if request.data:
        test_set = read_test_set(request.data, notes.append)
    read = {}
    for name, path in files.items():
        read[name] = read_predictions(path, test_set, notes.append)
    first_name, *other_names = read
    first_file = files[first_name]
    examples = read[first_name].examples
    for name in other_names:
        others = read[name].examples
        _check_same_examples(first_file, examples, files[name], others)
    sources = [example.source for example in examples]
    given = {}
    for name, one in read.items():
        given[name] = _texts_in_order(sources, one)
    made = plan_texts(request, examples, given)
    systems = dict(made.systems)
    for name, one in read.items():
        planned = systems[name]
        if one.cut and isinstance(planned, FilePredictions):
            cut_examples = [one.examples[place] for place in one.cut]
            cut_sources = frozenset(example.source for example in cut_examples)
            systems[name] = replace(planned, cut=cut_sources)
    return replace(
        made,
        systems=systems,
        command=_score_command(files),
        notes=(*notes, *made.notes),
    )


def _score_command(files: Mapping[str, Path]) -> str:
    """The command that scores these files; of a path only the file's name is given."""
    shown = []
    for name, path in files.items():
        # The command names a system by its file unless it is told another name.
        is_own_name = name == path.stem
        shown.append(path.name if is_own_name else f"{name}={path.name}")
    return shlex.join(["parabench", "score", *shown])


def _texts_in_order(sources: Sequence[str], read: Predictions) -> Sequence[str]:
    """The texts of a file in the order of ``sources``, which may differ from the file's own."""
    own = [example.source for example in read.examples]
    if own == list(sources):
        return read.texts
    by_source = dict(zip(own, read.texts, strict=True))
    return [by_source[source] for source in sources]


def _check_same_examples(
    first: Path,
    examples: Sequence[Example],
    other: Path,
    others: Sequence[Example],
) -> None:
    """Raise UserError where two files do not hold the same sources with the same references."""
    known = _sorted_references(examples)
    found = _sorted_references(others)
    # By source, one of two equal ones would be lost: hence the lengths too.
    if known == found and len(examples) == len(others):
        return
    shared = [source for source in found if source in known]
    differing = sum(found[source] != known[source] for source in shared)
    asked = f"score {first} and {other} together"
    difference = (
        f"{len(found)} sources in the second, "
        f"of which {len(shared)} are among the {len(known)} of the first; "
        f"{differing} of these have other references"
    )
    mend = "give texts for one test set: parabench score a=one.txt b=two.txt --data test.tsv"
    raise UserError(asked, difference, mend=mend)


def _sorted_references(examples: Sequence[Example]) -> dict[str, list[str]]:
    """The references by source, in an order that does not depend on the file's."""
    return {example.source: sorted(example.references) for example in examples}
