"""Batched decoding equals transformers' own generate on one row at a time; controls show that it
could fail.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference import decode_step, prefix_attention
from parabench.inference.batching import FITTING_ATTRIBUTE
from parabench.inference.continuous_batching import Completion
from parabench.inference.decoding import decode_causal, decode_seq2seq
from parabench.inference.prompt_ids import PromptIds, shared_prefixes
from tests.support import tiny
from tests.support.mixed import embeddings, mixed_rows

EOS = frozenset({2, 9, *range(100, 130)})
RUNTIME = Runtime()
PLAIN = Decoding(max_new_tokens=12)
FUSSY = Decoding(
    max_new_tokens=12, min_new_tokens=5, repetition_penalty=1.3, no_repeat_ngram_size=2
)
BEAMS = Decoding(max_new_tokens=8, num_beams=3, length_penalty=0.5, early_stopping=True)
pytestmark = pytest.mark.filterwarnings("ignore:Passing `.*with `inputs_embeds`")
Load = Callable[[str], tuple[Any, Any]]


def decoded(
    model: Any, rows: list[PromptIds], decoding: Decoding, runtime: Runtime = RUNTIME
) -> list[Completion]:
    done = [
        item
        for batch in decode_causal(model, rows, decoding, runtime, EOS, pad=1)
        for item in batch
    ]
    assert sorted(item.position for item in done) == list(range(len(rows)))
    return sorted(done)


def alone(model: Any, row: PromptIds, decoding: Decoding) -> tuple[tuple[int, ...], bool]:
    """One row through transformers' generate, its new ids and whether it ended by itself."""
    settings = {name: value for name, value in vars(decoding).items() if name not in _OF_SAMPLING}
    config = GenerationConfig(**settings, eos_token_id=sorted(EOS), pad_token_id=1)
    model.generation_config = GenerationConfig()
    with torch.no_grad():
        embeds = embeddings(model, row)
        ids = model.generate(
            inputs_embeds=embeds,
            attention_mask=torch.ones(embeds.shape[:2]),
            generation_config=config,
        )
    return cut(ids[0].tolist())


_OF_SAMPLING = ("temperature", "top_k", "top_p")


def cut(ids: list[int]) -> tuple[tuple[int, ...], bool]:
    end = next((index for index, token in enumerate(ids) if token in EOS), None)
    return tuple(ids[:end]), end is not None


@pytest.mark.parametrize("decoding", [PLAIN, FUSSY], ids=["plain", "penalties"])
@pytest.mark.parametrize("name", tiny.CAUSAL)
def test_any_batch_of_any_rows_equals_generate_on_each_alone(
    causal: Load, name: str, decoding: Decoding
) -> None:
    rows = mixed_rows(*causal(name))
    model = causal(name)[0]
    expected = [alone(model, row, decoding) for row in rows]
    assert len(set(expected)) > len(rows) // 2
    assert {finished for _, finished in expected} == {True, False}
    for size in (None, 1, 3):
        results = decoded(model, rows, decoding, Runtime(batch_size=size))
        assert [(item.ids, item.finished) for item in results] == expected


@pytest.mark.parametrize("name", ["opt", "opt350", "llama"])
def test_beams_equal_generate_on_each_alone(causal: Load, name: str) -> None:
    rows = mixed_rows(*causal(name))[::4]
    model = causal(name)[0]
    expected = [alone(model, row, BEAMS) for row in rows]
    assert [(item.ids, item.finished) for item in decoded(model, rows, BEAMS)] == expected


