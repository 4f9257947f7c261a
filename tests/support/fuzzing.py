"""Bytes that nobody meant: a file's own bytes damaged as disks, editors and attackers do, or none
of its own at all.
"""

from collections.abc import Iterator
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

KINDS = ("cut", "double", "put")
NASTY = (
    b"\xff\xfe", b"\x00", b"\r", b"\r\n", b"\n", b"\n\n", b"\t", b"\t\t", b"\xef\xbb\xbf",
    "\u2028".encode(), "\u0085".encode(), b"\x0b\x0c\x1c\x1d\x1e", b"\\ud800", b"\\u0000",
    b'"', b"\\", b"{", b"}", b"[" * 3000, b"]", b"NaN", b"1e999", b"-Infinity", b"9" * 5000,
    b"null", b"true", b'{"a":1}', b"x" * 5000, b"y" * 70000, "\u202e\u0301é\U0001f600".encode(),
    b"../../x", b"\x1b[31m", b"=1+1", b"'", b"#", b"''' '''", b"a" * 300,
)  # fmt: skip


def mutants(*originals: bytes) -> st.SearchStrategy[bytes]:
    """The originals with up to four pieces cut out, doubled or replaced by something nasty; or
    something else.
    """
    piece = st.one_of(st.sampled_from(NASTY), st.binary(max_size=4))
    edit = st.tuples(st.integers(0, 1 << 20), st.integers(0, 60), st.sampled_from(KINDS), piece)
    mutated = st.builds(_edited, st.sampled_from(originals), st.lists(edit, min_size=1, max_size=4))
    return st.one_of(mutated, mutated, mutated, st.binary(max_size=200))


def randomly(number: int, original: bytes, seed: int = 0) -> Iterator[bytes]:
    """So many of the same kind from a seed, faster and without shrinking."""
    random = Random(seed)
    for _ in range(number):
        if random.random() < 0.1:
            yield random.randbytes(random.randrange(200))
            continue
        pieces = [
            random.choice([random.choice(NASTY), random.randbytes(random.randrange(5))])
            for _ in range(4)
        ]
        edits = [
            (random.randrange(1 << 20), random.randrange(61), random.choice(KINDS), piece)
            for piece in pieces
        ]
        yield _edited(original, edits[: random.randint(1, 4)])


def _edited(data: bytes, edits) -> bytes:
    for at, length, kind, piece in edits:
        at %= len(data) + 1
        middle = data[at : at + length]
        data = (
            data[:at]
            + {"cut": b"", "double": middle + middle, "put": piece}[kind]
            + data[at + length * (kind == "cut") :]
        )
    return data


def trials(number: int) -> settings:
    """So many inputs, the same ones every time."""
    checks = [
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ]
    return settings(
        max_examples=number, database=None, derandomize=True, suppress_health_check=checks,
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
