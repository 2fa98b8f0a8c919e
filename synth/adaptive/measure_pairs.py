"""Select, measure, model: the private part of the adaptive mechanism for wide tables.

    1. a share of rho on all one-ways: noisy counts, their total, each shifted to it; as much again where their noise is still large
    2. rounds: the model of all pairs (`synth.adaptive.forest`) is compared in private with the exact answers; the k worst pairs are
       measured and denoised (`synth.adaptive.denoise`); the next round's model knows them

No table is fitted between rounds: the model is closed form. Defaults: 30 % on one-ways, 30 % more if their expected error in total
variation is above 0.02, as many pairs as columns, 4 rounds; a round gets its picks' share of what is left, 5 % of it to select and 95 % to
measure. The second 30 % take 10 to 20 % off the average error of five survey tables at epsilon 0.07 and 0.1; where one-ways are known well
already, they would only make the worst pair worse. The ledger refuses to overdraw.

Guarantee: adaptive composition of Gaussian and exponential mechanisms, rho-zCDP in all (Bun, Steinke 2016).

References
----------
Hardt, Ligett, McSherry, A Simple and Practical Algorithm for Differentially Private Data Release, NeurIPS 2012. McKenna, Mullins, Sheldon,
Miklau, AIM, VLDB 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource
from mechanisms.validation import in_range, non_negative, whole_number
from synth.adaptive.denoise import SHRUNK_SHARE, denoise_pair
from synth.adaptive.forest import Forest, pair_answers, spanning_forest
from synth.adaptive.selection import choose_pairs, pair_scores
from synth.budget import marginal_sensitivity
from synth.consistency import OneWayEstimate
from synth.count_source import CountSource
from synth.measure import MarginalAnswer, measure_marginals

Floats = NDArray[np.float64]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class AdaptiveRecipe:
    """How the budget is split and what is kept of an answer; public.

    Parameters
    ----------
    one_way_share : share of rho for all one-ways; taken twice if their noise is large. Below 1/2.
    one_way_noise : how large: expected total variation of a column's noise, mean over columns, after the first share.
    n_pairs : m, how many pairs are measured; None: as many as there are columns.
    n_rounds : T.
    select_share : share of a round's rho that selects.
    shrunk : see `denoise_pair`.
    """

    one_way_share: float = 0.3
    one_way_noise: float = 0.02
    n_pairs: int | None = None
    n_rounds: int = 4
    select_share: float = 0.05
    shrunk: float = SHRUNK_SHARE

    def __post_init__(self) -> None:
        in_range(0, 0.5, one_way_share=self.one_way_share)
        non_negative(one_way_noise=self.one_way_noise)
        in_range(0, 1, select_share=self.select_share)
        in_range(0, 1, closed="both", shrunk=self.shrunk)
        whole_number(1, n_rounds=self.n_rounds)
        if self.n_pairs is not None:
            whole_number(1, n_pairs=self.n_pairs)


DEFAULT_RECIPE = AdaptiveRecipe()


@dataclass(frozen=True, slots=True, eq=False)
class PairModel:
    """What was learned, all of it noisy: one-ways, measured pairs, and the model's answer of every pair.

    Parameters
    ----------
    one_ways : (s_i,) noisy counts of one total.
    raw : answers as they were drawn, in order.
    measured : pair -> denoised counts.
    forest : see `synth.adaptive.forest`.
    answers : every pair -> the model's counts.
    """

    one_ways: tuple[Floats, ...]
    raw: tuple[MarginalAnswer, ...]
    measured: Mapping[Pair, Floats]
    forest: Forest
    answers: Mapping[Pair, Floats]


def one_way_noise(one_ways: Sequence[OneWayEstimate]) -> float:
    """Return the expected total variation between a column's counts and its noisy ones, mean over columns: sqrt(2/pi) sd s / (2 n).

    Parameters
    ----------
    one_ways : estimates of one total n; they are noisy, and so is what depends on them.

    Examples
    --------
    >>> round(one_way_noise([OneWayEstimate(0, [30.0, 70.0], variance=25.0)]), 4)
    0.0399
    """
    total = max(1.0, float(one_ways[0].counts.sum()))
    return float(np.mean([math.sqrt(one.variance / (2 * math.pi)) * len(one.counts) / total for one in one_ways]))


def measure_one_ways(
    source: CountSource, *, rho: float, neighboring: Neighboring, noise: NoiseSource, ledger: Ledger
) -> list[MarginalAnswer]:
    """Return noisy counts of every column, with equal shares of rho."""
    columns: list[tuple[int, ...]] = [(column,) for column in range(len(source.schema))]
    return measure_marginals(source, columns, rho=rho, neighboring=neighboring, budget="equal", noise=noise, ledger=ledger)


def measure_adaptively(
    source: CountSource,
    pairs: Sequence[Pair],
    one_ways: Sequence[Floats],
    *,
    neighboring: Neighboring,
    noise: NoiseSource,
    ledger: Ledger,
    recipe: AdaptiveRecipe = DEFAULT_RECIPE,
) -> PairModel:
    """Spend what is left in the ledger on the pairs that the model gets most wrong.

    Parameters
    ----------
    source : the sensitive table.
    pairs : candidates (i, j), i < j.
    one_ways : (s_i,) noisy counts of every column, of one total.
    neighboring, noise, ledger : as `measure_marginals`.
    recipe : public settings.

    Guarantee
    ---------
    (what is left in the ledger)-zCDP under `neighboring`; the ledger has an entry for each choice and each answer.
    """
    exact = dict(zip(pairs, source.marginals(list(pairs)), strict=True))
    measured: dict[Pair, Floats] = {}
    raw: list[MarginalAnswer] = []
    forest = spanning_forest(one_ways, measured)
    answers = pair_answers(forest, measured)
    for k, n_left in _picks(min(recipe.n_pairs or len(one_ways), len(pairs)), recipe.n_rounds):
        rho = ledger.left * k / n_left
        select, measure = rho * recipe.select_share, rho * (1 - recipe.select_share)
        open_pairs = [pair for pair in pairs if pair not in measured]
        sigma = marginal_sensitivity(neighboring) * math.sqrt(k / (2 * measure))
        scores = pair_scores(exact, answers, open_pairs, sigma=sigma)
        chosen = choose_pairs(scores, open_pairs, k, rho=select, neighboring=neighboring, noise=noise, ledger=ledger)
        found = measure_marginals(source, chosen, rho=measure, neighboring=neighboring, budget="equal", noise=noise, ledger=ledger)
        raw += found
        for (i, j), answer in zip(chosen, found, strict=True):
            noisy = answer.answer.astype(np.float64)
            measured[i, j] = denoise_pair(noisy, one_ways[i], one_ways[j], sigma=answer.sigma, shrunk=recipe.shrunk)
        forest = spanning_forest(one_ways, measured)
        answers = pair_answers(forest, measured)
    return PairModel(tuple(one_ways), tuple(raw), measured, forest, answers)


def _picks(n_pairs: int, n_rounds: int) -> list[tuple[int, int]]:
    """Return (picks, picks left before) of each round: as even as whole numbers allow."""
    counts = [len(part) for part in np.array_split(np.arange(n_pairs), min(n_rounds, n_pairs))] if n_pairs else []
    return [(k, sum(counts[place:])) for place, k in enumerate(counts)]
