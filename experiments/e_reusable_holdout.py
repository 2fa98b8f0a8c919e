"""How far does a classifier overfit the holdout that its variables were chosen on, and does Thresholdout keep the holdout honest?

10,000 train, holdout and fresh records of 10,000 standard normal attributes and a fair label. Attribute i is kept if its scores,
mean(x_i y), have one sign on train and holdout and both are above 1 / sqrt(n); the k best ones by train score vote. With Thresholdout the
holdout's scores and the final accuracy come from `ReusableHoldout` with the published Gaussian law (threshold 0.04, sigma 0.01). In the
signal case 20 attributes are shifted by 0.06 y. Expected (Dwork et al., Science 2015, figures 1 and 2; here means over 3 seeds):

    no signal, k = 500    holdout used plainly: reported 0.631, fresh 0.500    Thresholdout: reported 0.527, fresh 0.501
    signal                plainly, k = 500: 0.643, 0.521                       Thresholdout, k = 50: 0.589, 0.570
    170 to 245 of the 10,000 scores fire, so a budget of 100 is refused on the way

The same data by the Laplace law, which has a guarantee once scores are clipped to -4 to 4: how many scores fire, at what epsilon.
About a minute on one core.

Run: python experiments/e_reusable_holdout.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.holdout_picture import draw
from experiments.results_file import RESULTS, write_results
from mechanisms.adaptive.reusable_holdout import ReusableHoldout
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning
from mechanisms.noise.source import SeededNoise

Row = dict[str, object]
Floats = NDArray[np.float32]
CLIP = 4.0


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    n: int = 10_000
    d: int = 10_000
    n_shifted: int = 20
    shift: float = 0.06
    ks: tuple[int, ...] = (5, 10, 20, 50, 100, 200, 300, 400, 500)
    chunk: int = 500
    refused_budget: int = 100
    n_seeds: int = 3
    seed: int = 20261126


QUICK = Config(n=4000, d=2000, ks=(5, 20), n_seeds=1, refused_budget=5)


@dataclass(frozen=True, slots=True)
class Data:
    """Scores of all attributes by each way of asking, and the columns of those that may be chosen, on three sets."""

    train_score: NDArray[np.float64]
    holdout_score: NDArray[np.float64]
    answered_score: NDArray[np.float64]
    kept: NDArray[np.int64]
    columns: tuple[Floats, Floats, Floats]
    labels: tuple[Floats, Floats, Floats]


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Return one row per case, seed, way of asking and k, and one per case and seed that counts the firings."""
    rows: list[Row] = []
    for seed, child in enumerate(rng.spawn(config.n_seeds)):
        for case, data_rng in zip(("no signal", "signal"), child.spawn(2), strict=True):
            rows += [{"case": case, "repeat": seed, **row} for row in _case(config, config.n_shifted if case == "signal" else 0, data_rng)]
    return rows


def _case(config: Config, n_shifted: int, rng: np.random.Generator) -> list[Row]:
    train, holdout, fresh = (rng.choice(np.array([-1, 1], dtype=np.float32), config.n) for _ in range(3))
    labels = train, holdout, fresh
    noise = [SeededNoise(int(rng.integers(2**63))) for _ in range(3)]
    published = _holdout(labels, noise[0], law="gaussian", budget=config.d + len(config.ks))
    proved = _holdout(labels, noise[1], law="laplace", budget=config.d, threshold=0.04 / (2 * CLIP), sigma=0.01 / (2 * CLIP))
    refused = _holdout(labels, noise[2], law="gaussian", budget=config.refused_budget)
    data = _asked(config, labels, n_shifted, (published, proved, refused), rng)
    n_fired = published.budget_.firings - published.remaining_
    rows = [_accuracies("plain", data, data.holdout_score, k, lambda _, right: float(right.mean())) for k in config.ks]
    rows += [
        _accuracies("thresholdout", data, data.answered_score, k, lambda train, right: published.answer_values(train, right).value)
        for k in config.ks
    ]
    clipped = config.d - proved.remaining_
    counts = {"fired": n_fired, "refused_at": refused.n_seen_ if not refused.remaining_ else None}
    return [*rows, {"asked": "scores", **counts, "fired_laplace": clipped, "epsilon_laplace": proved.epsilon_}]


