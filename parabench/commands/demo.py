"""The command that serves a page on this machine to try systems on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import DeviceOption, SuiteOption, SystemsOption
from parabench.commands.help_pages import examples
from parabench.commands.lists import split_names

if TYPE_CHECKING:
    from parabench.explore.demo import Demo
    from parabench.explore.nearest import PromptPosition

_NEAREST = 3


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
    """The systems and scorers of a suite behind the page; a sentence that was asked before is
    answered at once.
    """
    from parabench import api
    from parabench.contracts import BuildContext, Runtime, adapter_folder
    from parabench.explore.demo import Demo
    from parabench.explore.nearest import nearest_of_system
    from parabench.models.loading import resolve_device
    from parabench.pipeline import plan
    from parabench.suites import suite as suites

    chosen, own = suites.load_suite(suite), resolve_device(device)
    setting = BuildContext(Runtime(own, chosen.dtype), chosen.decoding)
    wanted = split_names(systems) if systems else (*chosen.systems, "copy")
    built = {name: plan.build_plugin("system", name, chosen, setting) for name in wanted}
    measures = [plan.build_plugin("scorer", name, chosen, setting) for name in split_names(scorers)]

    @lru_cache(maxsize=1000)
    def answer(system: str, text: str) -> str:
        return api.paraphrase([text], system, suite=suite, device=own)[0][0]

    @cache
    def near(system: str) -> Sequence[PromptPosition]:
        return nearest_of_system(built[system], _NEAREST) if adapter_folder(built[system]) else ()

    return Demo(wanted, answer, measures, near)
