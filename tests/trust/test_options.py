"""Every option that any scorer or system knows is declared here, and what is declared to count is
in the signature.

What a builder knows it says itself, when it refuses an option that nobody has.
"""

import shutil
from dataclasses import replace

import pytest
import torch

from parabench import registry
from parabench.contracts import BuildContext, UserError
from parabench.prompts import adapters
from parabench.prompts.templates import paraphrase_template
from tests.support import tiny

MODEL, MATCHER, CAUSAL = (
    {"model"},
    {"model", "layers", "idf", "baseline"},
    {"model", "dtype", "template"},
)
PROMPT = {"model", "dtype", "adapters"}
SIGNED: dict[tuple[str, str], set[str]] = {
    **{("scorer", name): {"tokenize", "lowercase"} for name in ("bleu", "ibleu", "selfbleu")},
    **{("scorer", name): MATCHER for name in ("bertscore", "bertibleu", "parascore")},
    **{("scorer", name): MODEL for name in ("nli", "paraphrase-opt")},
    ("scorer", "fluency"): {"model", "begin"},
    ("scorer", "semantic-parity"): {"model", "layers", "causal", "begin"},
    ("scorer", "embedding"): {"model", "pooling", "max_tokens"},
    ("scorer", "bartscore"): {"model", "references"},
    ("scorer", "chrf"): {"lowercase"},
    ("scorer", "divergence"): {"tokenize"},
    ("scorer", "evaluate"): {"field", "better", "references"},
    ("scorer", "rouge"): {"stemmer", "tokenizer"},
    ("scorer", "ter"): {"normalized", "case_sensitive"},
    **{("system", name): CAUSAL for name in ("zeroshot", "finetuned", "bart", "seq2seq")},
    **{("system", name): PROMPT for name in ("softprompt", "ptuning")},
    ("system", "endpoint"): {"model", "template", "leave_out"},
    ("system", "vllm"): CAUSAL | PROMPT,
}
"""In the signature: another value sets the records aside."""
LOCAL = [name for kind, name in SIGNED if kind == "system" and name != "endpoint"]
KEYED = {("system", name): {"role"} for name in (*LOCAL, "fewshot", "lora")}
"""In the key of the records beside the signature."""
CIRCUMSTANCE = {("system", "endpoint"): {"url", "rate", "concurrency", "deadline"}}
"""Changes no text: where, how fast and how patiently a served model is asked."""
CHAT = {"chat", "system"}
ELSEWHERE = {
    ("system", "softprompt"): {"table", "task"},
    **{("system", name): CHAT for name in ("zeroshot", "finetuned", "vllm")},
    ("system", "fewshot"): CAUSAL | CHAT | {"pairs", "joiner"},
    ("system", "lora"): PROMPT,
}
"""In the signature too, as tests of these systems in tests/baselines see: test_tasks.py,
test_chat_systems.py, test_fewshot.py, test_lora_systems.py."""
VARIANTS = {
    "attack": "antonyms",
    "evaluate": "exact_match",
    "fewshot": "3",
    "lora": "8",
    "softprompt": "5",
    "ptuning": "5",
}
FAMILIES = [(kind, name) for kind in ("scorer", "system") for name in registry.plugin_table(kind)]


def built(part, options, setting=None):
    kind, name = part
    return registry.plugin_builder(kind, name)(
        VARIANTS.get(name, ""), replace(setting or BuildContext(), options=options)
    )


def known(part) -> set[str]:
    """The options of a family; controls have none and look at none."""
    try:
        built(part, {"an option that nobody has": "x"})
    except UserError as error:
        assert "no such option" in error.found  # noqa: PT017
        return set(error.choices)
    return set()


def undeclared(part) -> set[str]:
    """The options that are not declared exactly once, and the declared ones that are none."""
    declared = [
        name for table in (SIGNED, KEYED, CIRCUMSTANCE, ELSEWHERE) for name in table.get(part, ())
    ]
    return {
        name
        for name in known(part) | set(declared)
        if declared.count(name) != 1 or name not in known(part)
    }


@pytest.mark.parametrize("part", FAMILIES, ids="-".join)
def test_every_option_is_declared(part):
    assert undeclared(part) == set()