def _holdout(labels: tuple[Floats, Floats, Floats], noise: SeededNoise, **options: object) -> ReusableHoldout:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        return ReusableHoldout(labels[0], labels[1], noise=noise, **options)  # type: ignore[arg-type]


def _asked(
    config: Config, labels: tuple[Floats, Floats, Floats], n_shifted: int, holdouts: tuple[ReusableHoldout, ...], rng: np.random.Generator
) -> Data:
    """Ask for the score of every attribute, a block of columns at a time."""
    published, proved, refused = holdouts
    scores: list[tuple[float, float, float]] = []
    kept: list[int] = []
    blocks: list[tuple[Floats, Floats, Floats]] = []
    for first in range(0, config.d, config.chunk):
        shifted = np.arange(first, min(first + config.chunk, config.d)) < n_shifted
        train, holdout = (_block(y, config.shift * shifted, rng) for y in labels[:2])
        here = []
        for own, other in zip(train * labels[0], holdout * labels[1], strict=True):
            answer = published.answer_values(own, other, bounds=None)
            proved.answer_values(own, other, bounds=(-CLIP, CLIP), clip=True)
            _until_refused(refused, own, other)
            here.append((float(own.mean()), float(other.mean()), answer.value))
        wanted = _may_be_chosen(np.array(here), 1 / np.sqrt(config.n))
        scores += here
        kept += (first + np.flatnonzero(wanted)).tolist()
        blocks.append((train[wanted], holdout[wanted], _block(labels[2], config.shift * shifted[wanted], rng)))
    table = np.array(scores)
    train, holdout, fresh = (np.concatenate([block[i] for block in blocks]) for i in range(3))
    return Data(table[:, 0], table[:, 1], table[:, 2], np.array(kept), (train, holdout, fresh), labels)


def _may_be_chosen(scores: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Say which attributes survive by the holdout's own scores, by answers that are not the train scores, or are far from 0 on train."""
    train, holdout, answered = scores.T
    return (np.abs(train) > 1.7 * least) | _survive(train, holdout, least) | (_survive(train, answered, least) & (answered != train))


def _survive(train: NDArray[np.float64], other: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    return (np.sign(train) == np.sign(other)) & (np.abs(train) > least) & (np.abs(other) > least)


def _block(y: Floats, shift: NDArray[np.float64], rng: np.random.Generator) -> Floats:
    """Return a block of attributes, shape (attributes, records)."""
    block = rng.standard_normal((len(shift), len(y)), dtype=np.float32)
    return block + shift.astype(np.float32)[:, None] * y if shift.any() else block


def _until_refused(holdout: ReusableHoldout, own: Floats, other: Floats) -> None:
    try:
        holdout.answer_values(own, other, bounds=None)
    except BudgetExhaustedError:
        return


def _accuracies(
    asked: str, data: Data, score: NDArray[np.float64], k: int, report: Callable[[NDArray[np.bool_], NDArray[np.bool_]], float]
) -> Row:
    """Return the accuracies of the vote of the k attributes that survive with the largest train scores."""
    survive = _survive(data.train_score, score, 1 / np.sqrt(len(data.labels[0])))
    order = np.argsort(-np.abs(data.train_score) * survive)[: min(k, int(survive.sum()))]
    place = np.searchsorted(data.kept, order)
    if not np.array_equal(data.kept[np.minimum(place, len(data.kept) - 1)], order):
        raise ValueError("an attribute was chosen whose columns were not kept; keep more of them")
    signs = np.sign(data.train_score[order]).astype(np.float32)
    right = [np.sign(signs @ columns[place]) == y for columns, y in zip(data.columns, data.labels, strict=True)]
    train, fresh = float(right[0].mean()), float(right[2].mean())
    return {"asked": asked, "k": k, "chosen": len(order), "train": train, "reported": report(right[0], right[1]), "fresh": fresh}


def main() -> None:
    """Run, print means over seeds, write results/e_reusable_holdout.jsonl and .svg."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one small seed; writes nothing")
    options = parser.parse_args()
    config = QUICK if options.quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print("  ".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()))
    if not options.quick:
        print(write_results("e_reusable_holdout", rows, seed=config.seed, tools=("numpy", "scipy")))
        draw(rows, RESULTS / "e_reusable_holdout.svg")


if __name__ == "__main__":
    main()