def test_control_attending_to_what_is_hidden_changes_the_text(
    causal: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = mixed_rows(*causal("opt"))
    model = causal("opt")[0]
    expected = decoded(model, rows, PLAIN)
    real = prefix_attention.cascade_attention
    monkeypatch.setattr(
        prefix_attention,
        "cascade_attention",
        lambda *given: real(*given[:3], *map(torch.zeros_like, given[3:])),
    )
    assert decoded(model, rows, PLAIN) != expected


def test_control_generate_without_a_mask_differs(causal: Load) -> None:
    rows = mixed_rows(*causal("opt"))[:6]
    model = causal("opt")[0]
    parts = [embeddings(model, row)[0] for row in rows]
    embeds = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_side="left")
    config = GenerationConfig(
        max_new_tokens=12, min_new_tokens=1, eos_token_id=sorted(EOS), pad_token_id=1
    )
    with torch.no_grad():
        unmasked = model.generate(inputs_embeds=embeds, generation_config=config).tolist()
    assert [cut(ids) for ids in unmasked] != [alone(model, row, PLAIN) for row in rows]


def test_prefixes_are_shared_by_task_and_leave_each_row_an_id() -> None:
    one, two = tuple(range(-1, -11, -1)), tuple(range(-11, -31, -1))
    table = torch.zeros(30, 4)
    ids = [(2, *one, 7, 8), (2, *two, 7), (5, 6), (2, *one, 7, 9), (2, *two)]
    rows = [PromptIds(row, table) for row in ids]
    prefixes = shared_prefixes(rows)
    rests = [prefixes.rest(position, row).ids for position, row in enumerate(rows)]
    assert rests == [(8,), (-30, 7), (5, 6), (9,), (-30,)]
    assert [len(prefixes.rows[index].ids) for index in prefixes.prefix_index] == [12, 20, 0, 12, 20]


def test_a_sampled_row_depends_on_nothing_but_itself(causal: Load) -> None:
    model, tokenizer = causal("opt")
    rows = mixed_rows(model, tokenizer)
    sampling = Decoding(max_new_tokens=10, do_sample=True, temperature=0.9, top_k=40, top_p=0.95)
    expected = decoded(model, rows, sampling)
    assert decoded(model, rows, sampling, Runtime(batch_size=2)) == expected
    last = decoded(model, [*rows[5:8], rows[0]], sampling)[3]
    assert last.ids == expected[0].ids
    assert decoded(model, rows, sampling, Runtime(seed=1)) != expected
    copies = decoded(
        model, rows[:1] * 8, Decoding(max_new_tokens=10, do_sample=True, temperature=3.0)
    )
    assert len({item.ids for item in copies}) == 8


def test_sampling_follows_the_model_and_top_one_is_greedy(causal: Load) -> None:
    model, tokenizer = causal("gpt2")
    row = mixed_rows(model, tokenizer)[0]
    first = Decoding(max_new_tokens=1, min_new_tokens=0, do_sample=True, top_k=5)
    drawn = Counter(item.ids for item in decoded(model, [row] * 2000, first))
    with torch.no_grad():
        top = model(inputs_embeds=embeddings(model, row)).logits[0, -1].topk(5)
    for probability, token in zip(
        top.values.softmax(0).tolist(), top.indices.tolist(), strict=True
    ):
        count = drawn[()] if token in EOS else drawn[(token,)]
        assert abs(count / 2000 - probability) < 0.05
    greedy = Decoding(max_new_tokens=12, do_sample=True, top_k=1)
    rows = mixed_rows(model, tokenizer)
    assert decoded(model, rows, greedy) == decoded(model, rows, PLAIN)


@pytest.mark.parametrize("size", [None, 6])
def test_out_of_memory_halves_unless_the_size_is_fixed(causal: Load, size: int | None) -> None:
    model, tokenizer = causal("opt")
    rows = mixed_rows(model, tokenizer)
    expected, failed = decoded(model, rows, PLAIN), list[int]()

    def full(_: Any, arguments: Any, settings: dict[str, Tensor]) -> None:
        ids = settings.get("input_ids")
        if ids is not None and ids.shape[1] > 4:
            failed.append(ids.shape[1])
            raise torch.OutOfMemoryError("full")

    hook = model.register_forward_pre_hook(full, with_kwargs=True)
    try:
        if size is None:
            assert decoded(model, rows, PLAIN) == expected
            assert failed.pop() > 4
            failed.clear()
            assert decoded(model, rows, PLAIN) == expected
            assert not failed, "what fits was found out a second time"
        else:
            with pytest.raises(UserError, match="not enough memory"):
                decoded(model, rows, PLAIN, Runtime(batch_size=size))
    finally:
        hook.remove()
        vars(model).pop(FITTING_ATTRIBUTE, None)


