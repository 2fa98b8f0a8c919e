"""From a table and a workload of marginals to a synthetic table: one shot, adaptive, or by the rule between them.

    one_shot   discrete Gaussian answers of all marginals, fitted from independent columns with the minimum-gain rule
    adaptive   one-ways, then the worst pairs of a forest model (`synth.adaptive`), fitted to the model's answers of all pairs
    auto       2 % of rho on one-ways first, kept and pooled with what follows; each branch then has half of delta (`synth.adaptive.mode`),
               unless both are charged in zCDP, where no such price is due: the ledger adds up whichever branch is taken

Guarantee: (epsilon, delta)-DP under the plan's relation: one shot by the exact curve of its discrete Gaussians (`synth.budget`), adaptive
by zCDP. Fits read noisy answers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import noise_assumptions
from synth.adaptive.forest import sample_forest
from synth.adaptive.measure_pairs import PairModel, measure_adaptively, measure_one_ways, one_way_noise
from synth.adaptive.mode import FIRST_SHARE, noise_ratio
from synth.budget import adaptive_budget, marginal_sensitivity, one_shot_budget
from synth.compressed_fit import fit_compressed
from synth.consistency import OneWayEstimate, consistent_one_ways
from synth.count_source import CountSource
from synth.encoded import Codes, EncodedTable
from synth.k_way import fit_marginals
from synth.measure import MarginalAnswer, budget_shares, measure_marginals, valid_groups, weighted_targets
from synth.plan import FitPlan, FitTools, Mode, SynthesisRun
from synth.repair import repair_rows
from synth.start import independent_start
from synth.sweeps import MIN_GAIN
from synth.targets import Fit, MarginalTarget

Groups = Sequence[tuple[int, ...]]

MODEL_WEIGHT = 0.3  # of pairs that the adaptive mode's model only implies
MODEL_SWEEPS = 3
MODEL_MOVES = 4  # of a row's visit: exact targets leave room for more than one


def fit_marginal_workload(
    source: CountSource, groups: Groups, plan: FitPlan, tools: FitTools, ledger: Ledger | None = None
) -> SynthesisRun:
    """Return a table for marginals of any order, by the plan's mode.

    Parameters
    ----------
    source : the sensitive table.
    groups : columns of each marginal, increasing places in the schema.
    ledger : of releases before this fit under the same budget in zCDP (`synth.domain`): what is left of it is spent. None: a budget of
        this fit's own, for the plan's epsilon and delta.

    Raises
    ------
    ValueError : groups that don't fit the schema, or a mode that can't serve them; nothing is drawn then.
    InsufficientEvidenceError : the number of rows is secret, and its noisy estimate is below 1; the budget is spent then.
    """
    groups = valid_groups(groups, source.schema, max_cells=plan.max_cells, neighboring=plan.neighboring)
    _require_cover(groups, source)
    if plan.merge_below is not None:
        return fit_compressed(fit_marginal_workload, source, groups, plan, tools, ledger)
    mode = _possible_mode(groups, plan)
    if mode == "auto":
        return _fit_by_rule(source, groups, plan, tools, ledger)
    if mode == "one_shot":
        own = ledger or _one_shot_ledger(budget_shares(_cells(source, groups), plan.budget), sum(_cells(source, groups)), plan.delta, plan)
        return _fit_answers(source, _measured(source, groups, own.left, plan, tools, own), (), plan, tools, own)
    own = ledger or adaptive_budget(epsilon=plan.epsilon, delta=plan.delta, neighboring=plan.neighboring).ledger()
    return _fit_adaptively(source, groups, plan, tools, own, first=())


def _require_cover(groups: Groups, source: CountSource) -> None:
    """Refuse a workload that leaves a column out: nothing would be known of it."""
    asked = {column for group in groups for column in group}
    missing = [name for column, name in enumerate(source.schema.names) if column not in asked]
    if missing:
        raise ValueError(f"column {missing[0]!r} is in no marginal of the workload; ask for one, or leave the column out of the schema")


def _possible_mode(groups: Groups, plan: FitPlan) -> str:
    """Return the mode; only pairs of columns can be chosen adaptively."""
    if all(len(group) == 2 for group in groups):
        return plan.mode
    if plan.mode == "adaptive":
        raise ValueError("mode 'adaptive' chooses among pairs of columns; for other marginals take mode='one_shot'")
    return "one_shot"


def _one_shot_ledger(shares: NDArray[np.float64], n_draws: int, delta: float, plan: FitPlan) -> Ledger:
    budget = one_shot_budget(epsilon=plan.epsilon, delta=delta, neighboring=plan.neighboring, shares=list(shares), n_draws=n_draws)
    return budget.ledger()


def _fit_by_rule(source: CountSource, groups: Groups, plan: FitPlan, tools: FitTools, ledger: Ledger | None) -> SynthesisRun:
    """Look at noisy one-ways, then take a branch; both branches have one scale for the one-ways."""
    pairs = budget_shares(_cells(source, groups), plan.budget)
    one_shot, adaptive = (ledger, ledger) if ledger else _ledgers_of_both(source, groups, pairs, plan)
    first = measure_one_ways(source, rho=FIRST_SHARE * one_shot.left, neighboring=plan.neighboring, noise=tools.noise, ledger=one_shot)
    one_ways = _one_ways(source, first, plan)
    sigmas = marginal_sensitivity(plan.neighboring) / np.sqrt(2 * one_shot.left * pairs)
    ratio = noise_ratio(one_ways, groups, list(sigmas), total=float(one_ways[0].sum()))
    if ratio <= plan.mode_threshold:
        answers = _measured(source, groups, one_shot.left, plan, tools, one_shot)
        return replace(_fit_answers(source, answers, first, plan, tools, one_shot), noise_ratio=ratio)
    if adaptive is not one_shot:
        for entry in one_shot.entries:
            adaptive.spend_rho(entry.step, entry.mechanism, sensitivity=entry.sensitivity, scale=entry.scale, rho=entry.rho)
    return replace(_fit_adaptively(source, groups, plan, tools, adaptive, first=first), noise_ratio=ratio)


def _ledgers_of_both(source: CountSource, groups: Groups, pairs: NDArray[np.float64], plan: FitPlan) -> tuple[Ledger, Ledger]:
    """Return the ledgers of the one-shot and of the adaptive branch, each calibrated at delta / 2."""
    d = len(source.schema)
    shares = np.concatenate([np.full(d, FIRST_SHARE / d), (1 - FIRST_SHARE) * pairs])
    n_draws = sum(_cells(source, groups)) + sum(source.schema.sizes)
    adaptive = adaptive_budget(epsilon=plan.epsilon, delta=plan.delta / 2, neighboring=plan.neighboring)
    return _one_shot_ledger(shares, n_draws, plan.delta / 2, plan), adaptive.ledger()


def _measured(source: CountSource, groups: Groups, rho: float, plan: FitPlan, tools: FitTools, ledger: Ledger) -> list[MarginalAnswer]:
    return measure_marginals(
        source,
        groups,
        rho=rho,
        neighboring=plan.neighboring,
        budget=plan.budget,
        max_cells=plan.max_cells,
        noise=tools.noise,
        ledger=ledger,
    )


def _fit_answers(
    source: CountSource,
    answers: Sequence[MarginalAnswer],
    first: Sequence[MarginalAnswer],
    plan: FitPlan,
    tools: FitTools,
    ledger: Ledger,
) -> SynthesisRun:
    """Fit one-shot answers from independent columns; one-ways measured first are pooled into the start."""
    sizes = source.schema.sizes
    one_ways = _one_ways(source, [*answers, *first], plan)
    total = _total(source, one_ways, plan)
    start = _allowed(independent_start(one_ways, _n_rows(total, plan), tools.rng), one_ways, plan, tools)
    fit = fit_marginals(
        weighted_targets(answers),
        sizes,
        start,
        total=total,
        min_gain=MIN_GAIN if plan.min_gain is None else plan.min_gain,
        noise_floor=plan.noise_floor,
        max_sweeps=plan.max_sweeps,
        rng=tools.rng,
        forbidden=plan.forbidden,
        progress=tools.progress,
    )
    return _run(fit, total, "one_shot", [*first, *answers], plan, tools, ledger)


def _fit_adaptively(
    source: CountSource, groups: Groups, plan: FitPlan, tools: FitTools, ledger: Ledger, *, first: Sequence[MarginalAnswer]
) -> SynthesisRun:
    """Measure one-ways and chosen pairs, sample the forest, and fit the model's answers of all pairs."""
    ones = _measured_one_ways(source, plan, tools, ledger, first=first)
    one_ways = _one_ways(source, ones, plan)
    model = measure_adaptively(
        source,
        [(group[0], group[1]) for group in groups],
        one_ways,
        neighboring=plan.neighboring,
        noise=tools.noise,
        ledger=ledger,
        recipe=plan.recipe,
    )
    total, sizes = _total(source, one_ways, plan), source.schema.sizes
    start = _allowed(sample_forest(model.forest, _n_rows(total, plan), tools.rng), one_ways, plan, tools)
    fit = fit_marginals(
        _model_targets(model),
        sizes,
        start,
        total=total,
        min_gain=0.0,
        max_sweeps=min(MODEL_SWEEPS, plan.max_sweeps),
        moves_per_visit=MODEL_MOVES,
        rng=tools.rng,
        forbidden=plan.forbidden,
        progress=tools.progress,
    )
    return _run(fit, total, "adaptive", [*ones, *model.raw], plan, tools, ledger)


