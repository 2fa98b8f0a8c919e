"""Distribution inference on graphs: does a node classifier tell the mean degree of the graph it was trained on?

Graphs of 2,000 nodes with truncated power-law degrees (the published fits of mean degree 13 against 9, 11 and 15), node labels with
homophily, features convolved over two hops (simple graph convolution), an MLP on the nodes; 60 shadow models and 100 victims a world.
n_leaked is that of independent degrees, by the privacy-loss engine: degrees in one graph are not independent draws.
Expected: accuracy grows with the difference of the laws; 13 against 15 near chance (their laws nearly agree).

Run: python experiments/e_distribution_graph.py      about 4 minutes on an idle machine
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.distribution.attack import WorldAttack
from attacks.distribution.degree_game import DegreeGame
from attacks.distribution.kl_test import KLTest
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from experiments.results_file import write_results
from privacy_audit.estimate.accuracy import AccuracyPosterior

ATTACKS: dict[str, WorldAttack] = {"KL, calibrated": KLTest(), "output meta-classifier": OutputMetaClassifier()}


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    mean_degree: int = 13
    others: tuple[int, ...] = (9, 11, 15)
    n_nodes: int = 2000
    n_shadow: int = 60
    n_victim: int = 100
    seed: int = 20261124


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Play one game per other mean degree."""
    rows: list[dict[str, object]] = []
    for other, own in zip(config.others, rng.spawn(len(config.others)), strict=True):
        game = DegreeGame(config.mean_degree, other, config.n_nodes)
        result = game.run(ATTACKS, n_shadow=config.n_shadow, n_victim=config.n_victim, rng=own)
        for outcome in result.outcomes:
            low, high = AccuracyPosterior(outcome.counts).interval(0.95)
            rows.append(
                {
                    "degrees": [config.mean_degree, other],
                    "attack": outcome.name,
                    "selected": outcome.name == result.selected,
                    "accuracy": outcome.accuracy,
                    "low": low,
                    "high": high,
                    "n_leaked": result.n_leaked(outcome.name),
                }
            )
            print(rows[-1])
    return rows


def main() -> None:
    """Run and write the result file."""
    config = Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    rows.append({"config": asdict(config)})
    print(write_results("e_distribution_graph", rows, seed=config.seed, tools=("numpy", "scipy", "scikit-learn", "torch")))


if __name__ == "__main__":
    main()
