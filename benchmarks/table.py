"""What a whole table costs to score: ``python -m benchmarks.table [--examples N] [--only NAME]``.

The 16 rows of the suite mini: its ten controls, and six rows that are edits of references in place
of what systems wrote. Against us, the same models and texts by bert-score's package, by neulab/
BARTScore's loop, by sacrebleu and by rouge-score, as their users call them: a call a system. CPU
seconds of one thread, without loading; the largest difference of any number stands beside them.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from parabench.scorers import bartscore, bertscore, bleu, rouge
from tabulate import tabulate

from benchmarks import peers
from parabench import registry
from parabench.contracts import BuildContext, Example, Scorer
from parabench.data.test_sets import read_test_set
from parabench.suites.suite import load_suite

LAYERS = 2
_Score = Callable[[Sequence[Example], Sequence[str]], np.ndarray]
"""The columns of one system, from examples and its texts."""


@dataclass(frozen=True)
class Table:
    """Examples, and what each of 16 systems wrote of them; the human's reference is taken out."""

    examples: list[Example]
    texts: dict[str, list[str]]


def make_table(count: int) -> Table:
    """The table of the first ``count`` examples of the suite mini."""
    suite = load_suite("mini")
    read = list(read_test_set(Path(suite.data)))[:count]
    human = [example.references[0] for example in read]
    examples = [replace(example, references=example.references[1:]) for example in read]
    sources = [example.source for example in examples]
    setting = BuildContext(sources=sources)
    texts = {"human": human}
    for name in suite.controls:
        if name != "human":
            family, variant = registry.split_name("system", name)
            control = registry.plugin_builder("system", family)(variant, setting)
            answers = [answer for batch in control.paraphrase(sources) for answer in batch]
            answers.sort(key=lambda answer: answer.position)
            texts[name] = [answer.text for answer in answers]
    draw = random.Random(0)
    for number in range(16 - len(texts)):
        texts[f"edited-{number}"] = [_edited(draw.choice(one.references), draw) for one in examples]
    return Table(examples, texts)


def _edited(text: str, draw: random.Random) -> str:
    """The text with two neighbouring words exchanged, as distinct as systems' answers are."""
    words = text.split()
    place = draw.randrange(max(1, len(words) - 1))
    words[place : place + 2] = reversed(words[place : place + 2])
    return " ".join(words)


def together(scorer: Scorer, table: Table) -> list[np.ndarray]:
    """All systems in one call, as a run measures them."""
    examples = table.examples * len(table.texts)
    texts = [text for several in table.texts.values() for text in several]
    rows = scorer.measure(examples, texts)
    return [scorer.combine(part) for part in np.split(rows, len(table.texts))]


def one_by_one(score: _Score, table: Table) -> list[np.ndarray]:
    """A call a system."""
    return [score(table.examples, texts) for texts in table.texts.values()]


