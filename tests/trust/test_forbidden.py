"""What the package may not say anywhere, read from its syntax trees; every rule is shown a line
that it must refuse.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("parabench", "scorers", "baselines")
    for path in (ROOT / folder).rglob("*.py")
)
CONVERTERS = {"parabench/models/pickles.py"}
"""Where checkpoints are read that exist only as pickles: tensors alone, by
``weights_only=True``.
"""

LOADERS = {"parabench/models/pretrained.py"}
"""Where transformers is asked to load, without the model's own code."""

PICKLES = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "joblib",
    "cloudpickle",
    "shelve",
    "marshal",
    "jsonpickle",
}
NO_PICKLING = {"pickle", "pickle.UnpicklingError", "joblib.Parallel", "joblib.delayed"}
SHELLS = {
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "os.startfile",
}
UNPACKERS = {"extractall", "unpack_archive"}


def name(node) -> str:
    """``torch.load`` of the node that says so, or what is known of its end."""
    if isinstance(node, ast.Attribute):
        return f"{name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, name(node.func), {word.arg: word.value for word in node.keywords}


def is_constant(node, value) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def pickles(tree):
    """Pickling by any name; neither the error that a refused pickle raises nor sharing work among
    our own processes.
    """
    for node, module in imported(tree):
        if module.split(".")[0] in PICKLES and module not in NO_PICKLING:
            yield node
    for node in ast.walk(tree):
        said = name(node)
        if said.startswith("pickle.") and said != "pickle.UnpicklingError":
            yield node
    for node, function, words in calls(tree):
        if function.endswith((".read_pickle", ".to_pickle")) or is_constant(
            words.get("allow_pickle"), True
        ):
            yield node


def evaluation(tree):
    """Text run as code."""
    yield from (
        node
        for node, function, _ in calls(tree)
        if function in ("eval", "exec", "compile", "__import__")
    )
    yield from (
        node for node, module in imported(tree) if module.split(".")[0] in ("code", "runpy")
    )


def shell(tree):
    """A command line parsed by a shell, or a command that is one string."""
    for node, function, words in calls(tree):
        asked = function in SHELLS or ("shell" in words and not is_constant(words["shell"], False))
        one_string = function.startswith("subprocess.") and isinstance(
            [*node.args, None][0], ast.JoinedStr | ast.Constant
        )
        if asked or one_string:
            yield node


def yaml(tree):
    """YAML that builds objects."""
    unsafe = (
        "yaml.load",
        "yaml.load_all",
        "yaml.unsafe_load",
        "yaml.unsafe_load_all",
        "yaml.full_load",
    )
    yield from (node for node, function, _ in calls(tree) if function in unsafe)
    yield from (
        node
        for node, module in imported(tree)
        if module.startswith("yaml.") and "safe" not in module
    )


def remote_code(tree):
    """A model's own code, run because the model says so."""
    for node, _, words in calls(tree):
        if "trust_remote_code" in words and not is_constant(words["trust_remote_code"], False):
            yield node
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (
                v
                for k, v in pairs
                if getattr(k, "value", "") == "trust_remote_code" and not is_constant(v, False)
            )


def from_pretrained(tree, ours=False):
    """A model, configuration or tokenizer loaded elsewhere than by the one function of ours, or
    there without saying that the model's own code is not to be run.
    """
    for node, function, words in calls(tree):
        loads = function.rpartition(".")[2] in ("from_pretrained", "from_config", "pipeline")
        if loads and not (ours and is_constant(words.get("trust_remote_code"), False)):
            yield node


def torch_load(tree, converter=False):
    """A checkpoint read as a pickle: in a converter by weights_only alone, elsewhere not at all."""
    for node, function, words in calls(tree):
        loads = function in (
            "torch.load",
            "torch.jit.load",
            "torch.hub.load",
            "torch.package.PackageImporter",
        )
        if loads and not (
            converter and function == "torch.load" and is_constant(words.get("weights_only"), True)
        ):
            yield node
    yield from (
        node for node, module in imported(tree) if module in ("torch.load", "torch.hub.load")
    )


