"""From a real and a synthetic table to the record of their comparison. NOT private: the real rows are read without noise.

Everything is counted after the rules of the public schema, the same for both tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from mechanisms.json_ready import JsonValue
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import whole_number
from privacy_audit.audits.provenance import Progress, silent, versions
from privacy_audit.report.synthetic_record import TableEvaluation
from synth.column_shares import column_shares
from synth.counts import EncodedCounts
from synth.encoded import EncodedTable
from synth.evaluate import WorkloadError, workload_error
from synth.queries.marginals import Marginals
from synth.schema import Schema
from synth.synthesis_record import SynthesisRecord
from synth.train_on_synthetic import TrainOnSynthetic, train_on_synthetic
from synth.yardsticks import Yardstick, yardsticks

TOOLS = ("privacy-audit", "numpy", "scikit-learn")


def evaluate_table(
    real: EncodedTable,
    synthetic: EncodedTable,
    schema: Schema,
    *,
    holdout: EncodedTable | None = None,
    k: int = 2,
    target: str | None = None,
    model: str = "boosting",
    synthesis: SynthesisRecord | None = None,
    settings: Mapping[str, JsonValue] | None = None,
    title: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> TableEvaluation:
    """Compare a synthetic table with the real one.

    Parameters
    ----------
    real, synthetic : encoded by the schema; with positions where a target is named.
    schema : public.
    holdout : real rows that the synthetic table was not made from: a yardstick, and the test rows of `target`.
    k : marginals of k columns are compared beside single columns and pairs.
    target : the column that models shall guess; None trains none.
    model : "boosting" or "logistic".
    synthesis : the record of the synthesis, to be shown.
    settings, title : of the record.
    seed : of the split and the classifiers.
    progress : called with (done, total, label).

    Raises
    ------
    ValueError : tables that don't fit the schema, k out of range, a target that can't be guessed, marginals with too many cells.

    Guarantee
    ---------
    None: exact counts of the real table go into the record.
    """
    tell, d = progress or silent, len(schema)
    orders = sorted({1, *({2} if d > 1 else ()), whole_number(1, k=k)})
    steps = len(orders) + 2
    tell(0, steps, "counting")
    true, made = EncodedCounts(real, schema), EncodedCounts(synthetic, schema)
    errors: dict[int, WorkloadError] = {}
    for done, order in enumerate(orders):
        tell(done, steps, f"marginals of {order} columns" if order > 1 else "columns")
        errors[order] = workload_error(true, made, Marginals(k=order))
    tell(len(orders), steps, "yardsticks")
    beside = () if holdout is None else (workload_error(true, EncodedCounts(holdout, schema), Marginals(k=min(2, d))),)
    found: tuple[Yardstick, ...] = yardsticks(true, list(combinations(range(d), 2)), n_rows=made.n_rows) if d > 1 else ()
    tell(len(orders) + 1, steps, "models")
    training = None if target is None else _trained(real, synthetic, schema, target, holdout, model, seed)
    return TableEvaluation(
        n_real=true.n_rows,
        n_synthetic=made.n_rows,
        columns=column_shares(true, made),
        errors=errors,
        yardsticks=found,
        holdout=beside[0] if beside else None,
        n_holdout=0 if holdout is None else holdout.n_rows,
        training=training,
        synthesis=synthesis,
        settings=settings or {},
        versions=versions(*TOOLS),
        seeds={} if target is None else {"models": str(seed)},
        **({} if title is None else {"title": title}),
    )


def _trained(
    real: EncodedTable, synthetic: EncodedTable, schema: Schema, target: str, holdout: EncodedTable | None, model: str, seed: int
) -> TrainOnSynthetic:
    rng: RngLike = as_generator(whole_number(0, seed=seed))
    return train_on_synthetic(real, synthetic, schema=schema, target=target, holdout=holdout, model=model, rng=rng)
