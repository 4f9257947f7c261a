"""The three data sets of NeMo's notebook, from small files laid out as their sources write them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from parabench.contracts import UserError
from parabench.data.assistant_data import assistant_records
from parabench.data.task_data import (
    phrasebank_records,
    squad_records,
    write_splits,
)


def phrasebank(folder: Path, count: int = 2264) -> Path:
    """``Sentences_AllAgree.txt``: ISO-8859-1, CR LF, a label behind the last @."""
    labels = ("positive", "neutral", "negative")
    lines = [f"Käyttö {i} rose @ {i} % .@{labels[i % 3]}\r\n" for i in range(count)]
    path = folder / "Sentences_AllAgree.txt"
    path.write_bytes("".join(lines).encode("ISO-8859-1"))
    return path


def test_phrasebank_has_the_counts_of_the_notebook(tmp_path: Path) -> None:
    found = phrasebank_records(phrasebank(tmp_path))
    assert [len(part) for part in (found.train, found.val, found.test)] == [1811, 226, 227]


def test_phrasebank_is_split_as_nemo_splits_it(tmp_path: Path) -> None:
    path = phrasebank(tmp_path, 50)
    lines = path.read_text(encoding="ISO-8859-1").splitlines()
    random.seed(1234)
    random.shuffle(lines)
    expected = [
        {
            "taskname": "sentiment",
            "sentence": line.rsplit("@", 1)[0],
            "label": " " + line.rsplit("@", 1)[1],
        }
        for line in lines
    ]
    found = phrasebank_records(path)
    assert [*found.train, *found.val, *found.test] == expected
    assert found.train[0]["sentence"].startswith("Käyttö ")


def test_a_sentence_on_both_sides_is_told(tmp_path: Path) -> None:
    path = tmp_path / "Sentences_50Agree.txt"
    path.write_bytes(b"The same .@neutral\n" * 10)
    assert phrasebank_records(path).notes == ("2 sentences of val and test are in train too",)


@pytest.mark.parametrize("line", ["no label", "a@happy", "@neutral"])
def test_a_phrasebank_line_of_another_form_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "Sentences_AllAgree.txt"
    path.write_text(f"Sales rose .@positive\n{line}\n", encoding="ISO-8859-1")
    with pytest.raises(UserError, match=r"line 2 of .*\n.*no sentence@label"):
        phrasebank_records(path)


def squad(folder: Path, topics: int = 20) -> Path:
    """``train-v2.0.json``: topics, paragraphs, questions; those of version 2 may have no answer."""
    data = [
        {
            "title": f"Topic {t}",
            "paragraphs": [
                {
                    "context": f"In {t} there was {p}.",
                    "qas": [
                        {
                            "question": f"What was in {t}, {p}?",
                            "id": f"{t}-{p}",
                            "answers": [
                                {"text": f"{p}", "answer_start": 13},
                                {"text": f"it was {p}", "answer_start": 0},
                            ],
                            "is_impossible": False,
                        },
                        {
                            "question": "Why?",
                            "id": f"{t}-{p}-x",
                            "answers": [],
                            "is_impossible": True,
                        },
                    ],
                }
                for p in range(3)
            ],
        }
        for t in range(topics)
    ]
    path = folder / "train-v2.0.json"
    path.write_text(json.dumps({"version": "v2.0", "data": data}))
    return path


def test_squad_keeps_a_topic_on_one_side(tmp_path: Path) -> None:
    found = squad_records(squad(tmp_path))
    sides = [
        {record["context"].split()[1] for record in part}
        for part in (found.train, found.val, found.test)
    ]
    assert [len(side) for side in sides] == [16, 2, 2]
    assert len(set.union(*sides)) == sum(map(len, sides))
    assert [len(part) for part in (found.train, found.val, found.test)] == [48, 6, 6]
    assert found.left_out == {"questions without an answer": 60}


def test_squad_test_records_have_every_answer(tmp_path: Path) -> None:
    found = squad_records(squad(tmp_path))
    assert isinstance(found.val[0]["answer"], str)
    assert len(found.test[0]["answer"]) == 2
    paths = write_splits(found, tmp_path / "out", "squad")
    assert "answer" not in json.loads(paths["test"].read_text().splitlines()[0])
    truth = json.loads(paths["test_ground_truth"].read_text().splitlines()[0])
    assert truth == found.test[0]


def test_squad_with_a_dev_file_trains_on_the_whole_first_file(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    found = squad_records(squad(tmp_path), squad(tmp_path / "dev", 2))
    assert [len(part) for part in (found.train, found.val, found.test)] == [60, 6, 6]
    assert found.left_out == {"questions without an answer": 66}


@pytest.mark.parametrize("content", ["{", "[]", '{"data": [{"title": "x"}]}', '{"data": 3}'])
def test_json_that_is_not_squad_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(UserError, match=r"not JSON|not SQuAD"):
        squad_records(tmp_path / "train.json")


def assistant(folder: Path) -> Path:
    """One fold of NLU-Evaluation-Data: a csv file for each intent, columns separated by ;"""
    root = folder / "NLU-Evaluation-Data-master"
    fold = root / (
        "CrossValidation/autoGeneFromRealAnno/autoGene_2018_03_22-13_01_25_169/CrossValidation/KFold_1"
    )
    files = {
        "alarm_set": [
            ("wake me at [time : seven am] [date : tomorrow]", "wake me at seven am tomorrow"),
            ("[time : six] [time : am] please", "six am please"),
        ],
        "play_music": [("play something", "play something")],
    }
    for side in ("trainset", "testset/csv"):
        (fold / side).mkdir(parents=True)
        for intent, rows in files.items():
            lines = ["userid;answerid;scenario;answer_annotation;answer_normalised;answer"]
            lines += [f'1;2;x;{annotated};"{plain}";{plain}' for annotated, plain in rows]
            (fold / side / f"{intent}.csv").write_text("\n".join(lines) + "\n")
    return root


def test_assistant_labels_have_the_notebooks_form(tmp_path: Path) -> None:
    found = assistant_records(assistant(tmp_path))
    assert [len(part) for part in (found.train, found.val, found.test)] == [3, 1, 2]
    labels = {record["utterance"]: record["label"] for record in found.train}
    assert labels == {
        "wake me at seven am tomorrow": (
            "\nIntent: alarm_set\nSlots: time(seven am), date(tomorrow)"
        ),
        "six am please": "\nIntent: alarm_set\nSlots: time(six am)",
        "play something": "\nIntent: play_music\nSlots: None",
    }


def test_assistant_folders_without_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no csv files"):
        assistant_records(tmp_path)
    root = assistant(tmp_path)
    path = next(root.rglob("trainset/play_music.csv"))
    path.write_text("header\n1;2\n")
    with pytest.raises(UserError, match=r"line 2 of .*play_music.csv\n.*2 columns"):
        assistant_records(root)
