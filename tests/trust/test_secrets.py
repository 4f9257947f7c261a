"""No secret of the environment is in any byte that the program writes, to its folder, its output or
its errors.

The real program runs from a copy of the code in a git repository whose remote holds a password.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import light

ROOT = Path(__file__).parents[2]
CANARY = "canary7f3a"
SECRETS = {
    "HF_TOKEN": f"hf_{CANARY}",
    "HUGGING_FACE_HUB_TOKEN": f"hf_{CANARY}",
    "WANDB_API_KEY": f"{CANARY}" * 4,
    "OPENAI_API_KEY": f"sk-{CANARY}",
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "HTTPS_PROXY": f"http://user:{CANARY}@192.0.2.1:3128",
    "HTTP_PROXY": f"http://user:{CANARY}@192.0.2.1:3128",
    "PIP_INDEX_URL": f"https://user:{CANARY}@192.0.2.1/simple",
    "GIT_ASKPASS": f"/bin/{CANARY}",
    "MY_PASSWORD": CANARY,
}


@pytest.fixture(scope="module")
def code(tmp_path_factory) -> Path:
    """A copy of the code, in a git repository."""
    folder = tmp_path_factory.mktemp("code")
    leave = shutil.ignore_patterns("models", "adapters", "__pycache__", "scorers", "baselines")
    shutil.copytree(ROOT / "parabench", folder / "parabench", ignore=leave)
    for name in ("scorers", "baselines"):
        shutil.copytree(ROOT / name, folder / "parabench" / name, ignore=leave)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (
        ["init", "-q"],
        ["remote", "add", "origin", f"https://user:{CANARY}@example.com/repository.git"],
        ["add", "."],
        [*who, "commit", "-q", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True, capture_output=True)
    return folder


def program(code: Path, folder: Path, *arguments: str) -> bytes:
    """Everything that the program says."""
    path = os.pathsep.join([str(code), os.environ["PYTHONPATH"]])
    environment = {**os.environ, **SECRETS, "PYTHONPATH": path}
    command = [sys.executable, "-m", "parabench", *arguments]
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment, timeout=300)
    return done.stdout + done.stderr


def found(folder: Path, said: bytes, text: str = CANARY) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    told = ["what it said"] if text.encode() in said else []
    return told + [str(path) for path in files if text.encode() in path.read_bytes()]


def test_no_secret_is_written(code, tmp_path):
    light.data(tmp_path)
    run = (
        "run",
        "--suite",
        "overlap",
        "--data",
        "data.jsonl",
        "--scorers",
        "bleu",
        "--output",
        "out",
    )
    said = program(code, tmp_path, *run)
    assert (tmp_path / "out/manifest.json").exists(), said.decode()
    said += program(code, tmp_path, "report", "out", "--format", "latex,lm-eval")
    said += program(code, tmp_path, *run, "--seed", "1")  # refused
    assert b"reuse out" in said
    said += program(
        code, tmp_path, "run", "--suite", "overlap", "--data", "data.jsonl", "--systems", "zeroshot"
    )
    assert found(tmp_path, said) == []
    provenance = (tmp_path / "out/provenance.json").read_text()
    assert f'"commit": "{revision(code)}"' in provenance
    assert str(tmp_path) not in "".join(path.read_text() for path in (tmp_path / "out").glob("*.*"))


def test_a_traceback_holds_no_secret(code, tmp_path):
    broken = tmp_path / "code"
    shutil.copytree(code, broken)
    (broken / "parabench/scorers/bleu.py").write_text("raise RuntimeError('broken on purpose')\n")
    light.data(tmp_path)
    said = program(
        broken, tmp_path, "run", "--suite", "overlap", "--data", "data.jsonl", "--scorers", "bleu"
    )
    assert b"broken on purpose" in said
    assert CANARY.encode() not in said


def test_a_secret_that_is_written_is_found(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).write_text(f"token={SECRETS['HF_TOKEN']}" if name == "c" else "")
    assert found(tmp_path, b"") == [str(tmp_path / "c")]
    assert "what it said" in found(tmp_path, SECRETS["HTTPS_PROXY"].encode())


def revision(folder: Path) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
