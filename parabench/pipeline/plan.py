"""Plans: every name resolved, every file found and checked, before any model is loaded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import parabench
from parabench import registry
from parabench.contracts import BuildContext, Example, Runtime, Scorer, System, UserError
from parabench.data.examples import EvaluationSet, evaluation_set
from parabench.data.test_sets import quiet, read_test_set
from parabench.pipeline.identity import folder_name, run_identity, suite_of_folder
from parabench.pipeline.scorer_checks import check_gates, check_references
from parabench.pipeline.scorer_names import find_scorer
from parabench.stats import leave_one_out, seeds
from parabench.suites.suite import Suite


@dataclass(frozen=True)
class RunPlan:
    """One run, fully decided: what is compared on what, how text is made, where results go.

    ``command`` makes the same numbers again; ``notes`` say what of the data was left out.
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
        """What two runs must share to be one; systems and scorers have keys of their own."""
        return run_identity(self.suite, self.data, self.runtime)


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
    suite = request.suite
    if request.data is None and not suite.data:
        asked = f"run the suite {suite.name!r}"
        raise UserError(asked, "it brings no data", mend="add --data FILE")
    notes = list[str]()  # filled while the file is read
    path = request.data or Path(suite.data)
    # how the package's own data are read is no news to anybody
    is_ours = path.is_relative_to(Path(parabench.__file__).parent)
    examples = read_test_set(path, quiet if is_ours else notes.append)
    made = plan_examples(request, examples)
    return replace(made, notes=(*notes, *made.notes))


def plan_examples(request: RunRequest, examples: Sequence[Example]) -> RunPlan:
    """A plan for given examples: the systems asked for, then the suite's controls.

    The human is no control where there are no references to spare. Raises UserError where a name
    is unknown, or a scorer needs references that an example does not have.
    """
    from parabench.models.loading import resolve_device

    suite = with_samples(request.suite, request.samples)
    runtime = Runtime(
        device=resolve_device(request.device),
        dtype=request.dtype or suite.dtype,
        batch_size=request.batch_size,
        seed=request.seed,
    )
    data = evaluation_set(examples, request.limit, request.seed, request.min_references)
    # People are scored against references they did not write: with a single one, none is left.
    human_answers: Sequence[tuple[str, ...]] = ()
    if data.references > 1:
        human_answers = data.examples.references
    context = BuildContext(
        runtime=runtime,
        decoding=suite.decoding,
        sources=data.examples.sources,
        human_answers=human_answers,
        key=request.key,
    )
    scorers = plan_scorers(suite, request.scorers, context)
    if not request.scorers:
        check_gates(suite, scorers)
    # All examples have as many references as the one with fewest: none if one has none.
    if not data.references:
        check_references(scorers, examples)
    systems = {
        name: build_plugin("system", name, suite, context)
        for name in _system_names(request, suite, with_human=bool(human_answers))
    }
    folder = request.output or Path("results/runs") / folder_name(suite, data, runtime)
    suite, notes = suite_of_folder(suite, data, runtime, folder)
    return RunPlan(
        suite=suite,
        data=data,
        systems=systems,
        scorers=scorers,
        runtime=runtime,
        folder=folder,
        command=reproducing_command(request),
        notes=data.notes + notes,
    )


def _system_names(
    request: RunRequest,
    suite: Suite,
    with_human: bool,
) -> list[str]:
    """The systems asked for, or the suite's own, then its controls and attackers; each once."""
    asked = suite.systems if request.systems is None else request.systems
    wanted = [*suite.controls, *request.attackers]
    controls = [name for name in wanted if name != "human" or with_human]
    names = list(dict.fromkeys([*asked, *controls]))
    registry.check_count("system", names)
    return names


