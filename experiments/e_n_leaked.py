"""Does one model leak the same number of records whatever ratios it is tested with? Exact n_leaked against the published formula.

Accuracies are the authors' own: the KL attack on Census19, property sex, 0.5 against eight ratios, five repeats of 1,000 models a world, as
logged in their repository (iamgroot42/dissecting_dist_inf, experiments/log/new_census/blackbox/nc_correct_KL.json). Expected: the exact
number stays within 21 to 45 (coefficient of variation 0.20), the published one runs from 1.2 to 8.6 (0.61). Suri, Lu, Chen, Evans, SaTML
2023; formula: Suri, Evans, PETS 2022. Under a second.

Run: python experiments/e_n_leaked.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.distribution.leakage import n_leaked
from experiments.results_file import write_results

LOGGED = {
    0.1: (0.9785, 0.99, 0.991, 0.987, 0.9785),
    0.2: (0.967, 0.968, 0.977, 0.9625, 0.9745),
    0.3: (0.856, 0.8675, 0.903, 0.9115, 0.8935),
    0.4: (0.7195, 0.721, 0.7315, 0.711, 0.7205),
    0.6: (0.72, 0.7465, 0.757, 0.7635, 0.65),
    0.7: (0.915, 0.927, 0.922, 0.9125, 0.9035),
    0.8: (0.9805, 0.9765, 0.986, 0.982, 0.987),
    0.9: (0.998, 0.997, 0.9985, 0.999, 0.9995),
}


@dataclass(frozen=True, slots=True)
class Config:
    """The ratio of world 0, and the logged accuracies per ratio of world 1."""

    ratio: float = 0.5
    logged: Mapping[float, tuple[float, ...]] = field(default_factory=lambda: LOGGED)


def run(config: Config) -> list[dict[str, object]]:
    """Return one row per ratio and one with the coefficients of variation over the ratios; nothing is drawn."""
    ratios = np.array(list(config.logged))
    accuracy = np.array([np.mean(repeats) for repeats in config.logged.values()])
    exact = np.asarray(n_leaked(accuracy, config.ratio, ratios))
    published = np.asarray(n_leaked(accuracy, config.ratio, ratios, method="renyi_inf"))
    rows: list[dict[str, object]] = [
        {"ratio": ratio, "accuracy": acc, "exact": n, "published": bound}
        for ratio, acc, n, bound in zip(ratios.tolist(), accuracy.tolist(), exact.tolist(), published.tolist(), strict=True)
    ]
    return [*rows, {"part": "coefficient of variation", "exact": _variation(exact), "published": _variation(published)}]


def _variation(values: np.ndarray) -> float:
    """Return the standard deviation (n - 1) over the mean."""
    return float(values.std(ddof=1) / values.mean())


def main() -> None:
    """Run, print, write results/e_n_leaked.jsonl."""
    rows = run(Config())
    for row in rows[:-1]:
        print(f"0.5 against {row['ratio']}: accuracy {row['accuracy']:.4f}, exact {row['exact']:.0f}, published {row['published']:.2f}")
    print(f"coefficient of variation: exact {rows[-1]['exact']:.2f}, published {rows[-1]['published']:.2f}")
    print(write_results("e_n_leaked", rows, seed=None, tools=("numpy", "scipy")).name)


if __name__ == "__main__":
    main()
