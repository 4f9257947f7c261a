"""Where a text ends, over six families of tokenizers; the authority is transformers'
``stop_strings``.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, StopStringCriteria

from parabench.inference.end_of_text import EndOfText, declared_end_ids, padding_id

TEXTS = (
    "A line.\nAnother",
    "On 12 lines.\n\nThree",
    "No break at all 7",
    "\nat once",
    "Done. \n",
    "café 1\r\n2",
)
# transformers' criterion spells out "abcdef" with the tokenizer that it is asked about
CORPUS = [*TEXTS, "abcdef", "One line.\nTwo lines, 3 of 12.\n\nDone. \n", "It is 1998.\r\n"]
SPECIALS = ["<s>", "</s>", "<unk>", "<pad>", "<|end|>"]


def byte_level() -> Tokenizer:
    """GPT-2's kind, where ``.\\n`` may be one id."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIALS, initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_fallback() -> Tokenizer:
    """SentencePiece's kind: a line break is the byte ``<0x0A>``, and a space begins the text."""
    bytes_ = {f"<0x{byte:02X}>": byte + 5 for byte in range(256)}
    letters = {
        letter: 261 + at for at, letter in enumerate(sorted(set("".join(CORPUS)) - {"\n", "\r"}))
    }
    words = {token: at for at, token in enumerate(SPECIALS)} | bytes_ | letters
    words["▁"] = len(words)
    tokenizer = Tokenizer(models.BPE(words, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def word_piece() -> Tokenizer:
    """BERT's kind, which never writes a line break."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=SPECIALS)
    )
    return tokenizer


def unigram() -> Tokenizer:
    """T5's kind, with line breaks kept in its pieces."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(vocab_size=90, special_tokens=SPECIALS, unk_token="<unk>"),
    )
    return tokenizer


def tekken() -> Tokenizer:
    """Mistral's newer kind: byte-level, split so that breaks stay with the punctuation before."""
    tokenizer = byte_level()
    pattern = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def opt() -> Tokenizer:
    """OPT's kind: GPT-2's bytes, split by its pattern."""
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


FAMILIES = {
    make.__name__: make for make in (byte_level, byte_fallback, word_piece, unigram, tekken, opt)
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return PreTrainedTokenizerFast(
        tokenizer_object=FAMILIES[request.param](),
        eos_token="</s>",
        bos_token="<s>",
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=["<|end|>"],
        clean_up_tokenization_spaces=False,
    )


def stopped_by_transformers(tokenizer: Any, ids: list[int], stops: tuple[str, ...]) -> int | None:
    """After how many ids transformers' own criterion stops; it refuses what no id can spell."""
    try:
        criterion = StopStringCriteria(tokenizer, list(stops))
    except ValueError as error:
        if "unable to identify tokens" not in str(error):
            raise
        return None
    for count in range(1, len(ids) + 1):
        if bool(criterion(torch.tensor([ids[:count]]), None)[0]):
            return count
    return None


def stopped_by_us(end: EndOfText, ids: list[int]) -> int | None:
    counts = range(1, len(ids) + 1)
    return next((count for count in counts if end.reached(ids[:count])), None)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("stops", [("\n",), ("3", "ne"), ("\n\n",)])
def test_a_row_stops_where_transformers_stops(
    tokenizer: Any, text: str, stops: tuple[str, ...]
) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    end = EndOfText(tokenizer, {1}, stops)
    count = stopped_by_us(end, ids)
    assert count == stopped_by_transformers(tokenizer, ids, stops)
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    found = [decoded.find(stop) for stop in stops if stop in decoded]
    assert end.cut(ids) == (decoded[: min(found, default=None)], count is not None)


def test_no_part_of_a_stop_is_an_end(tokenizer: Any) -> None:
    """Every id that ``encode`` gives for a line break, before a digit as it stands before one."""
    end = EndOfText(tokenizer, {1})
    ids = tokenizer.encode("On 12 of 7", add_special_tokens=False)
    parts = set(tokenizer.encode("\n", add_special_tokens=False)) & set(ids)
    assert stopped_by_us(end, ids) is None, parts
    assert not end.cut(ids).finished


def test_every_declared_id_ends_a_text_before_it(tokenizer: Any) -> None:
    ids = tokenizer.encode("A line", add_special_tokens=False)
    model = SimpleNamespace(
        generation_config=SimpleNamespace(eos_token_id=[1, 4]),
        config=SimpleNamespace(eos_token_id=1),
    )
    end = EndOfText.of(model, tokenizer)
    assert end.ids == {1, 4}
    for last in (1, 4):
        assert end.reached([*ids, last])
        assert end.cut([*ids, last, *ids]) == (
            tokenizer.decode(ids, skip_special_tokens=True),
            True,
        )


@pytest.mark.parametrize("declared", [None, 7, [7, 8], (8,)])
def test_end_ids_are_declared_in_any_form(declared: Any) -> None:
    expected = (
        set() if declared is None else {declared} if isinstance(declared, int) else {*declared}
    )
    config = SimpleNamespace(eos_token_id=declared)
    assert declared_end_ids(SimpleNamespace(config=config)) == expected


def test_padding_is_found_where_a_tokenizer_has_none() -> None:
    ids = [(3, 1), (None, 1), (None, None)]
    made = [SimpleNamespace(pad_token_id=pad, eos_token_id=eos) for pad, eos in ids]
    assert list(map(padding_id, made)) == [3, 1, 0]