def _measured_one_ways(
    source: CountSource, plan: FitPlan, tools: FitTools, ledger: Ledger, *, first: Sequence[MarginalAnswer]
) -> list[MarginalAnswer]:
    """Spend the recipe's share on one-ways, and once more if that leaves too much noise."""
    rho = plan.recipe.one_way_share * ledger.left
    ones = [*first, *measure_one_ways(source, rho=rho, neighboring=plan.neighboring, noise=tools.noise, ledger=ledger)]
    if one_way_noise(_one_way_estimates(source, ones, plan)) > plan.recipe.one_way_noise:
        ones += measure_one_ways(source, rho=rho, neighboring=plan.neighboring, noise=tools.noise, ledger=ledger)
    return ones


def _model_targets(model: PairModel) -> list[MarginalTarget]:
    """Return all pairs' answers as the model has them; their noise is not white any more, so no minimum gain is taken from it."""
    return [MarginalTarget(pair, answer, 0.0, 1.0 if pair in model.measured else MODEL_WEIGHT) for pair, answer in model.answers.items()]


def _one_ways(source: CountSource, answers: Sequence[MarginalAnswer], plan: FitPlan) -> list[NDArray[np.float64]]:
    return [one.counts for one in _one_way_estimates(source, answers, plan)]


def _one_way_estimates(source: CountSource, answers: Sequence[MarginalAnswer], plan: FitPlan) -> list[OneWayEstimate]:
    total = float(source.n_rows) if plan.neighboring is Neighboring.REPLACE else None  # public under replacement only
    return consistent_one_ways(answers, source.schema.sizes, total=total)


