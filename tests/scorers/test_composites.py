"""BERT-iBLEU and ParaScore worked out from bert-score's own similarities; inference and fluency one
text at a time.
"""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
import torch
from parabench.scorers import bertibleu, bertscore, fluency, nli, parascore
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from parabench.contracts import BuildContext, Example, UserError
from tests.support import encoders, tiny
from tests.support.worlds import EXAMPLES, TEXTS, check_contract, score

COPIES = [example.source for example in EXAMPLES]


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return BuildContext(
        options={
            "model": str(encoders.roberta(tmp_path_factory.mktemp("m") / "roberta")),
            "layers": 2,
        }
    )


@pytest.fixture(scope="module")
def similarity(options):
    """BERTScore F of (text, other), which test_bertscore.py holds against bert-score."""
    scorer = bertscore.build("", options)
    return lambda text, other: score(scorer, [Example("a", "", (other,))], [text])["bertscore"]


def test_bertibleu_is_the_published_harmonic_mean(options, similarity):
    """Niu et al. 2021: ((4 / BERTScore + 1 / (1 - selfBLEU)) / 5) ** -1, per sentence."""
    expected = []
    for example, text in zip(EXAMPLES, TEXTS, strict=True):
        overlap = sacrebleu.sentence_bleu(text, [example.source]).score / 100
        expected.append(5 / (4 / similarity(text, example.source) + 1 / max(1 - overlap, 1e-5)))
    assert score(bertibleu.build("", options))["bertibleu"] == pytest.approx(
        np.mean(expected), abs=1e-6
    )


def test_a_copy_or_an_empty_text_has_no_bertibleu(options):
    scorer = bertibleu.build("", options)
    assert score(scorer, EXAMPLES[:3], COPIES[:3])["bertibleu"] < 1e-4
    assert score(scorer, EXAMPLES, [""] * 4)["bertibleu"] < 1e-4
    assert score(scorer)["bertibleu"] > 0.1


def test_parascore_by_hand(options, similarity):
    """Shen et al. 2022: the best similarity plus .05 of DS, which is .35 for these far texts and -1
    for copies.
    """
    example, text = Example("a", "abc def", ("ghi jkl", "mno")), "xyz uvw qrs"
    near = [similarity(text, other) for other in (example.source, *example.references)]
    got = score(parascore.build("", options), [example], [text])
    assert got["parascore"] == pytest.approx(max(near) + 0.05 * 0.35, abs=1e-6)
    assert got["parascore-free"] == pytest.approx(near[0] + 0.05 * 0.35, abs=1e-6)
    assert score(parascore.build("", options), EXAMPLES, COPIES)["parascore-free"] == pytest.approx(
        0.95, abs=1e-6
    )


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    labels = {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}
    return encoders.roberta(tmp_path_factory.mktemp("m") / "judge", labels)


def test_nli_one_pair_at_a_time(judge):
    """The model's own softmax, class by name, unpadded."""
    model = AutoModelForSequenceClassification.from_pretrained(judge).eval()
    tokenizer = AutoTokenizer.from_pretrained(judge)

    @torch.inference_mode()
    def entails(premise, text):
        row = tokenizer(premise, text, truncation=True, max_length=38, return_tensors="pt")
        return model(**row).logits.softmax(-1)[0, 2].item()

    rows = [
        (entails(e.source, t), entails(t, e.source)) for e, t in zip(EXAMPLES, TEXTS, strict=True)
    ]
    got = score(nli.build("", BuildContext(options={"model": str(judge)})))
    expected = [np.mean([min(row) for row in rows]), *np.mean(rows, axis=0)]
    assert list(got.values()) == pytest.approx(expected, abs=1e-5)
    assert got["nli-s2h"] != pytest.approx(got["nli-h2s"], abs=1e-3)


def test_nli_refuses_a_model_without_entailment(tmp_path):
    folder = encoders.roberta(tmp_path / "topics", {0: "sport", 1: "politics"})
    with pytest.raises(UserError, match="sport, politics"):
        score(nli.build("", BuildContext(options={"model": str(folder)})))


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return tiny.opt(tmp_path_factory.mktemp("m") / "opt")


def test_fluency_is_the_models_own_loss(writer):
    """transformers' cross-entropy of </s> text </s>, the first one given."""
    model = AutoModelForCausalLM.from_pretrained(writer).eval()
    tokenizer = AutoTokenizer.from_pretrained(writer)

    @torch.inference_mode()
    def loss(text):
        ids = torch.tensor([[*tokenizer(text).input_ids, 2]])
        return model(input_ids=ids, labels=ids).loss.item()

    assert tokenizer("a").input_ids[0] == 2
    scorer = fluency.build("", BuildContext(options={"model": str(writer)}))
    assert score(scorer)["fluency-nll"] == pytest.approx(
        np.mean([loss(text) for text in TEXTS]), abs=1e-4
    )
    assert score(scorer, EXAMPLES[:1], [""])["fluency-nll"] == pytest.approx(loss(""), abs=1e-4)
    assert scorer.columns[0].against == "output"


def test_contracts(options, judge, writer):
    check_contract(bertibleu.build("", options))
    check_contract(parascore.build("", options))
    check_contract(nli.build("", BuildContext(options={"model": str(judge)})))
    check_contract(fluency.build("", BuildContext(options={"model": str(writer)})))


def test_columns_are_known_without_a_model():
    """A finished run is reported from its arrays alone, with nothing but the scorer's name."""
    for module in (bertibleu, bertscore, fluency, nli, parascore):
        scorer = module.build("", BuildContext())
        width = 2 * len(scorer.columns)
        assert scorer.combine(np.ones((3, width))).shape == (len(scorer.columns),)
