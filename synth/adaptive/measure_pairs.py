"""Select, measure, model: the private part of the adaptive mechanism for wide tables.

    1. a share of rho on all one-ways: noisy counts, their total, each shifted to it
    2. rounds: the model of all pairs (`synth.adaptive.forest`) is compared in private with the exact answers; the k worst pairs are
       measured and denoised (`synth.adaptive.denoise`); the next round's model knows them

No table is fitted between rounds: the model is closed form. Defaults: 30 % on one-ways, as many pairs as columns, 4 rounds; a round gets
its picks' share of what is left, 5 % of it to select and 95 % to measure. The ledger refuses to overdraw.

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
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource
from synth.adaptive.denoise import denoise_pair
from synth.adaptive.forest import Forest, pair_answers, spanning_forest
from synth.adaptive.selection import choose_pairs, pair_scores
from synth.count_source import CountSource

Floats = NDArray[np.float64]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class AdaptiveRecipe:
    """How the budget is split and what is kept of an answer; public.

    Parameters
    ----------
    one_way_share : share of rho for all one-ways.
    n_pairs : m, how many pairs are measured; None: as many as there are columns.
    n_rounds : T.
    select_share : share of a round's rho that selects.
    shrunk : see `denoise_pair`.
    """

    one_way_share: float = 0.3
    n_pairs: int | None = None
    n_rounds: int = 4
    select_share: float = 0.05
    shrunk: float = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class PairModel:
    """What was learned, all of it noisy: one-ways, measured pairs, and the model's answer of every pair.

    Parameters
    ----------
    total : noisy or public number of rows.
    one_ways : (s_i,) noisy counts, shifted to the total.
    measured : pairs in the order of their measurement -> denoised counts.
    sigmas : pairs -> standard deviation of a raw cell.
    forest : see `synth.adaptive.forest`.
    answers : every pair -> the model's counts.
    """

    total: float
    one_ways: tuple[Floats, ...]
    measured: Mapping[Pair, Floats]
    sigmas: Mapping[Pair, float]
    forest: Forest
    answers: Mapping[Pair, Floats]


def measure_one_ways(
    source: CountSource, *, rho: float, neighboring: Neighboring, noise: NoiseSource, ledger: Ledger, step: str = "all one-way marginals"
) -> tuple[list[NDArray[np.int64]], float]:
    """Return noisy one-way counts of all columns together and the standard deviation of a cell."""
    d = len(source.schema)
    sensitivity = math.sqrt(2 * d) if neighboring is Neighboring.REPLACE else math.sqrt(d)
    sigma = sensitivity / math.sqrt(2 * rho)
    ledger.spend(step, "discrete gaussian", sensitivity=sensitivity, scale=sigma)
    exact = source.marginals([(column,) for column in range(d)])
    return [counts + noise.discrete_gaussian(sigma, counts.shape) for counts in exact], sigma


def measure_adaptively(
    source: CountSource,
    *,
    one_ways: Sequence[Floats],
    neighboring: Neighboring,
    noise: NoiseSource,
    ledger: Ledger,
    recipe: AdaptiveRecipe = AdaptiveRecipe(),
) -> PairModel:
    """Spend what is left in the ledger on the pairs that the model gets most wrong.

    Parameters
    ----------
    one_ways : (s_i,) noisy counts of one total.
    """
    pairs = list(combinations(range(len(one_ways)), 2))
    exact = dict(zip(pairs, source.marginals(pairs), strict=True))
    measured: dict[Pair, Floats] = {}
    sigmas: dict[Pair, float] = {}
    forest = spanning_forest(one_ways, measured)
    answers = pair_answers(forest, measured)
    for k, n_left in _picks(min(recipe.n_pairs or len(one_ways), len(pairs)), recipe.n_rounds):
        rho = ledger.left * k / n_left
        sigma = math.sqrt(k * (2 if neighboring is Neighboring.REPLACE else 1) / (2 * rho * (1 - recipe.select_share)))
        open_pairs = [pair for pair in pairs if pair not in measured]
        scores = pair_scores(exact, answers, open_pairs, sigma=sigma)
        chosen = choose_pairs(
            scores,
            open_pairs,
            k,
            rho=rho * recipe.select_share,
            neighboring=neighboring,
            noise=noise,
            ledger=ledger,
            step=f"choice of {k} pairs",
        )
        for pair in chosen:
            ledger.spend(_name(source, pair), "discrete gaussian", sensitivity=_pair_sensitivity(neighboring), scale=sigma)
            answer = exact[pair] + noise.discrete_gaussian(sigma, exact[pair].shape)
            rows, columns = one_ways[pair[0]], one_ways[pair[1]]
            measured[pair] = denoise_pair(answer.astype(np.float64), rows, columns, sigma=sigma, shrunk=recipe.shrunk)
            sigmas[pair] = sigma
        forest = spanning_forest(one_ways, measured)
        answers = pair_answers(forest, measured)
    return PairModel(float(one_ways[0].sum()), tuple(one_ways), measured, sigmas, forest, answers)


def with_one_total(one_ways: Sequence[NDArray[np.int64]], total: float | None) -> list[Floats]:
    """Return one-ways shifted to one total: the given (public) one, or the mean of their sums."""
    shared = float(np.mean([one.sum() for one in one_ways])) if total is None else total
    return [one + (shared - one.sum()) / one.size for one in one_ways]


def _picks(n_pairs: int, n_rounds: int) -> list[tuple[int, int]]:
    """Return (picks, picks left before) of each round: as even as whole numbers allow."""
    counts = [len(part) for part in np.array_split(np.arange(n_pairs), min(n_rounds, n_pairs))] if n_pairs else []
    return [(k, sum(counts[place:])) for place, k in enumerate(counts)]


def _pair_sensitivity(neighboring: Neighboring) -> float:
    return math.sqrt(2) if neighboring is Neighboring.REPLACE else 1.0


def _name(source: CountSource, pair: Pair) -> str:
    names = source.schema.names
    return f"marginal of {names[pair[0]]!r} and {names[pair[1]]!r}"
