"""Every setting is declared to be part of a run's identity, or not; and what is part of it is never
mixed up.

``identity``: in the spec of the folder, which another value refuses. ``content``: there by a
fingerprint of what it names. ``signature``: in the key of one system's or scorer's records, which
another value sets aside. ``selection``: says which of these there are. ``circumstance``: changes no
number.
"""

import dataclasses
import json
import typing
from dataclasses import dataclass, replace

import numpy as np
import pytest

from parabench.contracts import (
    BuildContext,
    Decoding,
    Example,
    ModelCache,
    Paraphrase,
    Runtime,
    Signature,
    UserError,
)
from parabench.data.examples import EvaluationSet, evaluation_set
from parabench.data.normalise import Normaliser
from parabench.pipeline import identity, runner
from parabench.pipeline import plan as planning
from parabench.pipeline.plan import RunRequest
from parabench.pipeline.prediction_files import FilePredictions
from parabench.store.example_store import ExampleStore
from parabench.store.log import Log
from parabench.suites.suite import Suite, TrainingDefaults
from tests.support import light

CLASSES = {
    Suite: {
        "identity": {"name", "title", "note", "headline", "dtype", "decoding", "normalise"},
        "content": {"data"},
        "signature": {"system", "scorer"},
        "selection": {"systems", "controls", "scorers"},
        "circumstance": {"train", "table", "gates"},
    },
    RunRequest: {
        "identity": {"suite", "seed", "dtype", "device", "samples"},
        "content": {"data", "limit", "min_references"},
        "selection": {"systems", "scorers", "attackers"},
        "circumstance": {"batch_size", "output", "key"},
    },
    Runtime: {"identity": {"device", "dtype", "seed"}, "circumstance": {"batch_size"}},
    Decoding: {
        "identity": {field.name for field in dataclasses.fields(Decoding)}
    },  # taken over whole, see below
    Normaliser: {"identity": {"treebank", "case"}},
    BuildContext: {
        "identity": {"runtime", "decoding"},
        "content": {"sources", "human_answers"},
        "signature": {"options"},
        "circumstance": {"key", "models"},
    },
    TrainingDefaults: {
        "circumstance": {"data", "causal", "seq2seq", "template", "chat", "system"},
    },
    EvaluationSet: {"content": {"examples", "dropped", "fewest", "omitted"}},
    Example: {
        "content": {"id", "source", "references", "cluster", "left_out"},
        "signature": {"samples"},
    },
}


def fields(cls) -> set[str]:
    return (
        set(cls.model_fields)
        if hasattr(cls, "model_fields")
        else {field.name for field in dataclasses.fields(cls)}
    )


def misfiled(cls, classes) -> set[str]:
    """The fields that are not declared exactly once, and the declared ones that are no fields."""
    declared = [name for names in classes.values() for name in names]
    return {
        name
        for name in fields(cls) | set(declared)
        if declared.count(name) != 1 or name not in fields(cls)
    }


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_field_is_declared(cls):
    assert misfiled(cls, CLASSES[cls]) == set()


def test_every_kind_of_settings_inside_of_these_is_declared_too():
    """Whoever adds a table to the suite has to say of each of its fields what it is."""
    inside = {kind for cls in CLASSES for kind in typing.get_type_hints(cls).values()}
    ours = {
        kind
        for kind in inside
        if isinstance(kind, type) and kind.__module__.startswith("parabench.")
    }
    # a store holds examples, whose fields are declared
    assert ours - {Suite, ModelCache, ExampleStore} <= CLASSES.keys()


def test_a_new_field_is_noticed():
    grown = dataclasses.make_dataclass(
        "Runtime", [("compile", bool, False)], bases=(Runtime,), frozen=True
    )
    assert misfiled(grown, CLASSES[Runtime]) == {"compile"}


def other(value):
    """A value of the same kind that is another."""
    if isinstance(value, bool):
        return not value
    return value + "x" if isinstance(value, str) else value + 1


def decodings():
    names = [field.name for field in dataclasses.fields(Decoding)]
    sampled = {"samples": {"do_sample": True}}  # a greedy search has no second sample
    values = {
        name: {name: other(getattr(Decoding(), name)), **sampled.get(name, {})} for name in names
    }
    return {name: replace(Decoding(), **changes) for name, changes in values.items()}


