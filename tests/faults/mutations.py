"""Files changed behind the program's back: every change is noticed, or makes no difference to what
is read.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from parabench.contracts import UserError
from parabench.store.log import Log, finished_statistics, read_log
from parabench.store.run_folder import verify_run
from tests.faults.small_run import files, run
from tests.support.stored import stored_examples

IDS = [f"example {number}" for number in range(20)]


def mutant(data: bytes, random: Random) -> bytes:
    """The bytes with one thing done to them that disks, editors and copying do."""
    lines, at = data.splitlines(keepends=True), random.randrange(len(data))
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    swapped = list(lines)
    swapped[one], swapped[other] = lines[other], lines[one]
    changed = random.choice(
        [
            data[:at],
            data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :],
            data[:at] + bytes(min(64, len(data) - at)) + data[at + 64 :],
            data[:at] + random.randbytes(random.randint(1, 8)) + data[at:],
            b"".join([*lines[:one], lines[other], *lines[one:]]),
            b"".join([*lines[:one], *lines[one + 1 :]]),
            b"".join(swapped),
        ]
    )
    return changed if changed != data else mutant(data, random)


def finished(folder: Path, number: int, seed: int = 0) -> Counter[str]:
    """Mutants of every file of a finished run: ``verify`` notices all, and reading gives the truth
    or a UserError.
    """
    run(folder, ids=IDS)
    random, whole, truth = Random(seed), files(folder), _read(folder)
    tally: Counter[str] = Counter(injected=number)
    for _ in range(number):
        name = random.choice(list(whole))
        (folder / name).write_bytes(mutant(whole[name], random))
        _count(
            tally,
            {
                "undetected": lambda: bool(verify_run(folder)),
                "misread": lambda: _read(folder) == truth,
            },
        )
        (folder / name).write_bytes(whole[name])
    return tally


def growing(folder: Path, number: int, seed: int = 0) -> Counter[str]:
    """Mutants of a growing log: it is refused, or what it hands on are true records, the others to
    be made anew.
    """
    log = Log(folder, "predictions", ("copy",), {})
    truth = {name: {"text": f"Text of {name}."} for name in IDS}
    log.append(list(truth.items()))
    path = folder / "predictions/copy.part.jsonl"
    data, random = path.read_bytes(), Random(seed)
    tally: Counter[str] = Counter(injected=number)
    for _ in range(number):
        path.write_bytes(mutant(data, random))
        checks = {
            "misread": lambda: read_log(folder, "predictions", "copy")[1].items() <= truth.items(),
            "resumed untruly": lambda: (
                Log(folder, "predictions", ("copy",), {}).done.items() <= truth.items()
            ),
        }
        _count(tally, checks)
    return tally


def _read(folder: Path) -> Any:
    array = finished_statistics(folder, "copy", "bleu")[:]
    return (
        array.tobytes(),
        array.shape,
        read_log(folder, "predictions", "copy"),
        stored_examples(folder),
    )


def _count(tally: Counter[str], checks: dict[str, Callable[[], bool]]) -> None:
    """A mutant is survived if every check holds or ends in a UserError; what does not is counted by
    name.
    """
    wrong = [name for check in checks.items() if (name := _wrong(*check))]
    tally.update(wrong or ["recovered"])


def _wrong(name: str, holds: Callable[[], bool]) -> str:
    try:
        return "" if holds() else name
    except UserError:
        return ""
    except Exception:
        return "tracebacks"
