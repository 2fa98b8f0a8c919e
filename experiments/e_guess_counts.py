"""How many canaries should a one-run audit guess? Mean bound against the share guessed on each side.

The number must be fixed before the coins are seen, so it is chosen here, once, on an ideal engine (digits setting: sample rate 1/15,
noise multiplier 1, 200 steps, epsilon 6.455 at delta 1e-5). Expected: few sure guesses beat many unsure ones; for 1,000 canaries about a
sixteenth a side. Bound: Steinke, Nasr, Jagielski 2023. About 1 minute.

Run: python experiments/e_guess_counts.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.canaries.likelihood import log_likelihood_ratio, simulate_signals
from attacks.scores import MembershipScores
from experiments.results_file import write_results
from privacy_audit.estimate.one_run import one_run_bound, one_run_guesses


@dataclass(frozen=True, slots=True)
class Config:
    """Which numbers of canaries and which shares."""

    canaries: tuple[int, ...] = (200, 1000, 5000)
    one_in: tuple[int, ...] = (4, 8, 12, 16, 20, 32)
    repeats: int = 40
    seed: int = 3


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Return one row per number of canaries and share."""
    rows: list[dict[str, object]] = []
    for n in config.canaries:
        bounds: dict[int, list[float]] = {share: [] for share in config.one_in}
        for _ in range(config.repeats):
            member = rng.random(n) < 0.5
            signals, _ = simulate_signals(member, noise_multiplier=1.0, sample_rate=1 / 15, steps=200, rng=rng)
            scores = MembershipScores(log_likelihood_ratio(signals, noise_multiplier=1.0, sample_rate=1 / 15), member)
            for share in config.one_in:
                guesses, correct = one_run_guesses(scores, n_in=n // share, n_out=n // share)
                bounds[share].append(one_run_bound(n_canaries=n, n_guesses=guesses, n_correct=correct, delta=1e-5).epsilon)
        rows += [{"canaries": n, "one_in": share, "mean_bound": float(np.mean(bounds[share]))} for share in config.one_in]
    return rows


def main() -> None:
    """Run, print, write results/e_guess_counts.jsonl."""
    config = Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print(f"{row['canaries']:>5} canaries, 1 in {row['one_in']:>2} guessed on each side: mean bound {row['mean_bound']:.2f}")
    print(write_results("e_guess_counts", rows, seed=config.seed, tools=("numpy", "scipy")))


if __name__ == "__main__":
    main()