def unpacking(tree):
    """Archives unpacked by the names that they hold."""
    yield from (
        node for node, function, _ in calls(tree) if function.rpartition(".")[2] in UNPACKERS
    )


def trust(tree):
    """Certificates not looked at, and temporary names that somebody else can take."""
    for node, function, words in calls(tree):
        if is_constant(words.get("verify"), False) or function in (
            "tempfile.mktemp",
            "ssl._create_unverified_context",
        ):
            yield node


BAD = {
    pickles: (
        "import dill",
        "from pickle import loads",
        "import pickle\npickle.load(file)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "frame.to_pickle(path)",
        "import joblib.memory",
        "from joblib import load",
        "import joblib",
    ),
    evaluation: (
        "eval(text)",
        "exec(text)",
        "compile(text, '', 'exec')",
        "__import__(name)",
        "import runpy",
    ),
    shell: (
        "import os\nos.system(text)",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=flag)",
        "subprocess.run(f'git -C {folder}')",
    ),
    yaml: ("yaml.load(text, Loader=yaml.Loader)", "yaml.full_load(text)", "from yaml import load"),
    remote_code: (
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=flag)",
        "options = {'trust_remote_code': True}",
    ),
    from_pretrained: (
        "AutoConfig.from_pretrained(folder)",
        "AutoConfig.from_pretrained(folder, trust_remote_code=False)",
        "loader.from_pretrained(folder, **settings)",
        "AutoModel.from_config(config)",
        "transformers.pipeline('text-generation', name)",
    ),
    torch_load: (
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "torch.hub.load(repository, name)",
    ),
    unpacking: ("archive.extractall(folder)", "shutil.unpack_archive(path)"),
    trust: ("requests.get(address, verify=False)", "tempfile.mktemp()"),
}
ALLOWED = {torch_load: CONVERTERS, from_pretrained: LOADERS}
"""Rules with an exception, and the files that it holds for."""

GOOD = (
    "from joblib import Parallel, delayed",
    "try: load()\nexcept pickle.UnpicklingError: pass",
    "model.eval()",
    "re.compile(text)",
    "subprocess.run(['git', '-C', folder])",
    "yaml.safe_load(text)",
    "load_pretrained(AutoModel, folder, reference)",
    "np.load(path, allow_pickle=False)",
)


@pytest.mark.parametrize("rule", BAD, ids=lambda rule: rule.__name__)
def test_the_package_does_not_say_it(rule):
    for path in FILES:
        tree, where = ast.parse(path.read_text(encoding="utf-8")), path.relative_to(ROOT).as_posix()
        allowed = ALLOWED.get(rule)
        found = rule(tree) if allowed is None else rule(tree, where in allowed)
        lines = [f"{where}:{node.lineno}" for node in found]
        assert lines == [], rule.__doc__


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts in BAD.items() for text in texts]
)
def test_every_rule_refuses_what_it_is_about(rule, text):
    assert list(rule(ast.parse(text)))


@pytest.mark.parametrize("text", GOOD)
def test_no_rule_refuses_what_is_safe(text):
    assert [node for rule in BAD for node in rule(ast.parse(text))] == []


def test_a_converter_must_still_say_weights_only():
    assert list(torch_load(ast.parse("torch.load(path)"), converter=True))
    assert list(torch_load(ast.parse("torch.load(path, weights_only=flag)"), converter=True))
    assert not list(torch_load(ast.parse("torch.load(path, weights_only=True)"), converter=True))


def test_our_loader_must_still_refuse_the_models_code():
    call = "loader.from_pretrained(folder, {})"
    assert list(from_pretrained(ast.parse(call.format("**settings")), ours=True))
    assert list(from_pretrained(ast.parse(call.format("trust_remote_code=flag")), ours=True))
    assert not list(from_pretrained(ast.parse(call.format("trust_remote_code=False")), ours=True))


def test_the_rules_read_the_whole_package():
    assert len(FILES) > 50
    assert {path.relative_to(ROOT).as_posix() for path in FILES} >= CONVERTERS
