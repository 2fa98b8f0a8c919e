"""How accurate the best of the repeats is: the maximum over the adversaries at hand, which a typical one falls short of.

Taking the largest observed accuracy overstates it, the more the more repeats there are. Under the model of `repeat_grid` the rates of each
adversary are pulled towards those of all, and the maximum has a posterior of its own. It is drawn, so every figure has a sampling error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from mechanisms.json_ready import JsonValue, json_ready
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.worlds.repeat_likelihood import draw_logits
from privacy_audit.estimate.worlds.typical_accuracy import TypicalLaw

_BATCHES = 20


@dataclass(frozen=True, slots=True)
class BestAdversary:
    """Posterior of the largest accuracy among the repeats.

    Parameters
    ----------
    median, low, high : of that accuracy; the ends of the equal-tailed credible interval of probability `level`.
    level : probability content of the interval.
    chance : for each repeat the posterior probability that it is the best.
    sampling_error : largest standard error of the three figures, from the spread between batches of draws.
    n_draws : number of draws.
    """

    median: float
    low: float
    high: float
    level: float
    chance: tuple[float, ...]
    sampling_error: float
    n_draws: int

    @property
    def kind(self) -> Literal["credible"]:
        """The kind of statement: a posterior, which may call nothing violated."""
        return "credible"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        names = ("median", "low", "high", "level", "chance", "sampling_error", "n_draws")
        return {"kind": self.kind, **{name: json_ready(getattr(self, name)) for name in names}}


def best_adversary(
    law: TypicalLaw, right: FloatArray, trials: FloatArray, *, level: float, n_draws: int, rng: np.random.Generator
) -> BestAdversary:
    """Draw the accuracies of all repeats and summarize their maximum.

    Parameters
    ----------
    law : posterior of what the adversaries have in common.
    right, trials : k_{r,w} and m_{r,w}, shape (2, R).
    level : probability content of the interval.
    n_draws : at least 20.
    """
    drawn = law.draw(n_draws, rng)
    accuracy = np.zeros((n_draws, right.shape[1]))
    for k, m, mu, nu in zip(right, trials, drawn.mu, drawn.nu, strict=True):
        accuracy += special.expit(draw_logits(k, m, nu, drawn.tau, rng) + (mu - nu)[:, None]) / 2
    best = accuracy.max(axis=1)
    chance = np.bincount(accuracy.argmax(axis=1), minlength=right.shape[1]) / n_draws
    tails = np.array([(1 - level) / 2, 0.5, (1 + level) / 2])
    batches = np.array([np.quantile(batch, tails) for batch in np.array_split(best, _BATCHES)])
    low, median, high = np.quantile(best, tails)
    return BestAdversary(
        median=float(median),
        low=float(low),
        high=float(high),
        level=level,
        chance=tuple(float(share) for share in chance),
        sampling_error=float((batches.std(axis=0, ddof=1) / np.sqrt(_BATCHES)).max()),
        n_draws=n_draws,
    )