def with_samples(suite: Suite, samples: int | None) -> Suite:
    """The suite with ``samples`` texts for each source; None leaves it as it is.

    Where the suite does not sample by itself, samples are drawn from the likeliest 90 % of tokens.
    """
    if samples is None:
        return suite
    decoding = suite.decoding
    if samples > 1 and not decoding.do_sample:
        decoding = replace(decoding, do_sample=True, top_p=0.9)
    return suite.model_copy(update={"decoding": replace(decoding, samples=samples)})


def plan_scorers(
    suite: Suite,
    asked: Sequence[str] | None,
    context: BuildContext,
) -> dict[str, Scorer]:
    """The scorers of a run, by name.

    ``asked``: names of scorers or of their columns; None for those of ``suite``. ``context``: what
    their builders are handed. A scorer that compares samples with one another is left out where
    there is one sample only, unless it was asked for. Raises UserError for an unknown name.
    """

    def build(name: str) -> Scorer:
        return build_plugin("scorer", name, suite, context)

    names = asked or suite.scorers
    registry.check_count("scorer", names)
    found = {}
    for given in names:
        name, scorer = find_scorer(given, suite, build)
        found[name] = scorer
    if asked or context.decoding.samples > 1:
        return found
    return {
        name: scorer for name, scorer in found.items() if not leave_one_out.compares_samples(scorer)
    }


def reproducing_command(request: RunRequest) -> str:
    """The command that makes the same numbers again; of a file only its name is given."""
    given = {
        "suite": request.suite.name,
        "systems": ",".join(request.systems or ()),
        "scorers": ",".join(request.scorers or ()),
        "data": request.data.name if request.data else "",
        "limit": request.limit,
        "seed": request.seed,
        "dtype": request.dtype,
        "samples": request.samples,
        "min-references": request.min_references,
    }
    words = ["parabench", "run"]
    for option, value in given.items():
        # What is empty, None or 0 is the default.
        if value:
            words += [f"--{option}", str(value)]
    if request.attackers:
        words.append("--attackers")
    return shlex.join(words)


def build_plugin(
    kind: registry.PluginKind,
    name: str,
    suite: Suite,
    context: BuildContext,
) -> Any:
    """The system or scorer of a name; nothing is loaded.

    ``kind``: ``system`` or ``scorer``. ``name``: as it is typed, ``softprompt-111``. ``suite``:
    gives its options. ``context``: all else that the builder is handed. Raises UserError where no
    plug-in has the name.
    """
    family, variant = resolve_name(kind, name, suite)
    build = registry.plugin_builder(kind, family)
    options = suite.options(kind, name, family)
    return build(variant, replace(context, options=options))


def resolve_name(
    kind: registry.PluginKind,
    name: str,
    suite: Suite,
) -> tuple[str, str]:
    """Family and variant of a name.

    ``kind``: ``system`` or ``scorer``. ``name``: as it is typed. The table of ``suite`` may give it
    a family; else the name itself tells. Raises UserError where no plug-in has it.
    """
    options = suite.options(kind, name, "")
    if "family" in options:
        return str(options["family"]), ""
    return registry.split_name(kind, name)


def check_plan(plan: RunPlan) -> None:
    """Read every signature, which finds and verifies every file that the run will need.

    Raises UserError for the first one that is missing or damaged.
    """
    for problem in _problems(plan).values():
        raise problem


def plan_problems(plan: RunPlan) -> dict[str, str]:
    """What keeps a plan from being run, by name of the system or scorer; empty if nothing does."""
    problems = _problems(plan)
    return {name: str(problem) for name, problem in problems.items()}


def _problems(plan: RunPlan) -> dict[str, UserError]:
    parts: dict[str, System | Scorer] = {**plan.systems, **plan.scorers}
    found = {}
    for name, part in parts.items():
        try:
            _ = part.signature  # reading it checks the files
        except UserError as error:
            found[name] = error
    if not found:
        # Only signatures tell whether trainings that differ by their seed differ in nothing else.
        signatures = {name: str(system.signature) for name, system in plan.systems.items()}
        seeds.check_seed_groups(signatures)
    return found
