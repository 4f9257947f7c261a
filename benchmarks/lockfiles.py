"""Write the lock files that ``make`` installs from: ``python -m benchmarks.lockfiles`` (needs uv).

``constraints.txt`` is what ``make bench`` needs, ``constraints-dev.txt`` what tests and checks need
beside it, ``constraints-torch.txt`` torch alone and ``constraints-cuda.txt`` what its CUDA build
brings, so that a CPU-only torch is not followed by gigabytes of CUDA.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPILE = [
    "uv", "pip", "compile", "--quiet", "--generate-hashes", "--universal", "--no-header",
    "--no-annotate", "--python-version", "3.11.7", "-",
]  # fmt: skip
CUDA = re.compile(r"(nvidia|cuda|triton)\b")
CPU_TORCH = "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
"""SHA-256 of the CPU-only wheel of the locked torch for CPython 3.11 on x86-64 Linux."""
HEAD = "# Written by: python -m benchmarks.lockfiles. Installed with --require-hashes --no-deps.\n"


def entries(text: str) -> dict[str, str]:
    """Name of each locked package to its lines: version, markers, hashes."""
    # The project itself is listed as "." or by its folder: it is installed apart.
    text = re.sub(r"^[./].*\n", "", text, flags=re.MULTILINE)
    found = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)
    return {re.split(r"[=\[ ]", entry, maxsplit=1)[0]: entry for entry in found if "==" in entry}


def compiled(extra: str, known: list[Path]) -> dict[str, str]:
    """What ``pyproject.toml`` needs with an extra, at the versions of known lock files."""
    options = [word for path in known if path.exists() for word in ("-c", str(path))]
    wanted = f".{extra}\nsetuptools\n"
    done = subprocess.run(
        [*COMPILE, *options], cwd=ROOT, input=wanted, capture_output=True, text=True, check=True
    )
    return entries(done.stdout)


def write(name: str, chosen: dict[str, str]) -> None:
    text = HEAD + "".join(chosen[package] for package in sorted(chosen))
    (ROOT / name).write_text(text, encoding="utf-8")


def main() -> None:
    names = ["constraints.txt", "constraints-dev.txt", "constraints-torch.txt"]
    known = [ROOT / name for name in names]
    every, main_only = compiled("[dev]", known), compiled("", known)
    own = {name for name in every if name != "parabench"}
    cuda = {name for name in own if CUDA.match(name)}
    plain = own - cuda - {"torch"}
    write("constraints.txt", {name: every[name] for name in plain & set(main_only)})
    write("constraints-dev.txt", {name: every[name] for name in plain - set(main_only)})
    with_cpu = every["torch"].replace("\\\n", f"\\\n    --hash=sha256:{CPU_TORCH} \\\n", 1)
    write("constraints-torch.txt", {"torch": with_cpu})
    write("constraints-cuda.txt", {name: every[name] for name in cuda})


if __name__ == "__main__":
    main()
