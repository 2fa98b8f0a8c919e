"""What does each attention variant lose in quality, and what does it save in private inference? One table of all of them.

Toy size: 4 layers, 4 heads, d = 64, T = 64, byte pairs of 512 entries on Python's standard library, 800 steps of 8 sequences, three seeds,
equal in all cases. Part "training": perplexity, bits per byte and head entropies of held-out sequences. Part "cost": bytes and messages of
one party for one context with its logits, on the engine where there is one (`make pi-engine`), else by the cost model; each row says which.
Bytes depend on shapes alone, so every kind of softmax runs with the first seed's weights, and the last two kinds with every seed's. A model
is folded with bases of a condition number of at most 64, which suits the engine's 64-bit ring.

Expected (Jha, Reagen 2025, at toy size): norm-free models have more near-uniform heads than SM+LN+G, the penalty leaves at most 5 % of them
and lowers the perplexity of SM+ScFuFFN by 2 % or more, to at most 15 % above SM+LN+G; private logits within 0.01 of plain ones; 12 layers
of SM at rate 0.01 diverge. `figures_pi_variants` says which of these the figures meet.

Rows are written as they come; a run that was stopped goes on where it was. 20 to 30 minutes on two cores with the engine, 10 without.

Run: python experiments/e_pi_variants.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from experiments.pi_variant_cases import QUICK, Case, Config, digest_of, kinds_of, plan_of
from experiments.pi_variant_costs import Row, costs_of
from experiments.pi_variants_picture import draw
from experiments.results_file import RESULTS, read_results, write_results
from mechanisms.json_ready import json_ready
from private_inference.training.corpus import standard_library
from private_inference.training.evaluation import Evaluation
from private_inference.training.result import TrainingResult
from private_inference.training.tokenized_corpus import TokenizedCorpus, tokenize_corpus
from private_inference.training.train import train_model

NAME = "e_pi_variants"


@dataclass(frozen=True, slots=True)
class Task:
    """One case with one seed."""

    case: Case
    seed: int
    digest: str


def tasks_of(config: Config, corpus: TokenizedCorpus) -> list[Task]:
    """Return all tasks, the first seed's first."""
    return [Task(case, seed, digest_of(config, case, seed, corpus)) for seed in config.seeds for case in config.cases]


def run(config: Config, corpus: TokenizedCorpus, tasks: list[Task]) -> Iterator[list[Row]]:
    """Yield the rows of one task after another, in the order in which they end."""
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for done in as_completed([pool.submit(_rows, config, corpus, task) for task in tasks]):
            yield done.result()


def _rows(config: Config, corpus: TokenizedCorpus, task: Task) -> list[Row]:
    """Train, then cost; a model that diverged isn't costed."""
    case = task.case
    plan = plan_of(config, case, corpus)
    result = train_model(plan.config, corpus, plan.recipe, penalty=plan.penalty, conditioning=plan.conditioning, rng=task.seed)
    head: Row = {"case": case.name, "variant": case.how.variant, "seed": task.seed, "digest": task.digest}
    rows = [{"part": "training", **head, **_training(result, corpus)}]
    if result.status == "finished":
        rows += [{"part": "cost", **head, **row} for row in costs_of(result.model, corpus, kinds_of(config, case, task.seed), config)]
    return rows


def _training(result: TrainingResult, corpus: TokenizedCorpus) -> Row:
    """Return the run's quality and the heads it ends with."""
    return {
        "n_layer": result.config.n_layer,
        "temperature": result.config.temperature_kind,
        "status": result.status,
        "steps": result.n_steps,
        **_quality(result.evaluation),
        "characters_per_token": corpus.characters_per_token,
        **_heads(result),
        "n_parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "recipe": result.recipe.to_dict(),
    }


def _quality(evaluation: Evaluation | None) -> Row:
    if evaluation is None:
        return {"perplexity": None, "bits_per_byte": None}
    return {"perplexity": json_ready(evaluation.perplexity), "bits_per_byte": evaluation.bits_per_byte}


def _heads(result: TrainingResult) -> Row:
    """Return the census of the last heads whose entropies are finite."""
    report = result.tracker.diagnose()
    if report.bands is None:
        return {"bands": None, "near_uniform": None, "near_zero": None}
    layers = [round(layer.mean, 3) for layer in report.layers]
    return {
        "bands": list(report.bands.shares),
        "near_uniform": report.bands.near_uniform,
        "near_zero": report.bands.near_zero,
        "layer_entropy": json_ready(layers),
    }


def kept_rows(tasks: list[Task]) -> list[Row]:
    """Return the rows of these very tasks that the result file has already."""
    wanted = {task.digest for task in tasks}
    found = read_results(NAME) if (RESULTS / f"{NAME}.jsonl").exists() else []
    return [row for row in found if row["digest"] in wanted]  # type: ignore[misc]


def ordered(rows: list[Row], tasks: list[Task]) -> list[Row]:
    """Return rows by task and, within one, as they were made."""
    place = {task.digest: number for number, task in enumerate(tasks)}
    return sorted(rows, key=lambda row: place[str(row["digest"])])


def line(row: Row) -> str:
    """Return a row in a line."""
    names = [name for name in row if name not in ("digest", "recipe", "bands", "layer_entropy", "variant")]
    return "  ".join(f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in names)


def main() -> None:
    """Run what is left to run, write results/e_pi_variants.jsonl and .svg."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="four small cases of 30 steps; writes nothing")
    quick = parser.parse_args().quick
    config = QUICK if quick else Config()
    corpus = tokenize_corpus(standard_library(), vocab_size=config.vocab_size)
    tasks = tasks_of(config, corpus)
    rows = [] if quick else kept_rows(tasks)
    if not quick:
        write_results(NAME, rows, seed=config.seeds[0], tools=("torch", "numpy", "tokenizers"))
    done = {row["digest"] for row in rows}
    for more in run(config, corpus, [task for task in tasks if task.digest not in done]):
        print("\n".join(map(line, more)), flush=True)
        rows += more
        if not quick:
            with (RESULTS / f"{NAME}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row, allow_nan=False) + "\n" for row in more)
    if not quick:
        rows = ordered(rows, tasks)
        print(write_results(NAME, rows, seed=config.seeds[0], tools=("torch", "numpy", "tokenizers")))
        draw(rows, RESULTS / f"{NAME}.svg")


if __name__ == "__main__":
    main()
