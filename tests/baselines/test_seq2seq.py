"""Encoder-decoders of each kind against transformers' own generate, on small random models."""

from __future__ import annotations

import io
import json

import pytest
import sentencepiece
import torch
from tokenizers import processors
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    MarianConfig,
    MarianTokenizer,
    MBartConfig,
    PegasusConfig,
    T5Config,
)

from parabench import registry
from parabench.contracts import BuildContext, Decoding, Runtime, UserError
from parabench.inference.decoding import decode_seq2seq
from tests.support import tiny

SOURCES = (*tiny.SENTENCES, "It rained.", "a")
SIZES = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 128,
    "dropout": 0.0,
}
LANGUAGE = tiny.VOCABULARY


def save(folder, config, tokenizer, spread=0.3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForSeq2SeqLM.from_config(config)
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                wide = 1.0 if "shared" in name else spread
                torch.nn.init.normal_(weight, std=wide)
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_end(*more):
    """A tokenizer that ends each text with ``</s>`` and, as mBART's does, with a language."""
    tokenizer = tiny.tokenizer("$A </s>")
    if more:
        tokenizer.add_special_tokens({"additional_special_tokens": list(more)})
        pairs = [("</s>", 2), *((name, LANGUAGE + at) for at, name in enumerate(more))]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A </s> {more[0]}", special_tokens=pairs
        )
    return tokenizer


def t5(folder):
    config = T5Config(
        vocab_size=tiny.VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        dropout_rate=0.0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    return save(folder, config, with_end())


def mbart(folder):
    config = MBartConfig(
        vocab_size=tiny.VOCABULARY + 2, **SIZES, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        decoder_start_token_id=2, forced_bos_token_id=LANGUAGE + 1, forced_eos_token_id=None,
    )  # fmt: skip
    return save(folder, config, with_end("en_XX", "ro_RO"))


def pegasus(folder):
    config = PegasusConfig(
        vocab_size=tiny.VOCABULARY, **SIZES, pad_token_id=1, eos_token_id=2,
        decoder_start_token_id=1, forced_eos_token_id=None,
    )  # fmt: skip
    return save(folder, config, with_end())


def marian(folder):
    """Marian's own tokenizer: SentencePiece, a vocabulary beside it, codes of languages."""
    folder.mkdir()
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(tiny.SENTENCES), model_writer=made, vocab_size=90,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(made.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
    known = [pieces.id_to_piece(number) for number in range(3, len(pieces))]
    words = ["</s>", "<unk>", *known, ">>fra<<", ">>deu<<", "<pad>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = MarianTokenizer(
        *(str(folder / name) for name in ("source.spm", "target.spm", "vocab.json"))
    )
    pad = vocabulary["<pad>"]
    config = MarianConfig(
        vocab_size=len(words), **SIZES, pad_token_id=pad, eos_token_id=0, bos_token_id=None,
        decoder_start_token_id=pad, forced_eos_token_id=None,
    )  # fmt: skip
    save(folder, config, tokenizer, 0.7)
    settings = json.loads((folder / "generation_config.json").read_text())
    settings["bad_words_ids"] = [[pad]]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


KINDS = {"t5": t5, "mbart": mbart, "pegasus": pegasus, "marian": marian}
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("seq2seq")
    return {name: build(place / name) for name, build in KINDS.items()}


def system(folder, beams=1, **given):
    decoding = Decoding(max_new_tokens=14, num_beams=beams)
    setting = BuildContext(decoding=decoding, options={"model": str(folder), **given})
    return registry.plugin_builder("system", "seq2seq")("", setting)


def answers(built, sources=SOURCES):
    done = [one for batch in built.paraphrase(sources) for one in batch]
    return [(one.text, one.finished) for one in sorted(done)]


def generated(folder, template="{source}", beams=1, sources=SOURCES):
    """Each source by itself through generate, with what the checkpoint's own files say."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    forced = model.generation_config.forced_bos_token_id is not None
    found = []
    for source in sources:
        encoded = tokenizer(template.replace("{source}", source), return_tensors="pt")
        limits = {"max_new_tokens": 14 + forced, "min_new_tokens": 1 + forced, "num_beams": beams}
        with torch.no_grad():
            ids = model.generate(**encoded, **limits, do_sample=False)[0].tolist()
        end = model.config.eos_token_id
        new = ids[1 + forced :]
        text = tokenizer.decode(new, skip_special_tokens=True)
        found.append((text.strip(), end in new))
    return found


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("template", ["{source}", "paraphrase: {source}"])
def test_answers_equal_generate(folders, name, template):
    expected = generated(folders[name], template)
    assert answers(system(folders[name], template=template)) == expected
    assert len(set(expected)) > 4


@pytest.mark.parametrize("name", ["t5", "pegasus", "marian"])
def test_beams_equal_generate(folders, name):
    assert answers(system(folders[name], 3)) == generated(folders[name], beams=3)


def test_the_prefix_is_in_the_signature_and_changes_answers(folders):
    plain, prefixed = system(folders["t5"]), system(folders["t5"], template="paraphrase: {source}")
    assert str(plain.signature) != str(prefixed.signature)
    assert answers(plain) != answers(prefixed)


@pytest.mark.parametrize("name", KINDS)
def test_a_special_tokens_name_in_a_source_is_text(folders, name):
    tokenizer = AutoTokenizer.from_pretrained(folders[name])
    built = system(folders[name])
    model = AutoModelForSeq2SeqLM.from_pretrained(folders[name])
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    plain = [one for one in built._encode(model, tokenizer, "It rained.") if one in special]
    for token in tokenizer.all_special_tokens:
        ids = built._encode(model, tokenizer, f"{token}It {token} rained.{token}")
        assert [one for one in ids if one in special] == plain


def test_a_language_is_named_by_the_template_alone(folders):
    tokenizer = AutoTokenizer.from_pretrained(folders["marian"])
    model = AutoModelForSeq2SeqLM.from_pretrained(folders["marian"])
    french, german = tokenizer.convert_tokens_to_ids([">>fra<<", ">>deu<<"])
    source = ">>deu<< It rained."
    assert german in tokenizer(source).input_ids
    assert german not in system(folders["marian"])._encode(model, tokenizer, source)
    built = system(folders["marian"], template=">>fra<< {source}")
    assert str(built.signature)
    ids = built._encode(model, tokenizer, source)
    assert french in ids
    assert german not in ids


def test_marians_padding_is_never_written(folders):
    """A bias makes the padding win each step, so that only the files can keep it out."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folders["marian"])
    assert model.config.pad_token_id == model.config.decoder_start_token_id
    bias = model.final_logits_bias.clone()
    bias[0, model.config.pad_token_id] = 50.0
    model.final_logits_bias = bias
    (done,) = next(iter(decode_seq2seq(model, [(5, 6, 0)], Decoding(max_new_tokens=5), Runtime())))
    assert model.config.pad_token_id not in done.ids


@pytest.mark.parametrize(
    ("template", "message"), [("paraphrase:", "no {source}"), ("{source}</s>", "</s>")]
)
def test_templates_that_make_no_sense_are_refused(folders, template, message):
    with pytest.raises(UserError, match=message):
        _ = system(folders["t5"], template=template).signature


def test_a_model_without_a_start_is_refused(folders, tmp_path):
    folder = t5(tmp_path / "t5")
    config = json.loads((folder / "config.json").read_text())
    config["decoder_start_token_id"] = None
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").unlink()
    with pytest.raises(UserError, match="decoder_start_token_id"):
        answers(system(folder))
