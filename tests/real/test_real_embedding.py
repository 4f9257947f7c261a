"""Sentence embeddings of all-MiniLM-L6-v2 against the code on its model card."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parabench.scorers import embedding
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from parabench.contracts import BuildContext, Example
from parabench.models.checkpoints import checkpoint_folder
from parabench.models.local import Checkpoint

pytestmark = pytest.mark.real

EXAMPLES = (
    Example("a", "A man is eating food.", ("A man eats something.", "Someone is having a meal.")),
    Example("b", "Nobody knew why the train stopped.", ("It was unclear why the train halted.",)),
)
TEXTS = ("A man is eating a meal.", "Prices rose in May.")


def vectors_of_the_card(folder: str, sentences: list[str]) -> torch.Tensor:
    """ "Usage (HuggingFace Transformers)": mean pooling over the attention mask, then length 1."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    encoded = tokenizer(sentences, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        tokens = model.eval()(**encoded)[0]
    mask = encoded["attention_mask"].unsqueeze(-1).expand(tokens.size()).float()
    pooled = torch.sum(tokens * mask, 1) / torch.clamp(mask.sum(1), min=1e-9)
    return normalize(pooled, p=2, dim=1)


def test_cosines_are_those_of_the_model_card(minilm: Checkpoint) -> None:
    folder = str(checkpoint_folder(minilm))
    scorer = embedding.build("", BuildContext(options={"model": folder}))
    for example, text in zip(EXAMPLES, TEXTS, strict=True):
        own, source, *references = vectors_of_the_card(
            folder, [text, example.source, *example.references]
        )
        expected = [max(float(own @ one) for one in references), float(own @ source)]
        ours = scorer.combine(scorer.measure([example], [text]))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-6)
    items = dict(scorer.signature.items)
    assert (items["pooling"], items["truncate"]) == ("mean", "256")


def test_a_paraphrase_is_near_and_another_topic_far(minilm: Checkpoint) -> None:
    scorer = embedding.build("", BuildContext(options={"model": str(checkpoint_folder(minilm))}))
    near, far = (scorer.combine(scorer.measure(EXAMPLES[:1], [text])) for text in TEXTS)
    assert near[1] > 0.7 > 0.3 > far[1]
