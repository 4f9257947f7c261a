"""Plans: every name resolved, every file found and checked, before any model is loaded."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from parabench import registry
from parabench.contracts import (
    BuildContext,
    Decoding,
    Example,
    Paraphrase,
    Runtime,
    Scorer,
    Signature,
    System,
    UserError,
)
from parabench.data.examples import EvaluationSet, evaluation_set
from parabench.data.test_sets import read_test_set
from parabench.pipeline.scorer_names import find_scorer
from parabench.sequences import LazyMap, numbered_blocks
from parabench.stats import leave_one_out, seeds
from parabench.store.records import canonical_json, slug
from parabench.suites.suite import Suite


@dataclass(frozen=True)
class RunPlan:
    """One run, fully decided: what is compared on what, how text is made, and where the results
    go.
    """

    suite: Suite
    data: EvaluationSet
    systems: Mapping[str, System]
    scorers: Mapping[str, Scorer]
    runtime: Runtime
    folder: Path
    command: str = ""
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """All that two runs must share to be one run; systems and scorers are keyed one by one
        beside it.
        """
        return run_identity(self.suite, self.data, self.runtime)


def run_identity(suite: Suite, data: EvaluationSet, runtime: Runtime) -> dict[str, Any]:
    """What a run folder is about: the suite, the examples, the decoding and the arithmetic."""
    return {
        "suite": {
            "name": suite.name,
            "title": suite.title,
            "note": suite.note,
            "headline": suite.headline,
        },
        "data": {
            "examples": len(data.examples),
            "references": data.references,
            "fingerprint": data.fingerprint,
        },
        "decoding": decoding_identity(suite.decoding),
        "normalise": str(suite.normalise.signature),
        "protocol": str(leave_one_out.protocol_signature(data.references)),
        "runtime": {
            "device": runtime.device.split(":")[0],
            "dtype": runtime.dtype,
            "seed": runtime.seed,
        },
    }


@dataclass(frozen=True)
class RunRequest:
    """What a person asks of a run; None means what the suite says.

    ``attackers`` are more controls than the suite's: those of ``--attackers``.
    """

    suite: Suite
    systems: Sequence[str] | None = None
    scorers: Sequence[str] | None = None
    data: Path | None = None
    limit: int | None = None
    seed: int = 0
    device: str = "auto"
    dtype: str | None = None
    batch_size: int | None = None
    output: Path | None = None
    key: str = field(default="", repr=False)
    samples: int | None = None
    min_references: int | None = None
    attackers: Sequence[str] = ()


def make_plan(request: RunRequest) -> RunPlan:
    """Resolve a request; raises UserError for the first thing that is missing or unknown."""
    if request.data is None and not request.suite.data:
        raise UserError(
            f"run the suite {request.suite.name!r}", "it brings no data", mend="add --data FILE"
        )
    notes = list[str]()
    examples = read_test_set(request.data or Path(request.suite.data), notes.append)
    made = plan_examples(request, examples)
    return replace(made, notes=(*notes, *made.notes))


def plan_examples(request: RunRequest, examples: Sequence[Example]) -> RunPlan:
    """A plan for given examples: the systems asked for, then the suite's controls.

    The human is no control where there are no references to spare.
    """
    from parabench.models.loading import resolve_device

    suite = with_samples(request.suite, request.samples)
    runtime = Runtime(
        resolve_device(request.device),
        request.dtype or suite.dtype,
        request.batch_size,
        request.seed,
    )
    data = evaluation_set(examples, request.limit, request.seed, request.min_references)
    human = _each(lambda one: one.references, data.examples) if data.references > 1 else ()
    setting = BuildContext(
        runtime,
        suite.decoding,
        {},
        _each(lambda one: one.source, data.examples),
        human,
        request.key,
    )
    wanted = [*suite.controls, *request.attackers]
    controls = [name for name in wanted if name != "human" or human]
    names = dict.fromkeys(
        [*(suite.systems if request.systems is None else request.systems), *controls]
    )
    scorers = plan_scorers(suite, request.scorers, setting)
    if not data.references:
        _refuse_references(scorers, examples)
    return RunPlan(
        suite,
        data,
        {name: build_plugin("system", name, suite, setting) for name in names},
        scorers,
        runtime,
        request.output or Path("results/runs") / folder_name(suite, data, runtime),
        reproducing_command(request),
        data.notes,
    )


def with_samples(suite: Suite, samples: int | None) -> Suite:
    """The suite with so many samples a source, of the 90 % likeliest tokens where it does not
    itself say how to sample.

    None leaves the suite as it is.
    """
    decoding = suite.decoding
    if samples is None:
        return suite
    if samples > 1 and not decoding.do_sample:
        decoding = replace(decoding, do_sample=True, top_p=0.9)
    return suite.model_copy(update={"decoding": replace(decoding, samples=samples)})


def plan_scorers(
    suite: Suite, asked: Sequence[str] | None, setting: BuildContext
) -> dict[str, Scorer]:
    """The scorers asked for by name or column, else the suite's own; of these, one that compares
    samples only where there are several.
    """

    def build(name: str) -> Scorer:
        return build_plugin("scorer", name, suite, setting)

    made = dict(find_scorer(name, suite, build) for name in asked or suite.scorers)
    apart = setting.decoding.samples > 1 or asked
    return {
        name: scorer
        for name, scorer in made.items()
        if apart or not leave_one_out.compares_samples(scorer)
    }


def _each(function: Callable[[Example], Any], examples: Sequence[Example]) -> Sequence[Any]:
    """What a function makes of every example, at once; or, where the examples are on disk, when it
    is asked for.
    """
    return (
        tuple(map(function, examples))
        if isinstance(examples, tuple)
        else LazyMap(function, examples)
    )


def _refuse_references(scorers: Mapping[str, Scorer], examples: Sequence[Example]) -> None:
    """UserError where a scorer reads references and an example has none."""
    apart = [name for name, scorer in scorers.items() if not leave_one_out.needs_references(scorer)]
    for name in scorers:
        if name not in apart:
            bare = next(example.id for example in examples if not example.references)
            mend = f"give it one, or --scorers {','.join(apart) or 'divergence,side'}"
            raise UserError(f"score with {name}", f"example {bare!r} has no references", mend=mend)


def reproducing_command(request: RunRequest) -> str:
    """The command that makes the same numbers again; of a file only its name is told."""
    given = {
        "suite": request.suite.name,
        "systems": ",".join(request.systems or ()),
        "scorers": ",".join(request.scorers or ()),
        "data": request.data.name if request.data else "",
        "limit": request.limit or "",
        "seed": request.seed or "",
        "dtype": request.dtype or "",
        "samples": request.samples or "",
        "min-references": request.min_references or "",
    }
    options = (word for key, value in given.items() if value for word in (f"--{key}", str(value)))
    flags = ["--attackers"] if request.attackers else []
    return shlex.join(["parabench", "run", *options, *flags])


def plan_texts(
    request: RunRequest,
    examples: Sequence[Example],
    given: Mapping[str, Sequence[str]],
    cut: frozenset[str] = frozenset(),
) -> RunPlan:
    """A plan that scores texts, one for each example in order, as systems of these names, beside
    the controls.

    ``cut``: sources of which the text was too long and is not whole.
    """
    if len({example.source for example in examples}) < len(examples):
        raise UserError(
            f"score {', '.join(given)}",
            "two examples share one source",
            mend="pool their references",
        )
    made = plan_examples(replace(request, systems=()), examples)
    for name, texts in given.items():
        if name in made.systems:
            raise UserError(
                f"score {name}", "it is the name of a control", mend="give it another name"
            )
        if len(texts) != len(examples):
            found = f"{len(texts)} texts for {len(examples)} examples"
            raise UserError(f"score {name}", found, mend="give one text for each example")
    sources = [example.source for example in examples]
    systems = {
        name: FilePredictions(dict(zip(sources, texts, strict=True)), cut)
        for name, texts in given.items()
    }
    return replace(made, systems={**systems, **made.systems}, command="parabench.score(…)")


@dataclass(frozen=True)
class FilePredictions:
    """A system that answers from a file."""

    texts: Mapping[str, str]
    cut: frozenset[str] = frozenset()
    """Sources of which the text is not whole: it counts as cut off."""

    @property
    def signature(self) -> Signature:
        """The file's content, by its SHA-256."""
        return Signature(
            "file", (("sha256", hashlib.sha256(canonical_json(dict(self.texts))).hexdigest()),)
        )

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """The given texts, all at once."""
        for block in numbered_blocks(sources):
            yield [
                Paraphrase(position, self.texts[source], source not in self.cut)
                for position, source in block
            ]