def _total(source: CountSource, one_ways: Sequence[NDArray[np.float64]], plan: FitPlan) -> float:
    """Return the number of rows: exact where it is public, else what the noisy one-ways say."""
    if plan.neighboring is Neighboring.REPLACE:
        return float(source.n_rows)
    total = float(one_ways[0].sum())
    if total < 1:
        raise InsufficientEvidenceError(
            "the noisy number of rows is below 1: the budget is too small for this workload; take a larger epsilon, coarser columns, or "
            "mode='adaptive'"
        )
    return total


def _n_rows(total: float, plan: FitPlan) -> int:
    return plan.n_synthetic or max(1, round(total))


def _allowed(start: Codes, one_ways: Sequence[NDArray[np.float64]], plan: FitPlan, tools: FitTools) -> Codes:
    if not plan.forbidden:
        return start
    return repair_rows(start, plan.forbidden, [len(one) for one in one_ways], tools.rng, weights=one_ways)


def _run(
    fit: Fit, total: float, mode: Mode, answers: Sequence[MarginalAnswer], plan: FitPlan, tools: FitTools, ledger: Ledger
) -> SynthesisRun:
    guarantee = PrivacyGuarantee(
        plan.epsilon, plan.delta, plan.neighboring, "record", f"Private-GSD, {mode}", noise_assumptions(tools.noise)
    )
    table = EncodedTable(fit.codes)
    return SynthesisRun(table, total, mode, tuple(answers), ledger, guarantee, fit.fitness, fit.noise_energy, fit.history, fit.stopped)


def _cells(source: CountSource, groups: Groups) -> list[int]:
    return [int(np.prod([source.schema.sizes[column] for column in group], dtype=np.int64)) for group in groups]
