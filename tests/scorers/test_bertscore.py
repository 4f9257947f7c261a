"""BERTScore against bert-score 0.3.13 with the tokenisation it asks for, on tiny random
encoders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from parabench.scorers import bertscore
from parabench.scorers.greedy_matching import greedy_matches
from parabench.scorers.token_vectors import TokenVectors
from transformers import AutoTokenizer

from parabench.contracts import BuildContext, Example, UserError
from tests.support import encoders, tiny
from tests.support.worlds import EXAMPLES, TEXTS, check_contract, score


@pytest.fixture(scope="module")
def roberta(tmp_path_factory) -> Path:
    return encoders.roberta(tmp_path_factory.mktemp("encoder") / "roberta")


@pytest.fixture(scope="module")
def bart(tmp_path_factory) -> Path:
    return tiny.bart(tmp_path_factory.mktemp("encoder") / "bart")


def build(folder: Path, layers: int = 2, **more):
    sources = tuple(example.source for example in EXAMPLES)
    return bertscore.build(
        "", BuildContext(options={"model": str(folder), "layers": layers, **more}, sources=sources)
    )


def outside(
    folder: Path, layers: int, limit: int, idf: bool = False, baseline: str = ""
) -> list[float]:
    """bert-score itself, its tokenizer replaced by one that puts the space first, as it asks
    ``encode`` to.
    """
    import bert_score
    from bert_score import BERTScorer

    table = (
        str(Path(bert_score.__file__).parent / f"rescale_baseline/en/{baseline}.tsv")
        if baseline
        else None
    )
    scorer = BERTScorer(
        model_type=str(folder),
        num_layers=layers,
        device="cpu",
        nthreads=0,
        idf=idf,
        lang="en",
        rescale_with_baseline=bool(baseline),
        baseline_path=table,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.pre_tokenizer.add_prefix_space = True
    tokenizer.model_max_length = limit
    tokenizer.cls_token, tokenizer.sep_token = "<s>", "</s>"
    scorer._tokenizer = tokenizer
    assert tokenizer.tokenize("the")[0].startswith("Ġ")
    if idf:
        scorer.compute_idf([example.source for example in EXAMPLES])
    parts = scorer.score(list(TEXTS), [list(example.references) for example in EXAMPLES])
    precision, recall, fmeasure = (part.mean().item() for part in parts)
    return [fmeasure, precision, recall]


def test_a_pair_is_worth_the_same_beside_any_others():
    """Vectors at random, so that a cosine is as often below 0 as above, and texts unequal."""
    lengths = np.array([1, 3, 9, 17])
    starts = np.cumsum(lengths) - lengths
    total = int(lengths.sum())
    vectors = torch.randn(total, 4, generator=torch.Generator().manual_seed(0))
    names = ["a", "b", "c", "d"]
    encoded = TokenVectors(
        vectors=vectors,
        places={name: place for place, name in enumerate(names)},
        ids=np.arange(total),
        is_special=np.zeros(total, dtype=np.int64),
        starts=starts,
        lengths=lengths,
    )
    pairs = [(one, other) for one in names for other in names]
    together = greedy_matches(encoded, np.ones(total), pairs)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    for (one, other), (precision, recall, _) in zip(pairs, together, strict=True):
        text, reference = names.index(one), names.index(other)
        text_span = slice(starts[text], starts[text] + lengths[text])
        reference_span = slice(starts[reference], starts[reference] + lengths[reference])
        cosines = unit[text_span] @ unit[reference_span].T
        assert precision == pytest.approx(cosines.amax(dim=1).mean().item(), abs=1e-6)
        assert recall == pytest.approx(cosines.amax(dim=0).mean().item(), abs=1e-6)


def test_equals_bert_score_on_roberta(roberta):
    got = list(score(build(roberta)).values())
    assert got == pytest.approx(outside(roberta, 2, 38), abs=1e-6)


def test_equals_bert_score_on_barts_encoder(bart):
    got = list(score(build(bart, 1)).values())
    assert got == pytest.approx(outside(bart, 1, 128), abs=1e-6)


def test_equals_bert_score_with_rare_words_weighing_more(roberta):
    got = list(score(build(roberta, idf=True)).values())
    assert got == pytest.approx(outside(roberta, 2, 38, idf=True), abs=1e-6)
    assert got != pytest.approx(list(score(build(roberta)).values()), abs=1e-4)


def test_equals_bert_score_rescaled(roberta):
    got = list(score(build(roberta, baseline="roberta-large")).values())
    assert got == pytest.approx(outside(roberta, 2, 38, baseline="roberta-large"), abs=1e-5)
    with pytest.raises(UserError, match="roberta-large"):
        _ = build(roberta, baseline="roberta-huge").signature
    assert "rescaled:roberta-large" in str(build(roberta, baseline="roberta-large").signature)


def test_layers_matter_and_must_exist(roberta):
    assert score(build(roberta, 1)) != pytest.approx(score(build(roberta, 3)))
    with pytest.raises(UserError, match="layer 4"):
        score(build(roberta, 4))
    with pytest.raises(UserError, match="no layer was chosen"):
        bertscore.build("", BuildContext(options={"model": str(roberta)}))


def test_results_do_not_depend_on_the_batch(roberta):
    scorer = build(roberta)
    together = scorer.measure(EXAMPLES, TEXTS)
    alone = np.concatenate([scorer.measure([e], [t]) for e, t in zip(EXAMPLES, TEXTS, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_identity_is_maximal_blank_zero_and_swaps_noticed(roberta):
    scorer = build(roberta)
    assert list(
        score(scorer, EXAMPLES, [e.references[-1] for e in EXAMPLES]).values()
    ) == pytest.approx([1.0] * 3)
    assert list(score(scorer, EXAMPLES[:1], [" "]).values()) == [0.0, 0.0, 0.0]
    turned = score(scorer, [Example("a", "", (TEXTS[0],))], [EXAMPLES[1].references[0]])
    there = score(scorer, [Example("a", "", EXAMPLES[1].references)], [TEXTS[0]])
    assert turned["bertscore-p"] == pytest.approx(there["bertscore-r"])
    assert turned["bertscore-p"] != pytest.approx(there["bertscore-p"])


def test_contract(roberta):
    scorer = build(roberta)
    check_contract(scorer)
    scorer.release()
    assert str(roberta.parent) not in str(scorer.signature)
    assert "layers:2" in str(scorer.signature)