def test_a_new_option_is_noticed(monkeypatch):
    from parabench.scorers import rouge, scorer_options

    def build(variant, setting):
        return rouge.Rouge(
            **scorer_options.checked_options(
                "rouge", setting, stemmer=bool, tokenizer=str, split_summaries=bool
            )
        )

    monkeypatch.setattr(rouge, "build", build)
    assert undeclared(("scorer", "rouge")) == {"split_summaries"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two models, and two prompts of one name for the first of them."""
    folder = tmp_path_factory.mktemp("models")
    tiny.opt(folder / "one")
    tiny.opt(folder / "two", word_embed_proj_dim=16)
    from parabench.models.checkpoints import locate

    base = adapters.BaseIdentity.of(locate(str(folder / "one")))
    for number, name in enumerate(("a", "b")):
        prompt = torch.full((5, 32), float(number))
        adapters.save_adapter(
            folder / name / "softprompt-5",
            prompt,
            adapters.AdapterFacts(paraphrase_template(5), base),
        )
        shutil.copytree(folder / name / "softprompt-5", folder / name / "ptuning-5")
    return folder


VALUES = {
    "dtype": ("float32", "bfloat16"),
    "template": ("{source}", "say: {source}"),
    "layers": (1, 2),
    "idf": (False, True),
    "baseline": ("bert-base-uncased", "roberta-base"),
    "references": ("mean", "max"),
    "leave_out": ("seed", "temperature"),
    "tokenize": ("13a", "none"),
    "field": ("a", "b"),
    "better": ("up", "down"),
    "tokenizer": ("a-z", "unicode"),
    "begin": ("<s>", "</s>"),
    "pooling": ("mean", "cls"),
    "max_tokens": (16, 32),
    "role": ("system", "sentinel"),
    "url": ("http://localhost:1/v1", "http://localhost:2/v1"),
    "rate": (0, 60),
    "concurrency": (1, 2),
    "deadline": (300, 600),
}


def values(world, part, option):
    """Two values of an option."""
    if (part[1], option) == ("evaluate", "references"):
        return "one", "all"
    models = ("one", "two")
    paths = {"model": models, "causal": models, "adapters": ("a", "b")}
    return (
        tuple(str(world / name) for name in paths[option])
        if option in paths
        else VALUES.get(option, (False, True))
    )


def given(world, part) -> dict[str, object]:
    """What a family must be given."""
    needs = {
        "model": str(world / "one"),
        "causal": str(world / "one"),
        "adapters": str(world / "a"),
        "layers": 1,
        "url": VALUES["url"][0],
        "pairs": "pairs.tsv",
    }
    return {name: value for name, value in needs.items() if name in known(part)}


def signatures(world, part, option) -> set[str]:
    setting = BuildContext(sources=("A source.",))
    return {
        str(built(part, {**given(world, part), option: value}, setting).signature)
        for value in values(world, part, option)
    }


def pairs(table):
    return [
        (part, option)
        for part, options in table.items()
        for option in sorted(options)
        if part != ("system", "vllm")
    ]


@pytest.mark.parametrize(("part", "option"), pairs(SIGNED))
def test_another_value_of_what_counts_is_another_signature(world, part, option):
    if (option, part[1]) in {("model", name) for name in ("softprompt", "ptuning")}:
        with pytest.raises(UserError, match="made for"):
            signatures(world, part, option)
    else:
        assert len(signatures(world, part, option)) == 2


@pytest.mark.parametrize(("part", "option"), pairs(CIRCUMSTANCE))
def test_another_value_of_a_circumstance_is_the_same_signature(world, part, option):
    assert len(signatures(world, part, option)) == 1


@pytest.mark.parametrize(("part", "option"), pairs(KEYED))
def test_another_role_is_another_key(world, part, option):
    roles = {
        built(part, {**given(world, part), option: value}).role
        for value in values(world, part, option)
    }
    assert roles == {"system", "sentinel"}


def test_where_the_rows_of_a_prompt_stand_is_in_the_signature(world):
    whole = adapters.load_adapter(world / "a/softprompt-5")
    text = "<|VIRTUAL_PROMPT_0|>{source}<|VIRTUAL_PROMPT_1|>{target}"
    found = set()
    for splits in ((2, 3), (3, 2)):
        template = replace(whole.facts.template, prompt_template=text, virtual_token_splits=splits)
        folder = world / f"split-{splits[0]}"
        adapters.save_adapter(
            folder / "softprompt-5", whole.prompt, replace(whole.facts, template=template)
        )
        given = {"model": str(world / "one"), "adapters": str(folder)}
        found.add(str(built(("system", "softprompt"), given).signature))
    assert len(found) == 2
