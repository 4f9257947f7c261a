"""Equality with huggingface/peft on the same weights: logits, loss, gradient, greedy and beam, in
both directions.
"""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference.decoding import decode_causal
from parabench.inference.prompt_ids import PromptIds, embed
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts import adapters, convert, encoders
from parabench.prompts.rendering import labels, render
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
from parabench.prompts.templates import paraphrase_template
from parabench.training.losses import TrainingRow as TrainingRow
from parabench.training.losses import prompt_loss
from tests.support import tiny
from tests.support.prompts import embedding_width

peft = pytest.importorskip("peft", reason="the peft extra is not installed")

LENGTH = 5
SHAPES = {
    "opt-125m": lambda folder: tiny.opt(folder),
    "opt-350m": lambda folder: tiny.opt350(folder),
    "opt-1.3b": lambda folder: tiny.opt(
        folder, hidden_size=64, word_embed_proj_dim=64, num_attention_heads=8, num_hidden_layers=3
    ),
}
SOURCES = [{"source": "The rain"}, {"source": "Nobody knew why the train had stopped."}]
TARGETS = ["A long discussion", "x"]


@pytest.fixture(scope="module", params=SHAPES)
def checkpoint(request, tmp_path_factory):
    return locate(str(SHAPES[request.param](tmp_path_factory.mktemp(request.param))))


def foreign(checkpoint, method):
    """A model wrapped by PEFT, with a prompt of ordinary size."""
    model, _ = load_causal(checkpoint, Runtime())
    width = embedding_width(model)
    if method == "prompt-tuning":
        config = peft.PromptTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=LENGTH, token_dim=width
        )
    else:
        config = peft.PromptEncoderConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=LENGTH,
            token_dim=width,
            encoder_reparameterization_type=method,
            encoder_hidden_size=24,
        )
    torch.manual_seed(0)
    return peft.get_peft_model(model, config).eval()


def rows(checkpoint, prompt):
    tokenizer = load_causal(checkpoint, Runtime())[1]
    return [
        PromptIds(render(paraphrase_template(LENGTH), record, tokenizer, 128).ids, prompt)
        for record in SOURCES
    ]


def assert_equal_forward(theirs, model, rows, tolerance=2e-6):
    for row in rows:
        text = torch.tensor([row.ids[LENGTH:]])
        with torch.no_grad():
            expected = theirs(input_ids=text, attention_mask=torch.ones_like(text)).logits
            found = model(inputs_embeds=embed(model, [row])[None]).logits
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def assert_equal_texts(theirs, model, rows):
    for beams in (1, 3):
        decoding = Decoding(max_new_tokens=6, num_beams=beams)
        found = {
            done.position: done.ids
            for batch in decode_causal(model, rows, decoding, Runtime(), {2}, 1)
            for done in batch
        }
        for position, row in enumerate(rows):
            text = torch.tensor([row.ids[LENGTH:]])
            new = theirs.generate(
                input_ids=text,
                attention_mask=torch.ones_like(text),
                max_new_tokens=6,
                min_new_tokens=1,
                num_beams=beams,
                do_sample=False,
                eos_token_id=2,
                pad_token_id=1,
            )
            expected = new[0, text.shape[1] :].tolist()
            assert list(found[position]) == (
                expected[: expected.index(2)] if 2 in expected else expected
            )


@pytest.mark.parametrize("method", ["prompt-tuning", "MLP", "LSTM"])
def test_what_peft_saved_gives_the_same_logits_and_texts_here(checkpoint, method, tmp_path):
    theirs = foreign(checkpoint, method)
    theirs.save_pretrained(tmp_path / "theirs")
    adapter = convert.import_adapter(tmp_path / "theirs", tmp_path / "ours", checkpoint)
    assert torch.equal(adapter.prompt, theirs.get_prompt(1)[0].detach())
    model, ours = load_causal(checkpoint, Runtime())[0], rows(checkpoint, adapter.prompt)
    # PEFT runs its LSTM anew in every forward, and torch's kernel without gradients differs by
    # 1.5e-8 in the prompt.
    assert_equal_forward(theirs, model, ours, tolerance=1e-4 if method == "LSTM" else 2e-6)
    assert_equal_texts(theirs, model, ours)


@pytest.mark.parametrize("method", ["prompt-tuning", "peft-mlp", "peft-lstm"])
def test_what_is_saved_here_gives_the_same_logits_in_peft(checkpoint, method, tmp_path):
    model, _ = load_causal(checkpoint, Runtime())
    torch.manual_seed(1)
    if method == "prompt-tuning":
        prompt, facts = vocabulary_rows(model)[7 : 7 + LENGTH] + 0.1, {}
    else:
        config = encoders.encoder_config(method, embedding_width(model))
        encoder = encoders.PromptEncoder(config, embedding_width(model), [LENGTH])
        prompt, facts = encoders.evaluate_prompt(encoder), encoders.encoder_state(encoder)[0]
    adapters.save_adapter(
        tmp_path,
        prompt,
        adapters.AdapterFacts(
            paraphrase_template(LENGTH), adapters.BaseIdentity.of(checkpoint), facts
        ),
    )
    theirs = peft.PeftModel.from_pretrained(load_causal(checkpoint, Runtime())[0], tmp_path).eval()
    kind = {"prompt-tuning": "PROMPT_TUNING"}.get(method, "P_TUNING")
    assert theirs.active_peft_config.peft_type.value == kind
    ours = rows(checkpoint, prompt)
    assert_equal_forward(theirs, model, ours)
    assert_equal_texts(theirs, model, ours)