SUITES = {
    **{name: {name: "other"} for name in ("name", "title", "note")},
    "headline": {"headline": "ibleu"},
    "dtype": {"dtype": "bfloat16"},
    **{f"decoding.{name}": {"decoding": decoding} for name, decoding in decodings().items()},
    "normalise.treebank": {"normalise": Normaliser(treebank=True)},
    "normalise.case": {"normalise": Normaliser(case="lower")},
}
REQUESTS = {
    "seed": {"seed": 1},
    "dtype": {"dtype": "bfloat16"},
    "limit": {"limit": 3},
    "samples": {"samples": 2},
}


def mutants(folder):
    """Every identity field in turn, changed."""
    yield from (
        (name, {"suite": light.suite(folder, **changes)}) for name, changes in SUITES.items()
    )
    yield from REQUESTS.items()
    edited = folder / "edited.jsonl"
    edited.write_text(
        (folder / "data.jsonl").read_text().replace("Source number 3", "Source number three")
    )
    yield "data", {"data": edited}


def accepted(folder) -> list[str]:
    """The mutants that a finished run's folder takes for its own, or shares its default name
    with.
    """
    runner.run_plan(light.plan(folder))
    mine = planning.make_plan(light.request(folder, output=None)).folder
    found = []
    for name, changes in mutants(folder):
        if planning.make_plan(light.request(folder, output=None, **changes)).folder == mine:
            found.append(f"{name}: same folder")
        try:
            runner.run_plan(light.plan(folder, **changes))
            found.append(name)
        except UserError as error:
            assert "reuse" in str(error)  # noqa: PT017
    return found


REPORTED = ["title", "note", "headline"]
"""What only the reports show of a suite: a folder keeps its own, and the run goes on."""


def test_no_run_takes_anothers_folder(tmp_path):
    assert [name for name in accepted(tmp_path) if name not in REPORTED] == []


@pytest.mark.parametrize("name", REPORTED)
def test_a_folder_keeps_what_its_reports_show(tmp_path, name):
    runner.run_plan(light.plan(tmp_path))
    before = {path.name: path.read_bytes() for path in light.plan(tmp_path).folder.glob("*.json")}
    changed = light.plan(tmp_path, suite=light.suite(tmp_path, **SUITES[name]))
    assert any(f"keeps the {name} " in note for note in changed.notes)
    runner.run_plan(changed)
    assert {path.name: path.read_bytes() for path in changed.folder.glob("*.json")} == before


def test_the_mutants_cover_what_is_declared_identity():
    covered = {name.split(".")[0] for name in SUITES}
    assert covered == CLASSES[Suite]["identity"]
    assert {name.split(".")[1] for name in SUITES if "." in name} == {
        *CLASSES[Decoding]["identity"],
        *CLASSES[Normaliser]["identity"],
    }
    # min_references acts through the examples that it leaves, whose fingerprint is the mutant
    # "data".
    assert (
        set(REQUESTS) | {"suite", "device", "data", "min_references"}
        == CLASSES[RunRequest]["identity"] | CLASSES[RunRequest]["content"]
    )


@pytest.mark.parametrize("left_out", ["suite", "decoding", "normalise", "runtime", "data"])
def test_without_one_part_of_the_identity_a_mutant_is_accepted(tmp_path, monkeypatch, left_out):
    whole = planning.run_identity

    def partial(*arguments):
        return {name: value for name, value in whole(*arguments).items() if name != left_out} | {
            "left": "out"
        }

    monkeypatch.setattr(identity, "run_identity", partial)
    monkeypatch.setattr(planning, "run_identity", partial)
    monkeypatch.setattr("parabench.report.assemble.write_reports", lambda folder: None)
    assert set(accepted(tmp_path)) - set(REPORTED)


def test_the_kind_of_device_is_identity_and_its_number_is_not(tmp_path):
    suite, data = light.suite(tmp_path), EvaluationSet(ExampleStore(()))
    cpu, one, two = (
        identity.run_identity(suite, data, Runtime(device))
        for device in ("cpu", "cuda:0", "cuda:1")
    )
    assert cpu != one == two


def test_circumstances_change_nothing(tmp_path):
    runner.run_plan(light.plan(tmp_path))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    runner.run_plan(light.plan(tmp_path, batch_size=3))
    del before[tmp_path / "run" / "lock"]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_the_fingerprint_sees_every_part_of_an_example():
    one = Example("1", "s", ("a", "b", "c"))
    prints = {
        evaluation_set([example], None, 0).fingerprint
        for example in (
            one,
            replace(one, id="2"),
            replace(one, source="t"),
            replace(one, references=("a", "b", "d")),
            replace(one, references=("a", "b")),
            replace(one, references=("a", "b", "c", "d")),
        )
    }
    assert len(prints) == 6