def ours(scorer: Scorer, examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    """A scorer's columns of one system."""
    return scorer.combine(scorer.measure(examples, texts))


def bert_score_package(
    folder: str, examples: Sequence[Example], texts: Sequence[str]
) -> np.ndarray:
    """F, precision and recall by bert-score's ``BERTScorer.score``, each the best reference's."""
    # it fails on empty texts under transformers 5; by its own convention they are 0
    full = [at for at, text in enumerate(texts) if text.strip()]
    if not full:
        return np.zeros(3)
    references = [list(examples[at].references) for at in full]
    parts = _bert_scorer(folder).score([texts[at] for at in full], references)
    precision, recall, f1 = (part.sum().item() / len(texts) for part in parts)
    return np.array([f1, precision, recall])


_BERT_SCORERS: dict[str, object] = {}


def _bert_scorer(folder: str):  # type: ignore[no-untyped-def]
    from bert_score import BERTScorer
    from transformers import AutoTokenizer

    if folder not in _BERT_SCORERS:
        scorer = BERTScorer(model_type=folder, num_layers=LAYERS, device="cpu", nthreads=0)
        # transformers 5 loads the arithmetic that was saved, which is half for small downloads
        scorer._model = scorer._model.float()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        # bert-score asks for the space before the first word by an argument that transformers 5
        # does not know; byte-level tokenizers need it
        first = tokenizer.backend_tokenizer.pre_tokenizer
        if "ByteLevel" in repr(first):
            first.add_prefix_space = True
        tokenizer.cls_token, tokenizer.sep_token = tokenizer.bos_token, tokenizer.eos_token
        scorer._tokenizer = tokenizer
        _BERT_SCORERS[folder] = scorer
    return _BERT_SCORERS[folder]


def neulab_loop(
    scorer: bartscore.BartScore,
    batch_size: int,
    examples: Sequence[Example],
    texts: Sequence[str],
) -> np.ndarray:
    """The four columns by neulab/BARTScore's loop: a call a direction and reference."""
    model, tokenizer = bartscore.pretrained.scorer_model(
        scorer.models, bartscore.load_seq2seq, scorer.model, scorer.runtime
    )

    def score(sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        ids = [
            [tuple(row) for row in tokenizer(list(side)).input_ids] for side in (sources, targets)
        ]
        pairs = list(zip(*ids, strict=True))
        return np.array(peers.bartscore_loop(model, pairs, batch_size))

    sources = [example.source for example in examples]
    by_reference = list(zip(*(example.references for example in examples), strict=True))
    precision = np.mean([score(several, texts) for several in by_reference], axis=0)
    recall = np.mean([score(texts, several) for several in by_reference], axis=0)
    columns = [score(sources, texts), precision, recall, (precision + recall) / 2]
    return np.array([column.mean() for column in columns])


def sacrebleu_package(examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    """Corpus BLEU by sacrebleu."""
    import sacrebleu

    streams = list(zip(*(example.references for example in examples), strict=True))
    return np.array([sacrebleu.corpus_bleu(list(texts), [list(one) for one in streams]).score])


def rouge_package(examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    """Mean F of ROUGE-1, 2 and L by rouge-score, in percent."""
    from rouge_score.rouge_scorer import RougeScorer

    kinds = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(kinds)
    rows = []
    for example, text in zip(examples, texts, strict=True):
        found = scorer.score_multi(example.references, text)
        rows.append([100 * found[kind].fmeasure for kind in kinds])
    return np.mean(rows, axis=0)


def measured(work: Callable[[], list[np.ndarray]]) -> tuple[float, np.ndarray]:
    """CPU seconds of the work, and its result ``[systems, columns]``."""
    begin = time.process_time()
    result = np.array(work())
    return time.process_time() - begin, result


def rows_of_report(count: int, only: str) -> list[list[object]]:
    """For each metric: the contender, CPU seconds, times as fast, and the largest difference."""
    table = make_table(count)
    options = load_suite("mini").options("scorer", "bartscore", "")
    model = str(options["model"])
    bart = bartscore.build("", BuildContext(options={"model": model}))
    bert = bertscore.build("", BuildContext(options={"model": model, "layers": LAYERS}))
    overlap, recall = bleu.build("", BuildContext()), rouge.build("", BuildContext())
    contests: dict[str, tuple[Scorer, int, dict[str, _Score]]] = {
        "bertscore": (bert, 3, {"bert-score's package": partial(bert_score_package, model)}),
        "bartscore": (
            bart,
            4,
            {
                "neulab's loop, batch 4": partial(neulab_loop, bart, 4),
                "neulab's loop, batch 32": partial(neulab_loop, bart, 32),
            },
        ),
        "bleu": (overlap, 1, {"sacrebleu": sacrebleu_package}),
        "rouge": (recall, 3, {"rouge-score": rouge_package}),
    }
    report: list[list[object]] = []
    for name, (scorer, columns, others) in contests.items():
        if only not in name:
            continue
        small = replace(table, examples=table.examples[:1], texts={"": [table.examples[0].source]})
        for work in (partial(together, scorer, small), *_calls(others, small)):
            work()  # loads the model
        seconds, expected = measured(partial(together, scorer, table))
        report.append([name, "all systems in one call", f"{seconds:.2f}", "1", ""])
        works = {"a call a system": partial(one_by_one, partial(ours, scorer), table)}
        works |= dict(zip(others, _calls(others, table), strict=True))
        for contender, work in works.items():
            other, found = measured(work)
            width = min(columns, found.shape[1])
            difference = np.abs(found[:, :width] - expected[:, :width]).max()
            report.append(
                [name, contender, f"{other:.2f}", f"{other / seconds:.2f}", f"{difference:.1e}"]
            )
    return report


def _calls(others: dict[str, _Score], table: Table) -> list[Callable[[], list[np.ndarray]]]:
    return [partial(one_by_one, score, table) for score in others.values()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("--examples", type=int, default=64, help="of the suite mini (default 64)")
    parser.add_argument("--only", default="", help="metrics whose names contain this")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    head = ["metric", "by", "CPU-s", "ours is faster, times", "largest difference"]
    rows = rows_of_report(chosen.examples, chosen.only)
    print(tabulate(rows, head, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