def test_loss_and_gradient_of_a_batch_are_pefts(checkpoint):
    theirs = foreign(checkpoint, "prompt-tuning")
    model, tokenizer = load_causal(checkpoint, Runtime())
    prompt = SoftPrompt(theirs.get_prompt(1)[0])
    pairs = [{**record, "target": target} for record, target in zip(SOURCES, TARGETS, strict=True)]
    rendered = [
        render(paraphrase_template(LENGTH), pair, tokenizer, 128, training=True) for pair in pairs
    ]
    longest = max(len(row.ids) for row in rendered) - LENGTH
    padded = [[*row.ids[LENGTH:], *[1] * longest][:longest] for row in rendered]
    marked = [[*labels(row)[LENGTH:], *[-100] * longest][:longest] for row in rendered]
    mask = torch.tensor(
        [([1] * (len(row.ids) - LENGTH) + [0] * longest)[:longest] for row in rendered]
    )
    expected = theirs(
        input_ids=torch.tensor(padded), attention_mask=mask, labels=torch.tensor(marked)
    ).loss
    lines = [
        TrainingRow(list(row.ids[LENGTH : row.answer_start]), list(row.ids[row.answer_start :]))
        for row in rendered
    ]
    found = prompt_loss(model, prompt(), lines)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    expected.backward()
    found.backward()
    weight = theirs.prompt_encoder["default"].embedding.weight
    torch.testing.assert_close(prompt.embedding.grad, weight.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "method"), [("peft-mlp", "MLP"), ("peft-lstm", "LSTM")])
def test_a_peft_encoder_goes_on_here_with_the_same_state(checkpoint, name, method):
    theirs = foreign(checkpoint, method)
    state = theirs.prompt_encoder["default"].state_dict()
    width = state["embedding.weight"].shape[1]
    config = encoders.encoder_config(name, width)
    encoder = encoders.PromptEncoder(replace(config, hidden=24), width, [LENGTH])
    missing, unexpected = encoder.load_state_dict(state, strict=False)
    assert unexpected == []
    assert set(missing) == {"lengths", "condition_0"}
    torch.testing.assert_close(encoder(), theirs.get_prompt(1)[0], rtol=0, atol=1e-6)


def test_text_initialisation_is_pefts_less_its_special_token(checkpoint):
    """PEFT tokenises with special tokens, so that BOS is tiled into the prompt; here it is left
    out.
    """
    from parabench.prompts.initialisers import parse_initialiser

    model, tokenizer = load_causal(checkpoint, Runtime())
    config = peft.PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=LENGTH,
        token_dim=embedding_width(model),
        prompt_tuning_init="TEXT",
        prompt_tuning_init_text="the rain",
        tokenizer_name_or_path=checkpoint.path,
    )
    theirs = peft.get_peft_model(model, config).get_prompt(1)[0]
    ours = parse_initialiser("text:the rain", tokenizer, 0)(vocabulary_rows(model), LENGTH)
    bos = vocabulary_rows(model)[2]
    count = len(tokenizer("the rain", add_special_tokens=False).input_ids)
    assert torch.equal(theirs[0], bos)
    assert torch.equal(theirs[1 : 1 + min(count, LENGTH - 1)], ours[: min(count, LENGTH - 1)])


def test_what_peft_reads_of_a_folder_with_both_formats(tmp_path):
    """A pickle of an older training beside the newer file: PEFT takes the newer one."""
    checkpoint = locate(str(tiny.opt(tmp_path / "base")))
    theirs = foreign(checkpoint, "prompt-tuning")
    theirs.save_pretrained(tmp_path / "both")
    older = {"prompt_embeddings": torch.zeros(LENGTH, embedding_width(theirs.base_model))}
    torch.save(older, tmp_path / "both" / "adapter_model.bin")
    expected = peft.utils.save_and_load.load_peft_weights(str(tmp_path / "both"))
    found = convert.import_adapter(tmp_path / "both", tmp_path / "ours", checkpoint).prompt
    assert torch.equal(found, expected["prompt_embeddings"])
    assert found.abs().sum() > 0


def test_a_prompt_beside_a_resized_vocabulary_is_read(tmp_path):
    """PEFT stores the embeddings of a vocabulary that was resized; another tensor is damage."""
    checkpoint = locate(str(tiny.opt(tmp_path / "base")))
    theirs = foreign(checkpoint, "prompt-tuning")
    theirs.base_model.resize_token_embeddings(theirs.base_model.config.vocab_size + 8)
    theirs.save_pretrained(tmp_path / "resized", save_embedding_layers=True)
    file = tmp_path / "resized" / "adapter_model.safetensors"
    stored = load_file(file)
    assert len(stored) > 1
    adapter = convert.import_adapter(tmp_path / "resized", tmp_path / "ours", checkpoint)
    assert torch.equal(adapter.prompt, stored["prompt_embeddings"])
    assert "of a resized vocabulary" in str(adapter.facts)
    save_file({**stored, "model.layers.0.weight": torch.ones(2, 2)}, file, {"format": "pt"})
    with pytest.raises(UserError, match="not prompt_embeddings alone"):
        convert.import_adapter(tmp_path / "resized", tmp_path / "again", checkpoint)
