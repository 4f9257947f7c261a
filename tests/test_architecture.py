"""The architecture: ten layers, every module in one of them, and nothing heavy imported before it
is needed.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent
HEAVY = (
    "torch",
    "transformers",
    "pandas",
    "numpy",
    "scipy",
    "datasets",
    "evaluate",
    "sacrebleu",
    "rouge_score",
)

# From the top down: a module imports from lower layers only, or from its own package.
# Each line names a package with all its modules, or a module that stands alone.
LAYERS: tuple[dict[str, str], ...] = (
    {"cli": ""},
    {
        "commands": (
            "agreement arguments compare data demo doctor dry_run figures filter help_pages "
            "installation invariance listing lists map models pair_training paired_tests "
            "paraphrase prepare probe prompts rating reports run search search_options signals "
            "task_scoring task_table task_training tasks terminal threads training training_data "
            "training_options training_progress"
        ),
    },
    {
        "api": "",
        "filtering": "corpus_scores ray scoring source writing",
    },
    {
        "pipeline": (
            "batch_invariance device_memory estimates identity measuring plan prediction_files "
            "processes provenance run_logs runner scorer_checks scorer_names stages training_notes"
        ),
        "metaeval": (
            "agreement correlation human judgment_files judgments probes rating rating_sheets "
            "resampled soft_pairs table within_sources"
        ),
        "explore": "demo mappage nearest promptmap",
        "mini": "document_phrases documents grammar language lexicon meanings recipe "
        "patterns speech task_sources tokenizer training_texts writing_desk",
    },
    {
        "training": (
            "batches config encoding export figures head_loss loop lora loss_log losses "
            "objectives "
            "prefix presets ranks recipes requests resumable schedules search setup state stopped "
            "task_rows task_training tasks tracking trials validation"
        ),
        "report": (
            "assemble board card cautions cells comparable compare comparisons exports faults "
            "index latex leader_tests leaderboard notes output_columns page pagedata pagefigures "
            "picks published results rules run_reader sample_browser terminal trainings "
            "truncation verdict"
        ),
        "baselines": (
            "answer_lines attack_words attackers causal chats controls corpus_attackers endpoint "
            "endpoint_options exchange fewshot options pacing replies samples sentinels seq2seq "
            "server_errors tasks vllm"
        ),
    },
    {
        "prompts": (
            "adapters answering chat chat_tokens convert encoders facts files importers "
            "initialisers lora lora_config nemo peft_format records rendering snapshots soft "
            "table table_files task_file task_scores templates trained validation"
        ),
        "suites": "lock suite",
        "scorers": (
            "aggregation answers bartscore bertibleu bertscore bleu chance chrf diagnostics "
            "divergence edits embedding evaluate exact_checks fluency greedy_matching ibleu "
            "intentslot matching nli overlap parallel paraphraseopt parascore parity pooling "
            "pretrained rouge sari scorer_options segment selfbleu semantic_parity "
            "sentence_vectors summary_rouge ter token_vectors"
        ),
    },
    {
        "models": (
            "cache checkpoints downloads gguf hub hub_cache loading local packages pickles pins "
            "pretrained torch_build wheels"
        ),
        "data": (
            "assistant_data catalogue column_names components connections corpora corpus_tables "
            "encodings examples fetching filters headers leakage lines near_keys normalise parquet "
            "parquet_pages perturbations prediction_rows predictions quoting sketches skipped "
            "specs task_data test_sets text_files training_set user_rows user_tables "
            "zstandard_reader"
        ),
    },
    {
        "inference": (
            "attention batching continuous_batching decode_step decoding drafts end_of_text "
            "generation kv_cache likelihood packed_bart packed_forward prefix_attention "
            "prefix_trie prompt_ids sampling trials"
        ),
        "store": (
            "append_only blocks contents example_store files index lines log log_files log_paths "
            "positions records run_folder seal statistics_store"
        ),
        "stats": (
            "arrays clusters folding intervals leave_one_out resampling seeds significance "
            "streaming studentised undefined validity"
        ),
        "render": "diff escape figures labels pdf progress svg templating",
        "registry": "",
        "torchrun": "",
    },
    {
        "contracts": "optional plugins values",
        "scratch": "",
        "sequences": "",
    },
)


def packages() -> dict[str, int]:
    """The layer of each package and each module that stands alone, 0 being the lowest."""
    numbered = enumerate(reversed(LAYERS))
    return {name: level for level, layer in numbered for name in layer}


def declared() -> set[str]:
    """Every module that LAYERS names, as ``store.log`` or ``cli``."""
    found = set()
    for layer in LAYERS:
        for package, modules in layer.items():
            found |= {f"{package}.{module}" for module in modules.split()} or {package}
    return found


def present(root: Path) -> dict[str, Path]:
    """Every module below ``root`` but ``__init__`` and ``__main__``, by its name within the
    package.
    """
    found = {}
    for folder in ("parabench", "scorers", "baselines"):
        base = root / folder
        for path in base.rglob("*.py"):
            if path.stem.startswith("__"):
                continue
            parts = path.relative_to(base).with_suffix("").parts
            name = ".".join(parts if folder == "parabench" else (folder, *parts))
            found[name] = path
    return found


def imports(name: str, path: Path) -> Iterator[str]:
    """What a module imports of this project, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = f"parabench.{name.split('.')[0]}" if node.level else None
            module = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                yield f"{module}.{alias.name}"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def wrong_imports(root: Path) -> list[str]:
    """Imports of the same layer (but within a package) or upwards, one line each."""
    level, found = packages(), []
    for name, path in sorted(present(root).items()):
        own = name.split(".")[0]
        for imported in imports(name, path):
            project, _, rest = imported.partition(".")
            other = rest.split(".")[0]
            if project != "parabench" or other in ("", own) or other.startswith("__"):
                continue  # another project, the own package, or the root's version
            if other not in level:
                found.append(f"{name} imports {imported}, which no layer names")
            elif level[other] >= level[own]:
                found.append(f"{name} imports {imported}, which is not in a lower layer")
    return found


