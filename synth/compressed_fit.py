"""A fit on fewer codes: rare ones are merged before pairs are measured, and told apart again in the output.

A tenth of rho buys one-ways; codes of a column whose noisy count is below a multiple of its noise become one (`synth.domain.compression`);
the rest of rho goes to the fit on the merged columns, in whatever mode; its codes are expanded in proportion to the noisy one-ways.
It pays where columns have many codes that are hardly used and the budget is small. At large budgets what merging hides is lost.

Guarantee: (epsilon, delta)-DP. Merges follow from noisy counts, and everything is charged in zCDP against one ledger, because what is
measured later depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mechanisms.accounting.ledger import Ledger
from synth.adaptive.measure_pairs import measure_one_ways
from synth.budget import adaptive_budget
from synth.count_source import CountSource
from synth.domain.compression import compress
from synth.encoded import EncodedTable
from synth.plan import FitPlan, FitTools, SynthesisRun

ONE_WAY_SHARE = 0.1
Fit = Callable[[CountSource, Sequence[tuple[int, ...]], FitPlan, FitTools, Ledger], SynthesisRun]


def fit_compressed(
    fit: Fit, source: CountSource, groups: Sequence[tuple[int, ...]], plan: FitPlan, tools: FitTools, ledger: Ledger | None
) -> SynthesisRun:
    """Return what `fit` makes of the merged columns, in the codes of the schema.

    Parameters
    ----------
    fit : of a source, groups, a plan, tools and a ledger.
    source, groups, ledger : as `synth.marginal_fit.fit_marginal_workload`.
    plan : its `merge_below` says below how many standard deviations of its noise a count counts as rare.

    Raises
    ------
    ValueError : rules of forbidden rows, which speak of codes that may be merged.
    """
    if plan.forbidden:
        raise ValueError("forbidden rows can't be kept out while codes are merged; leave out merge_below, or the rules")
    own = ledger or adaptive_budget(epsilon=plan.epsilon, delta=plan.delta, neighboring=plan.neighboring).ledger()
    first = measure_one_ways(source, rho=ONE_WAY_SHARE * own.left, neighboring=plan.neighboring, noise=tools.noise, ledger=own)
    merged = compress([one.answer for one in first], [one.sigma for one in first], least=plan.merge_below or 0.0)
    run = fit(merged.source(source), groups, replace(plan, merge_below=None), tools, own)
    return replace(run, table=EncodedTable(merged.expand(run.table.codes, tools.rng)), measurements=(*first, *run.measurements))
