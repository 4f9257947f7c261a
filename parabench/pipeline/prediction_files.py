"""Plans that score files of predictions: one system a file, all on the same examples."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from parabench.contracts import Example, UserError
from parabench.data.prediction_rows import Predictions
from parabench.data.predictions import read_predictions
from parabench.data.test_sets import read_test_set
from parabench.pipeline.plan import FilePredictions, RunPlan, RunRequest, plan_texts


def plan_prediction_files(request: RunRequest, files: Mapping[str, Path]) -> RunPlan:
    """A plan that scores every file as the system of its name, beside the suite's controls.

    ``files``: name of the system to its file. Without ``request.data`` each file holds sources and
    references itself, and all files must hold the same.

    Raises UserError for a file that cannot be read, or whose examples differ from the first's.
    """
    notes = list[str]()
    test_set = read_test_set(request.data, notes.append) if request.data else None
    read = {name: read_predictions(path, test_set, notes.append) for name, path in files.items()}
    first_name, *other_names = read
    examples = read[first_name].examples
    for name in other_names:
        _check_same_examples(files[first_name], examples, files[name], read[name].examples)
    sources = [example.source for example in examples]
    given = {name: _texts_in_order(sources, one) for name, one in read.items()}
    made = plan_texts(request, examples, given)
    systems = dict(made.systems)
    for name, one in read.items():
        planned = systems[name]
        if one.cut and isinstance(planned, FilePredictions):
            cut = frozenset(one.examples[place].source for place in one.cut)
            systems[name] = replace(planned, cut=cut)
    shown = [
        path.name if name == path.stem else f"{name}={path.name}" for name, path in files.items()
    ]
    command = shlex.join(["parabench", "score", *shown])
    return replace(made, systems=systems, command=command, notes=(*notes, *made.notes))


def _texts_in_order(sources: Sequence[str], read: Predictions) -> Sequence[str]:
    """The texts of a file in the order of ``sources``, which may differ from the file's own."""
    own = [example.source for example in read.examples]
    if own == list(sources):
        return read.texts
    by_source = dict(zip(own, read.texts, strict=True))
    return [by_source[source] for source in sources]


def _check_same_examples(
    first: Path, examples: Sequence[Example], other: Path, others: Sequence[Example]
) -> None:
    """UserError where two files do not hold the same sources with the same references."""
    known = {example.source: sorted(example.references) for example in examples}
    found = {example.source: sorted(example.references) for example in others}
    if known == found and len(examples) == len(others):
        return
    shared = [source for source in found if source in known]
    differing = sum(found[source] != known[source] for source in shared)
    raise UserError(
        f"score {first} and {other} together",
        f"{len(found)} sources in the second, of which {len(shared)} are among the {len(known)} of"
        f" the first; {differing} of these have other references",
        mend="give texts for one test set: parabench score a=one.txt b=two.txt --data test.tsv",
    )
