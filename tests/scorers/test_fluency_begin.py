"""How a text begins under a language model: what the tokenizer puts first, or a token by name."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from parabench.scorers import fluency

from parabench.contracts import BuildContext, UserError


def tokenizer(puts=(), bos=None, eos=2):
    def encode(text, add_special_tokens=True):
        return SimpleNamespace(input_ids=[*(puts if add_special_tokens else ()), 7, *()])

    encode.bos_token_id, encode.eos_token_id = bos, eos
    encode.get_vocab = lambda: {"<|im_start|>": 1, "<|im_end|>": 2, "<|endoftext|>": 0}
    encode.all_special_tokens = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    return encode


def test_what_the_tokenizer_puts_first_begins_a_text():
    assert fluency.begin_ids(tokenizer(puts=(5,), bos=1), "", "m") == (5,)


def test_a_chat_marker_that_is_not_put_is_no_beginning():
    with pytest.raises(UserError, match="begin = "):
        fluency.begin_ids(tokenizer(bos=1), "", "m")
    assert fluency.begin_ids(tokenizer(bos=1), "<|endoftext|>", "m") == (0,)


def test_one_token_for_both_ends_separates_documents():
    assert fluency.begin_ids(tokenizer(bos=2), "", "m") == (2,)


def test_an_unknown_token_is_refused():
    with pytest.raises(UserError, match="no such token"):
        fluency.begin_ids(tokenizer(), "<s>", "m")


def test_the_beginning_is_in_the_signature(monkeypatch):
    monkeypatch.setattr(fluency.pretrained, "checkpoint_items", lambda *given: ())
    made = fluency.build("", BuildContext(options={"model": "m", "begin": "<|endoftext|>"}))
    assert dict(made.signature.items)["begin"] == "<|endoftext|>"


def test_a_tokenizer_without_an_end_of_text_is_refused():
    """The end is scored behind every text: None among its ids would be no id."""
    fluency.check_end(tokenizer(), "m")
    with pytest.raises(UserError, match="names no end of text"):
        fluency.check_end(tokenizer(eos=None), "m")
