"""From a table and any families of queries to a synthetic table: one shot, then moves over thresholds or the genetic algorithm.

A tenth of rho buys all one-way marginals: they give the number of rows where that is secret, the columns of the first table, and a
target of their own. The families share the rest by the cube root of their number of queries; under add/remove, those without structure
are released as 2 c - n, which halves their noise (`synth.measure_family.centering_pays`). The fitted table has at most 2,000 rows unless
more are asked for: a fit's time grows with rows times queries, and errors far below the noise are no gain.

Guarantee: (epsilon, delta)-DP under the plan's relation by the exact curve of discrete Gaussians (`synth.budget`), given the families'
sensitivities. The fit reads noisy answers only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import noise_assumptions
from synth.budget import marginal_sensitivity, one_shot_budget
from synth.consistency import consistent_one_ways
from synth.counts import EncodedCounts
from synth.encoded import EncodedTable
from synth.measure import MarginalAnswer, measure_marginals
from synth.measure_family import FamilyAnswer, centering_pays, family_sensitivity, measure_family
from synth.plan import FitPlan, FitTools, SynthesisRun
from synth.queries.family import QueryFamily
from synth.queries.marginals import Marginals
from synth.query_fit import fit_queries
from synth.query_targets import FamilyTarget
from synth.schema import Schema
from synth.start import independent_start

ONE_WAY_SHARE = 0.1
MOST_ROWS = 2000
MIN_GAIN = 1.0


def fit_query_workload(
    table: EncodedTable,
    schema: Schema,
    families: Sequence[QueryFamily],
    plan: FitPlan,
    tools: FitTools,
    ledger: Ledger | None = None,
) -> SynthesisRun:
    """Return a table for any families of 0/1 queries.

    Parameters
    ----------
    table : the sensitive rows, with positions where a family reads them.
    families : bound to the schema; what they are must not depend on the rows.
    ledger : as `synth.marginal_fit.fit_marginal_workload`.

    Raises
    ------
    ValueError : mode "adaptive", which serves pairs of columns only; nothing is drawn then.
    """
    if plan.merge_below is not None:
        raise ValueError("merge_below serves marginals only; leave it out for other queries")
    if plan.mode == "adaptive":
        raise ValueError("mode 'adaptive' chooses among pairs of columns; for other queries take mode='one_shot'")
    weight = np.array([family.n_queries for family in families], dtype=np.float64) ** (1 / 3)
    shares = (1 - ONE_WAY_SHARE) * weight / weight.sum()
    own = ledger or _ledger(schema, families, shares, plan)
    rho, neighboring = own.left, plan.neighboring
    ones = _one_ways(table, schema, ONE_WAY_SHARE * rho, plan, tools, own)
    answers = [
        measure_family(
            family,
            table,
            rho=rho * share,
            neighboring=neighboring,
            step=f"{family.n_queries:,} answers of {type(family).__name__}",
            centered=centering_pays(family, neighboring),
            noise=tools.noise,
            ledger=own,
        )
        for family, share in zip(families, shares, strict=True)
    ]
    return _fitted(schema, families, ones, answers, table.n_rows if neighboring is Neighboring.REPLACE else None, plan, tools, own)


def _ledger(schema: Schema, families: Sequence[QueryFamily], shares: NDArray[np.float64], plan: FitPlan) -> Ledger:
    d, neighboring = len(schema), plan.neighboring
    budget = one_shot_budget(
        epsilon=plan.epsilon,
        delta=plan.delta,
        neighboring=neighboring,
        shares=[ONE_WAY_SHARE / d] * d + list(shares),
        sensitivities=[marginal_sensitivity(neighboring)] * d
        + [family_sensitivity(family, neighboring, centered=centering_pays(family, neighboring)) for family in families],
        n_draws=sum(schema.sizes) + sum(family.n_queries for family in families),
    )
    return budget.ledger()


def _one_ways(table: EncodedTable, schema: Schema, rho: float, plan: FitPlan, tools: FitTools, ledger: Ledger) -> list[MarginalAnswer]:
    columns: list[tuple[int, ...]] = [(column,) for column in range(len(schema))]
    source = EncodedCounts(table, schema)
    return measure_marginals(source, columns, rho=rho, neighboring=plan.neighboring, budget="equal", noise=tools.noise, ledger=ledger)


def _fitted(
    schema: Schema,
    families: Sequence[QueryFamily],
    ones: Sequence[MarginalAnswer],
    answers: Sequence[FamilyAnswer],
    n_public: int | None,
    plan: FitPlan,
    tools: FitTools,
    ledger: Ledger,
) -> SynthesisRun:
    one_ways = [one.counts for one in consistent_one_ways(ones, schema.sizes, total=n_public)]
    total = float(one_ways[0].sum()) if n_public is None else float(n_public)
    n_rows = plan.n_synthetic or min(MOST_ROWS, max(1, round(total)))
    fit = fit_queries(
        _targets(schema, families, ones, answers, total),
        schema,
        n_rows=n_rows,
        total=max(total, 1.0),
        start=EncodedTable(independent_start(one_ways, n_rows, tools.rng)),
        min_gain=MIN_GAIN if plan.min_gain is None else plan.min_gain,
        noise_floor=plan.noise_floor,
        forbidden=plan.forbidden,
        rng=tools.rng,
        progress=tools.progress,
    )
    guarantee = PrivacyGuarantee(
        plan.epsilon, plan.delta, plan.neighboring, "record", "Private-GSD, queries", noise_assumptions(tools.noise)
    )
    return SynthesisRun(
        fit.table(), total, "one_shot", (*ones, *answers), ledger, guarantee, fit.fitness, fit.noise_energy, fit.history, fit.stopped
    )


def _targets(
    schema: Schema, families: Sequence[QueryFamily], ones: Sequence[MarginalAnswer], answers: Sequence[FamilyAnswer], total: float
) -> list[FamilyTarget]:
    """Return all answers as counts, weighted by least sigma / sigma."""
    own: QueryFamily = Marginals(k=1).bind(schema)
    counted = [(own, np.concatenate([one.answer for one in ones]).astype(np.float64), ones[0].sigma)]
    counted += [(family, *answer.counts(total)) for family, answer in zip(families, answers, strict=True)]
    least = min(sigma for _, _, sigma in counted)
    return [FamilyTarget(family, counts, sigma, least / sigma) for family, counts, sigma in counted]
