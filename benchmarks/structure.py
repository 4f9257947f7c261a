"""The structure of the program in numbers (``python -m benchmarks.structure [REVISION ...]``).

Modules, those that stand alone at the root, packages, imports between modules and between packages,
and circles of modules: for the files as they are, or as they were in some revisions.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile
from collections.abc import Mapping

import networkx as nx
from tabulate import tabulate

FOLDERS = ("parabench", "scorers", "baselines")
HEADINGS = (
    "revision",
    "modules",
    "at the root",
    "packages",
    "imports",
    "between packages",
    "circles",
)


def sources(revision: str) -> dict[str, str]:
    """The text of every module of a revision, by its dotted name below the package."""
    command = ["git", "archive", "--format=tar", revision, *FOLDERS]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive.getmembers():
            content = archive.extractfile(member) if member.name.endswith(".py") else None
            if content is not None:
                found[module_name(member.name)] = content.read().decode()
    return {name: text for name, text in found.items() if name}


def module_name(path: str) -> str:
    """``store.log`` for ``parabench/store/log.py``; empty for what only marks a package."""
    parts = path.removesuffix(".py").split("/")
    parts = parts[1:] if parts[0] == "parabench" else parts
    return "" if parts[-1].startswith("__") else ".".join(parts)


def import_graph(modules: Mapping[str, str]) -> nx.DiGraph:
    """Modules as nodes, imports as edges, wherever in a file they stand."""
    graph = nx.DiGraph()
    graph.add_nodes_from(modules)
    for name, text in modules.items():
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.ImportFrom):
                continue
            base = name.rpartition(".")[0] if node.level else ""
            module = ".".join(filter(None, (base, (node.module or "").removeprefix("parabench"))))
            module = module.strip(".")
            for alias in node.names:
                # a name may be a module of the package, or something that a module defines
                for candidate in (f"{module}.{alias.name}".strip("."), module):
                    if candidate in modules and candidate != name:
                        graph.add_edge(name, candidate)
                        break
    return graph


def figures(revision: str) -> tuple[str, int, int, int, int, int, int]:
    """One row of the table."""
    modules = sources(revision)
    graph = import_graph(modules)
    rooms = {name: name.split(".")[0] for name in modules}
    between = {(rooms[a], rooms[b]) for a, b in graph.edges if rooms[a] != rooms[b]}
    circles = [one for one in nx.strongly_connected_components(graph) if len(one) > 1]
    alone = sum("." not in name for name in modules)
    packages = len({room for name, room in rooms.items() if "." in name})
    edges = graph.number_of_edges()
    return revision, len(modules), alone, packages, edges, len(between), len(circles)


def main(revisions: list[str]) -> None:
    """Print the table, a line a revision."""
    print(tabulate([figures(one) for one in revisions or ["HEAD"]], HEADINGS, tablefmt="github"))


if __name__ == "__main__":
    main(sys.argv[1:])