def folder_name(suite: Suite, data: EvaluationSet, runtime: Runtime) -> str:
    """``mini-3f9a1c20``: the same request finds the same folder again."""
    digest = hashlib.sha256(canonical_json(run_identity(suite, data, runtime))).hexdigest()
    return f"{slug(suite.name)}-{digest[:8]}"


def build_plugin(kind: registry.PluginKind, name: str, suite: Suite, setting: BuildContext) -> Any:
    """The system or scorer of a name, with its options from the suite; nothing is loaded."""
    family, variant = resolve_name(kind, name, suite)
    return registry.plugin_builder(kind, family)(
        variant, replace(setting, options=suite.options(kind, name, family))
    )


def resolve_name(kind: registry.PluginKind, name: str, suite: Suite) -> tuple[str, str]:
    """Family and variant of a name: the family that the suite's table gives it, or those that the
    name itself says.
    """
    options = suite.options(kind, name, "")
    return (str(options["family"]), "") if "family" in options else registry.split_name(kind, name)


def check_plan(plan: RunPlan) -> None:
    """Read every signature, which finds and verifies every file the run will need."""
    for fault in _faults(plan).values():
        raise fault


def plan_problems(plan: RunPlan) -> dict[str, str]:
    """For a dry run: what stands in the way, by name, empty when nothing does."""
    return {name: str(fault) for name, fault in _faults(plan).items()}


def own_trainings(plan: RunPlan, faults: Iterable[str] = ()) -> dict[str, str]:
    """The folders of the user's trainings that replace what the suite has, by system.

    Systems named in ``faults`` are passed over.
    """
    found = {}
    for name, system in plan.systems.items():
        if name not in faults:
            folder = dict(system.signature.items).get("trained")
            if folder is not None:
                found[name] = folder
    return found


def _faults(plan: RunPlan) -> dict[str, UserError]:
    parts: dict[str, System | Scorer] = {**plan.systems, **plan.scorers}
    found = {}
    for name, part in parts.items():
        try:
            _ = part.signature
        except UserError as error:
            found[name] = error
    if not found:
        seeds.check_seed_groups(
            {name: str(system.signature) for name, system in plan.systems.items()}
        )
    return found


def decoding_identity(decoding: Decoding) -> dict[str, Any]:
    """Every setting by name; a single sample goes without saying, as in runs made before there
    could be more.
    """
    return {
        name: value for name, value in asdict(decoding).items() if name != "samples" or value > 1
    }


def decoding_preset(decoding: Decoding) -> str:
    """The decoding preset on one line, every field set."""
    return " ".join(f"{key}={value}" for key, value in asdict(decoding).items())