@dataclass
class Counting:
    """A system and a scorer that say what they were asked."""

    signature: Signature
    answer: str = "An answer."
    asked: int = 0
    columns: tuple = ()

    def paraphrase(self, sources):
        self.asked += len(sources)
        yield [
            Paraphrase(position, f"{self.answer} {position}") for position in range(len(sources))
        ]

    def measure(self, examples, texts):
        self.asked += len(texts)
        return np.ones((len(texts), 1))

    def combine(self, statistics):
        return np.zeros(0)


def asked(plan, system: Counting, scorer: Counting) -> tuple[int, int]:
    """How many texts were made, and how many measured, by a run of these two."""
    system.asked = scorer.asked = 0
    light.run_with(replace(plan, systems={"one": system}), {"two": scorer})
    return system.asked, scorer.asked


def test_records_of_other_signatures_or_texts_are_made_again(tmp_path):
    plan = light.plan(tmp_path)
    system, scorer = Counting(Signature("one")), Counting(Signature("two"))
    assert asked(plan, system, scorer) == (6, 6)
    assert asked(plan, system, scorer) == (0, 0)
    assert asked(plan, system, Counting(Signature("two", (("layer", "17"),)))) == (0, 6)
    changed = Counting(Signature("one", (("weights", "other"),)), "Another answer.")
    assert asked(plan, changed, Counting(Signature("two", (("layer", "17"),)))) == (6, 6)
    assert asked(plan, changed, Counting(Signature("two", (("layer", "17"),)))) == (0, 0)


def test_what_is_set_aside_is_said(tmp_path):
    plan, notes = light.plan(tmp_path), []
    runner.run_plan(plan, notice=notes.append)
    assert notes == []
    (plan.folder / "predictions/copy.jsonl").unlink()
    log = Log(plan.folder, "predictions", ("copy",), {"signature": "old"})
    log.append([("e0", {"text": "stale", "finished": True})])
    runner.run_plan(plan, notice=notes.append)
    assert len(notes) == 1
    assert "has other settings" in notes[0]
    assert "quarantine" in notes[0]
    assert "stale" not in (plan.folder / "predictions/copy.jsonl").read_text()


OPTIONS = {
    ("scorer", "bleu"): {"tokenize": "char", "lowercase": True},
    ("scorer", "ibleu"): {"tokenize": "char", "lowercase": True},
    ("scorer", "selfbleu"): {"tokenize": "char", "lowercase": True},
    ("scorer", "chrf"): {"lowercase": True},
    ("scorer", "ter"): {"normalized": True, "case_sensitive": True},
    ("scorer", "rouge"): {"stemmer": True},
    ("scorer", "divergence"): {"tokenize": "none"},
}


@pytest.mark.parametrize(
    ("part", "option"), [(part, option) for part, given in OPTIONS.items() for option in given]
)
def test_every_option_is_in_the_signature(tmp_path, part, option):
    kind, name = part
    plain = planning.build_plugin(kind, name, light.suite(tmp_path), BuildContext())
    values = (
        {OPTIONS[part][option], not OPTIONS[part][option]}
        if OPTIONS[part][option] is True
        else {OPTIONS[part][option]}
    )
    signatures = {str(plain.signature)}
    for value in values:
        suite = light.suite(tmp_path, **{kind: {name: {option: value}}})
        signatures.add(str(planning.build_plugin(kind, name, suite, BuildContext()).signature))
    assert len(signatures) == 2


def test_a_suite_cannot_name_its_folder_out_of_the_results(tmp_path):
    for name in ("../../evil", "/etc/evil", "a\0b", "..", "."):
        folder = identity.folder_name(
            light.suite(tmp_path, name=name), EvaluationSet(ExampleStore(())), Runtime()
        )
        assert "/" not in folder and "\0" not in folder and folder not in (".", "..")  # noqa: PT018
    assert identity.folder_name(
        light.suite(tmp_path), EvaluationSet(ExampleStore(())), Runtime()
    ).startswith("light-")


def test_texts_that_join_alike_are_not_alike():
    one, two = (
        FilePredictions({"a": "b\0c\0d"}),
        FilePredictions({"a": "b", "c": "d"}),
    )
    assert one.signature != two.signature
    assert json.dumps(dict(one.texts)) != json.dumps(dict(two.texts))