def test_too_long_and_empty_prompts_are_named_before_any_work(causal: Load) -> None:
    model, _ = causal("opt")
    with pytest.raises(UserError, match=r"row 1\n.*129 tokens; the model has 128 positions"):
        next(
            decode_causal(
                model, [PromptIds((2, 5)), PromptIds((5,) * 117)], PLAIN, RUNTIME, EOS, pad=1
            )
        )
    with pytest.raises(UserError, match="empty prompt"):
        next(decode_causal(model, [PromptIds(())], PLAIN, RUNTIME, EOS, pad=1))
    longest = decoded(model, [PromptIds((5,) * 116)], PLAIN)
    assert len(longest[0].ids) > 0


def test_no_rows_give_no_batches(causal: Load) -> None:
    assert list(decode_causal(causal("opt")[0], [], PLAIN, RUNTIME, EOS, pad=1)) == []


@pytest.mark.parametrize(
    "decoding", [Decoding(max_new_tokens=9), Decoding(max_new_tokens=9, num_beams=2)]
)
def test_bart_equals_generate_and_no_saved_default_leaks(
    bart: tuple[Any, Any], decoding: Decoding
) -> None:
    model, tokenizer = bart
    sources = [tuple(tokenizer(sentence).input_ids) for sentence in tiny.SENTENCES]
    results = sorted(
        item for batch in decode_seq2seq(model, sources, decoding, RUNTIME) for item in batch
    )
    settings = {name: value for name, value in vars(decoding).items() if name not in _OF_SAMPLING}
    settings |= {
        "max_new_tokens": 10,
        "min_new_tokens": 2,
    }  # transformers counts the forced <s> as new
    config = GenerationConfig(
        **settings,
        forced_bos_token_id=0,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        decoder_start_token_id=2,
    )
    model.generation_config = GenerationConfig()
    with torch.no_grad():
        alone = [
            model.generate(torch.tensor([ids]), generation_config=config)[0].tolist()
            for ids in sources
        ]
    texts = [ids[2 : ids.index(2, 1) if 2 in ids[1:] else None] for ids in alone]
    assert [list(item.ids) for item in results] == texts
    assert [item.finished for item in results] == [2 in ids[1:] for ids in alone]
    assert max(len(item.ids) for item in results) <= 9


def test_only_the_beginnings_that_save_most_are_kept() -> None:
    rows = [
        PromptIds((*range(100 * task, 100 * task + 10), end))
        for task in range(1, 41)
        for end in range(2 + task // 30)
    ]
    prefixes = shared_prefixes(rows)
    assert len(prefixes.rows) == 17
    assert {
        rows[at].ids[0] // 100 for at, index in enumerate(prefixes.prefix_index) if index
    } >= set(range(30, 41))


@pytest.mark.parametrize("name", ["opt", "llama"])
def test_steps_of_fixed_shapes_give_the_same_text(
    causal: Load, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What CUDA captures as a graph, run as it is: all slots and places in every step, rows of
    several beginnings.
    """
    model, tokenizer = causal(name)
    rows = mixed_rows(model, tokenizer)
    expected = decoded(model, rows, PLAIN)
    monkeypatch.setattr(decode_step, "STATIC_SHAPE_DEVICES", ("cpu",))
    assert decoded(model, rows, PLAIN) == expected
    assert decoded(model, rows, PLAIN, Runtime(batch_size=5)) == expected


@pytest.mark.gpu
def test_captured_steps_give_the_text_of_plain_ones(
    causal: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model, tokenizer = causal("opt")
    try:
        rows = mixed_rows(model.to("cuda"), tokenizer)
        captured = decoded(model, rows, PLAIN)
        monkeypatch.setattr(decode_step, "STATIC_SHAPE_DEVICES", ())
        assert decoded(model, rows, PLAIN) == captured
    finally:
        model.to("cpu")
