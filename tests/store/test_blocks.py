"""Files that grow by blocks: whatever a kill leaves, whole blocks are taken over and nothing
else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from parabench.contracts import UserError
from parabench.sequences import in_blocks
from parabench.store.blocks import BlockFile

IDENTITY = {"scorer": "x"}
BLOCKS = [(b"first block", 3), (b"second", 2), (b"the third one", 4)]


def written(folder: Path) -> BlockFile:
    made = BlockFile(folder / "file", IDENTITY)
    for data, rows in BLOCKS:
        made.append(data, rows)
    return made


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    assert list(written(tmp_path).blocks()) == BLOCKS
    again = BlockFile(tmp_path / "file", IDENTITY)
    assert (list(again.blocks()), again.rows) == (BLOCKS, 9)


def test_every_torn_end_leaves_whole_blocks_and_resumes(tmp_path: Path) -> None:
    written(tmp_path)
    data, index = (tmp_path / "file").read_bytes(), (tmp_path / "file.index").read_bytes()
    first = index.index(b"\n") + 1
    for kept_data, kept_index in [(at, len(index)) for at in range(len(data))] + [
        (len(data), at) for at in range(first, len(index))
    ]:
        (tmp_path / "file").write_bytes(data[:kept_data])
        (tmp_path / "file.index").write_bytes(index[:kept_index])
        found = BlockFile(tmp_path / "file", IDENTITY)
        whole = list(found.blocks())
        assert whole == BLOCKS[: len(whole)]
        assert len(whole) < 3
        for block in BLOCKS[len(whole) :]:
            found.append(*block)
        assert ((tmp_path / "file").read_bytes(), (tmp_path / "file.index").read_bytes()) == (
            data,
            index,
        )


def test_a_changed_byte_is_never_read(tmp_path: Path) -> None:
    written(tmp_path)
    for name in ("file", "file.index"):
        good = (tmp_path / name).read_bytes()
        for at in range(good.index(b"\n") + 1 if name.endswith("index") else 0, len(good)):
            both = {path: (tmp_path / path).read_bytes() for path in ("file", "file.index")}
            (tmp_path / name).write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            whole = list(BlockFile(tmp_path / "file", IDENTITY).blocks())
            assert whole == BLOCKS[: len(whole)]
            assert len(whole) < 3
            for path, content in both.items():
                (tmp_path / path).write_bytes(content)


def test_another_identity_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(UserError, match="other settings"):
        BlockFile(tmp_path / "file", {"scorer": "y"})


def test_items_come_in_blocks() -> None:
    assert list(in_blocks(iter(range(5)), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_blocks(iter(()), 2)) == []