def import_graph(root: Path) -> nx.DiGraph:
    """Modules as nodes, imports as edges."""
    modules, graph = present(root), nx.DiGraph()
    for name, path in modules.items():
        graph.add_node(name)
        for imported in imports(name, path):
            inner = imported.removeprefix("parabench.")
            for candidate in (inner, inner.rpartition(".")[0]):
                if candidate in modules and candidate != name:
                    graph.add_edge(name, candidate)
    return graph


def test_every_module_has_a_layer() -> None:
    assert set(present(ROOT)) == declared()


def test_imports_point_downwards() -> None:
    assert wrong_imports(ROOT) == []


def test_no_circle_of_files() -> None:
    circles = [
        sorted(one) for one in nx.strongly_connected_components(import_graph(ROOT)) if len(one) > 1
    ]
    assert circles == []


def planted(root: Path, name: str, text: str) -> Path:
    """A copy of the modules' imports, with one line added to one of them."""
    for module, path in present(ROOT).items():
        folder = "" if module.split(".")[0] in ("scorers", "baselines") else "parabench/"
        copy = root / f"{folder}{module.replace('.', '/')}.py"
        copy.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8")
        copy.write_text(lines + (text if module == name else ""), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("stats.clusters", "from parabench.store import log\n"),  # the same layer
        ("store.log", "from parabench.pipeline import runner\n"),  # upwards
        (
            "data.text_files",
            "def later():\n    from parabench.report.board import flat\n",
        ),  # within a function
        ("contracts.values", "import parabench.registry\n"),  # a plain import
        ("render.escape", "from parabench.unheard_of import thing\n"),  # a module of no layer
        ("scorers.bleu", "from parabench.baselines import causal\n"),  # a plug-in of another kind
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, module: str, line: str) -> None:
    found = wrong_imports(planted(tmp_path, module, line))
    assert [text.split(" imports ")[0] for text in found] == [module]


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    root = planted(tmp_path, "store.files", "from parabench.store import log\n")
    circles = [one for one in nx.strongly_connected_components(import_graph(root)) if len(one) > 1]
    assert any({"store.files", "store.log"} <= circle for circle in circles)


def test_an_unknown_module_is_found(tmp_path: Path) -> None:
    root = planted(tmp_path, "", "")
    (root / "parabench" / "stats" / "surprise.py").write_text("", encoding="utf-8")
    assert set(present(root)) - declared() == {"stats.surprise"}


@pytest.mark.parametrize("command", ["--help", "run --help", "list scorers", "list systems"])
def test_a_light_command_loads_nothing_heavy(command: str) -> None:
    code = (
        "import sys; from parabench.cli import app\n"
        f"try: app({command.split()!r})\nexcept SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "LOADED []" in done.stdout, done.stdout[-300:]
