"""Analysts that overfit on purpose: they choose queries from former answers so that the sample answers wrongly.

The population is known exactly. A record has as many fair coins +-1 as there are queries, and a label +-1, all independent. Every query
asks how often s(coins) label is 1, for some function s with values in -1, 0, 1, as (1 + s label) / 2; the label is fair and independent of
the coins, so q(P) = 1/2, whatever s is, and however it was found. On the sample, s can be found that is right far more often.

- `sign_vote`: asks for the agreement of each coin with the label, then for a vote of the coins, each with the sign of its answer (the
  paradox of Freedman; Dwork et al. 2015; Blum, Hardt 2015).
- `reconstruct`: keeps a score of each record, the sum of its coins weighted by how far the answers were from 1/2, and asks each time for
  the agreement of the score, or of a coin, with the label. It comes near the best that linear reconstruction can do.

References
----------
Dwork, Feldman, Hardt, Pitassi, Reingold, Roth, The Reusable Holdout, Science 2015. Blum, Hardt, The Ladder, ICML 2015. Steinke, Ullman,
Interactive Fingerprinting Codes and the Hardness of Preventing False Discovery, COLT 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.query import Records, StatisticalQuery

TRUTH = 0.5
_SCORE_EVERY = 10  # one query in ten tests the score

Oracle = Callable[[StatisticalQuery], Answer]
Signs = NDArray[np.int8]


class CoinSample:
    """A sample of records that are nothing but fair coins, made when they're asked for; no two records are alike.

    `records` are numbers of places, here one a record; `label` and coins have a sign for each place.

    Parameters
    ----------
    n : records.
    rng : draws them.
    """

    def __init__(self, n: int, *, rng: np.random.Generator) -> None:
        self._seed = int(rng.integers(2**62))
        self.records = np.arange(n)
        self.label = self._signs(0, n)

    def coin(self, number: int) -> Signs:
        """Return one coin of each place; the same at every call."""
        return self._signs(number, self.label.size)

    def agreement(self, signs: Signs) -> StatisticalQuery:
        """Return the query whether signs, one a place, are the label; 1/2 where a sign is 0."""
        value = ((1 + signs * self.label) / 2).astype(np.float32)

        def query(records: Records) -> NDArray[np.generic]:
            return value[records.astype(np.int64)]

        return query

    def _signs(self, number: int, size: int) -> Signs:
        rng = np.random.Generator(np.random.SFC64([self._seed, number]))
        bits = np.unpackbits(np.frombuffer(rng.bytes(-(-size // 8)), dtype=np.uint8), count=size)
        return (2 * bits.astype(np.int8) - 1).astype(np.int8)


class CellSample(CoinSample):
    """A sample from a finite universe of 2 m equally frequent places: m cells with either label. Coins are random functions of cells."""

    def __init__(self, n: int, n_cells: int, *, rng: np.random.Generator) -> None:
        super().__init__(n, rng=rng)
        self.universe = np.arange(2 * n_cells)
        self.records = rng.integers(2 * n_cells, size=n)
        self.label = np.repeat(np.array([-1, 1], dtype=np.int8), n_cells)

    def coin(self, number: int) -> Signs:
        """Return one coin of each place, the same for both labels of a cell."""
        return np.tile(self._signs(number, self.label.size // 2), 2)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one analysis.

    Parameters
    ----------
    covered : whether all intervals held q(P).
    mean_width : of the intervals, half.
    largest_error : of an answer.
    sample_error : of the sample's own answer to the last query.
    """

    covered: bool
    mean_width: float
    largest_error: float
    sample_error: float


Analyst = Callable[[CoinSample, Oracle, int], Outcome]


def sign_vote(sample: CoinSample, ask: Oracle, n_queries: int) -> Outcome:
    """Ask for n_queries - 1 coins, then for their vote."""
    score = np.zeros(sample.label.size, dtype=np.int32)
    answers = []
    for number in range(1, n_queries):
        coin = sample.coin(number)
        answers.append(ask(sample.agreement(coin)))
        score += coin if answers[-1].value >= TRUTH else -coin
    last = np.sign(score).astype(np.int8)
    answers.append(ask(sample.agreement(last)))
    return _outcome(sample, answers, last)


def reconstruct(sample: CoinSample, ask: Oracle, n_queries: int) -> Outcome:
    """Ask for coins, and every tenth time for what is known so far; the last question is that, too."""
    score = np.zeros(sample.label.size)
    answers = []
    for number in range(1, n_queries + 1):
        known = number % _SCORE_EVERY == 0 or number == n_queries
        coin = np.sign(score).astype(np.int8) if known else sample.coin(number)
        answers.append(ask(sample.agreement(coin)))
        if not known:
            score += (answers[-1].value - TRUTH) * coin
    return _outcome(sample, answers, np.sign(score).astype(np.int8))


ANALYSTS: dict[str, Analyst] = {"sign vote": sign_vote, "reconstruct": reconstruct}


def _outcome(sample: CoinSample, answers: list[Answer], last: Signs) -> Outcome:
    return Outcome(
        covered=all(answer.low <= TRUTH <= answer.high for answer in answers),
        mean_width=float(np.mean([answer.width for answer in answers])),
        largest_error=max(abs(answer.value - TRUTH) for answer in answers),
        sample_error=abs(float(sample.agreement(last)(sample.records).mean()) - TRUTH),
    )
