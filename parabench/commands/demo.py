"""The command that serves a page on this machine to try systems on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parabench.commands.arguments import DeviceOption, SuiteOption, SystemsOption
from parabench.commands.help_pages import examples
from parabench.commands.lists import split_names
from parabench.contracts import ModelCache, UserError

if TYPE_CHECKING:
    from parabench.contracts import System
    from parabench.explore.demo import Demo
    from parabench.explore.nearest import PromptPosition
    from parabench.suites.suite import Suite

_NEAREST = 3
_SHORT = 60
"""Characters of the sentence that is offered to begin with, at most."""


@examples("parabench models demo", "parabench models demo --systems softprompt-111,bart --port 0")
def demo_command(
    suite: SuiteOption = "mini",
    systems: SystemsOption = None,
    scorers: Annotated[
        str, typer.Option(metavar="A,B,…", help="What to measure without a reference.")
    ] = "divergence",
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8765,
    device: DeviceOption = "auto",
) -> None:
    """Serve a page on which to try systems.

    It answers this machine alone. Sentences are paraphrased by several systems and compared.
    """
    from parabench.explore.demo import demo_server

    with demo_server(load_demo(suite, systems, scorers, device), port) as serving:
        typer.echo(f"http://127.0.0.1:{serving.server_port}/   (Ctrl-C ends it)")
        serving.serve_forever()


def load_demo(suite: str, systems: str | None, scorers: str, device: str) -> Demo:
    """The systems and scorers of a suite behind the page.

    Each system is built once and keeps its models from its first sentence on; a sentence that was
    asked before is answered at once.
    """
    from parabench.contracts import BuildContext, Runtime, adapter_folder
    from parabench.explore.demo import TRY, Demo
    from parabench.explore.nearest import nearest_of_system
    from parabench.models.loading import resolve_device
    from parabench.pipeline import plan
    from parabench.suites import suite as suites

    chosen = suites.load_suite(suite)
    own = resolve_device(device)
    runtime = Runtime(own, chosen.dtype)
    setting = BuildContext(runtime, chosen.decoding, models=_AllModels())
    wanted = split_names(systems) if systems else (*chosen.systems, "copy")
    built = {name: plan.build_plugin("system", name, chosen, setting) for name in wanted}
    measures = [plan.build_plugin("scorer", name, chosen, setting) for name in split_names(scorers)]

    # Visitors ask the example over and over; other sentences are forgotten after a thousand.
    @lru_cache(maxsize=1000)
    def answer(system: str, text: str) -> str:
        batches = built[system].paraphrase([text])
        return next(one.text for batch in batches for one in batch)

    @cache
    def near(system: str) -> Sequence[PromptPosition]:
        if adapter_folder(built[system]) is None:
            return ()
        return nearest_of_system(built[system], _NEAREST, setting)

    return Demo(
        systems=wanted,
        answer=answer,
        scorers=measures,
        near=near,
        origins={name: _origin(system) for name, system in built.items()},
        example=_first_sentence(chosen) or TRY,
        note=chosen.note,
    )


class _AllModels(ModelCache):
    """Holds every model that was loaded: people go back and forth between the systems.

    Two systems of one model share it here too.
    """

    def __init__(self) -> None:
        super().__init__()
        # A list, since what models are made of is compared and need not have a hash.
        self._held: list[tuple[tuple[Any, ...], Any]] = []

    def get(self, make: Callable[..., Any], *given: Any) -> Any:
        """What ``make(*given)`` returns, made once."""
        wanted = (make, *given)
        for key, model in self._held:
            if key == wanted:
                return model
        model = make(*given)
        self._held.append((wanted, model))
        return model

    def clear(self) -> None:
        """Hold on to all: a page has no end at which its models would not be needed."""


def _origin(system: System) -> str:
    """Of what a system is made, in words: its models, its soft prompt, or no model at all."""
    from parabench.contracts import adapter_folder, model_names

    parts = [f"model {name}" for name in model_names(system)]
    if (prompt := adapter_folder(system)) is not None:
        parts.append(f"soft prompt {prompt}")
    return ", ".join(parts) or "no model"


def _first_sentence(suite: Suite) -> str:
    """The first sentence of the suite's own data that is short; empty where it brings none.

    Its systems are made for sentences like this one.
    """
    from parabench.data.test_sets import read_test_set

    if not suite.data:
        return ""
    try:
        examples = read_test_set(Path(suite.data), lambda note: None)
    except UserError:
        return ""
    short = (one.source for one in examples if len(one.source) <= _SHORT)
    return next(short, "")
