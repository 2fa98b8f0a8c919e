"""Wealth of a gambler who bets against a privacy claim: the e-process behind anytime-valid audits.

One trial is a fair bit b ("the record is in") and a guess g ("in", or else out or abstain). For a claim (epsilon, delta) let

    W = 1{g = in, b = 1} - exp(epsilon) 1{g = in, b = 0} - delta / 2.

Given the past, E W = (TPR - exp(epsilon) FPR - delta) / 2 <= 0 if the claim is true. With a fixed lambda in
[0, 1 / (exp(epsilon) + delta / 2)) the product of 1 + lambda W is a non-negative supermartingale, and so is the average of a few.

W has three values only, so the wealth is a function of three counts. Nothing is accumulated, nothing overflows, and a million trials lose
no accuracy. Symbols: lambda = factor / (exp(epsilon) + delta / 2).

References
----------
Ville, Etude critique de la notion de collectif, 1939. Waudby-Smith, Ramdas, Estimating Means of Bounded Random Variables by
Betting, JRSS-B 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

FACTORS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)  # fixed before any data; each gets the same share of the first unit of wealth


@dataclass(frozen=True, slots=True, eq=False)
class LogBets:
    """Logarithms of 1 + lambda W in the three outcomes of a trial, shape epsilon.shape + (number of factors,)."""

    hit: FloatArray
    false_alarm: FloatArray
    no_guess: FloatArray

    @classmethod
    def against(cls, epsilon: ArrayLike, delta: float) -> LogBets:
        """Return the bets against claims (epsilon, delta); epsilon may be an array and as large as floats go."""
        odds = np.exp(-np.asarray(epsilon, dtype=np.float64))[..., None]
        factor, fee = np.array(FACTORS), delta / 2
        stake = factor * odds / (1 + fee * odds)  # lambda, without forming exp(epsilon)
        return cls(
            hit=np.log1p(stake * (1 - fee)),
            false_alarm=np.broadcast_to(np.log1p(-factor), stake.shape),
            no_guess=np.log1p(-stake * fee),
        )

    def take(self, index: NDArray[np.intp]) -> LogBets:
        """Return the bets against some of the claims."""
        return LogBets(self.hit[index], self.false_alarm[index], self.no_guess[index])


def log_wealth(bets: LogBets, n_hits: ArrayLike, n_false_alarms: ArrayLike, n_no_guess: ArrayLike) -> FloatArray:
    """Return ln of the average wealth after these counts; shapes of counts and of epsilon broadcast.

    Parameters
    ----------
    bets : bets against the claims.
    n_hits, n_false_alarms, n_no_guess : trials guessed "in" with the record in; guessed "in" with it out; not guessed "in".

    Notes
    -----
    The wealth rises with hits only, so a path of it peaks right after hits.
    """
    hits, alarms, rest = (np.asarray(count, dtype=np.float64)[..., None] for count in (n_hits, n_false_alarms, n_no_guess))
    paths = hits * bets.hit + alarms * bets.false_alarm + rest * bets.no_guess
    peak = paths.max(axis=-1)
    average: FloatArray = peak + np.log(np.exp(paths - peak[..., None]).mean(axis=-1))
    return average
