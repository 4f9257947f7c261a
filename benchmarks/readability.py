"""How dense the code is: nodes a line, comments, docstrings, lengths (``python -m
benchmarks.readability [PATH ...]``).

A code line holds code: blank lines, comments and docstrings are left out. A node is an expression
or a statement of the syntax tree, annotations included.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tabulate import tabulate

PROGRAM = ("parabench", "scorers", "baselines")
WIDTH = 100
"""Characters a line may have."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Counts:
    """What is counted in some files, added up."""

    code_lines: int = 0
    nodes: int = 0
    comments: int = 0
    wide_lines: int = 0
    comprehensions: int = 0
    nested: int = 0
    parameters: int = 0
    parameters_named: int = 0
    functions: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


def docstring_nodes(tree: ast.Module) -> Iterator[ast.Constant]:
    """Docstrings, and the strings that stand below a constant to describe it."""
    for node in ast.walk(tree):
        is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_constant and isinstance(node.value.value, str):
            yield node.value


def code_lines(source: str, tree: ast.Module) -> tuple[set[int], int]:
    """The numbers of the lines that hold code, and how many lines hold a comment."""
    skipped = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code, comments = set[int](), set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if not token.string.startswith(("#!", "# type:", "# noqa")):
                comments.add(token.start[0])
        elif token.type not in skipped:
            code |= set(range(token.start[0], token.end[0] + 1))
    for node in docstring_nodes(tree):
        code -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return code, len(comments)


def is_public(function: Function) -> bool:
    """Whether a function is for callers outside its module."""
    return not function.name.startswith("_")


def named_parameters(function: Function) -> tuple[int, int]:
    """Parameters of a function, and those of them that its docstring names.

    Only functions with three or more parameters count: with fewer, the first line of a docstring
    says it.
    """
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    names = [
        one.arg for one in given if one.arg not in ("self", "cls") and not one.arg.startswith("_")
    ]
    if len(names) < 3 or not is_public(function):
        return 0, 0
    words = (ast.get_docstring(function) or "").replace("`", " ").replace("*", " ")
    present = set("".join(c if c.isalnum() or c == "_" else " " for c in words).split())
    return len(names), sum(name in present for name in names)


def count(paths: list[Path]) -> Counts:
    """The counts of some files together."""
    total = Counts()
    for path in paths:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        lines, comments = code_lines(source, tree)
        total.files.append(source.count("\n"))
        total.code_lines += len(lines)
        total.comments += comments
        total.wide_lines += sum(len(line) > WIDTH for line in source.splitlines())
        for node in ast.walk(tree):
            total.nodes += isinstance(node, (ast.expr, ast.stmt))
            if isinstance(node, COMPREHENSIONS):
                total.comprehensions += 1
                inner = [one for one in ast.walk(node) if isinstance(one, COMPREHENSIONS)]
                total.nested += len(inner) > 1
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                total.functions.append((node.end_lineno or node.lineno) - node.lineno + 1)
                given, named = named_parameters(node)
                total.parameters += given
                total.parameters_named += named
        # docstrings are no code: a statement and an expression each
        total.nodes -= 2 * sum(1 for _ in docstring_nodes(tree))
    return total


def spread(lengths: list[int]) -> str:
    """Median, 90th percentile and maximum."""
    ranked = sorted(lengths)
    return (
        f"{statistics.median(ranked):.0f} / {ranked[int(0.9 * (len(ranked) - 1))]} / {ranked[-1]}"
    )


def rows(counts: Counts) -> list[tuple[str, str, str]]:
    """Each figure: its name, its value, and what it should be."""
    lines = max(counts.code_lines, 1)
    named = 100 * counts.parameters_named / max(counts.parameters, 1)
    return [
        ("files / code lines", f"{len(counts.files)} / {counts.code_lines}", ""),
        ("nodes a code line", f"{counts.nodes / lines:.2f}", "at most 4.5"),
        (f"lines over {WIDTH} characters", str(counts.wide_lines), "0"),
        ("comments per 1,000 code lines", f"{1000 * counts.comments / lines:.0f}", "at least 40"),
        ("parameters named in docstrings", f"{named:.0f} %", "at least 60 %"),
        ("function median / p90 / max", spread(counts.functions or [0]), "at most 10 / 40 / 60"),
        ("file median / p90 / max", spread(counts.files or [0]), "max 300"),
        ("comprehensions per 100 code lines", f"{100 * counts.comprehensions / lines:.1f}", ""),
        ("comprehensions within another", str(counts.nested), "0"),
    ]


def main(arguments: list[str]) -> None:
    """Print the table for the program, or for the files and folders named."""
    roots = [Path(name) for name in arguments or PROGRAM]
    files = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*.py"))]
    print(tabulate(rows(count(sorted(files))), headers=["", "here", "aim"], tablefmt="github"))


if __name__ == "__main__":
    main(sys.argv[1:])
