"""Counts of scores that carry model ids: model by model, or pooled with an estimate of what the pooling hides.

Pooled guesses are treated as independent by every estimator that takes `AttackCounts`. Guesses about one model share its training
randomness; with c of them per model and correlation rho, N guesses are worth N / (1 + (c - 1) rho).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.errors import WeakEvidenceWarning
from mechanisms.json_ready import JsonValue
from mechanisms.validation import in_range
from privacy_audit.estimate.model_effects.model_counts import IntArray, ModelCounts

SCHEMA_VERSION = 1
_TOLERATED = 0.1  # rho (c - 1) beyond this shortens intervals by more than 5 %


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledCounts:
    """Pooled counts with the correlation that pooling ignores; an estimate, without guarantee.

    Parameters
    ----------
    counts : sums over the models.
    n_models : number of models.
    points_per_model : challenge points per model, members and non-members together.
    rho_fpr, rho_fnr : intra-model correlation of the guesses on non-members and on members, in [0, 1]; None where it can't be estimated
        (a single model, or no model with two points on that side).
    excess_fpr, excess_fnr : rho (c - 1), where c is the number of points per model that a point of that side sees; 0 if rho is None.
    n_effective : sum over both sides of N / (1 + (c - 1) rho).
    """

    counts: AttackCounts
    n_models: int
    points_per_model: float
    rho_fpr: float | None
    rho_fnr: float | None
    excess_fpr: float
    excess_fnr: float
    n_effective: float

    @property
    def kind(self) -> Literal["estimate"]:
        """The kind of statement."""
        return "estimate"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "counts": self.counts.to_dict(),
            "n_models": self.n_models,
            "points_per_model": self.points_per_model,
            "rho_fpr": self.rho_fpr,
            "rho_fnr": self.rho_fnr,
            "n_effective": self.n_effective,
        }


def counts_per_model(scores: MembershipScores, threshold: float) -> ModelCounts:
    """Count the guesses `score >= threshold` model by model, in the order of the model ids.

    The threshold must not come from the same scores if an interval is to keep its word.
    """
    threshold = in_range(-np.inf, np.inf, closed="both", threshold=threshold)
    ids, model = np.unique(scores.model_id, return_inverse=True)
    guess, member = scores.score >= threshold, scores.member

    def tally(chosen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> IntArray:
        return np.bincount(model[chosen], minlength=len(ids)).astype(np.int64)

    return ModelCounts(tp=tally(member & guess), fp=tally(~member & guess), tn=tally(~member & ~guess), fn=tally(member & ~guess))


def pooled_counts(scores: MembershipScores, threshold: float) -> PooledCounts:
    """Pool the guesses of all models and say how much they are worth.

    Parameters
    ----------
    scores : scores with model ids.
    threshold : guess "member" when `score >= threshold`; not chosen on these scores.

    Warns
    -----
    WeakEvidenceWarning : rho (c - 1) > 0.1 on a side, so that intervals from the pooled counts are too short.

    Notes
    -----
    rho is the analysis-of-variance estimate of the intra-class correlation, cut to [0, 1]. Without any correlation it still scatters
    around 0 with standard deviation sqrt(2 / (J c (c - 1))), so the warning appears in part of the clean audits of few models.

    References
    ----------
    Ridout, Demetrio, Firth, Estimating Intraclass Correlation for Binary Data, Biometrics 1999.
    """
    return pooled_model_counts(counts_per_model(scores, threshold))


def pooled_model_counts(counts: ModelCounts) -> PooledCounts:
    """Pool counts per model; the same as `pooled_counts`, for counts made elsewhere."""
    rho_fpr, rho_fnr = intra_model_correlation(counts.fp, counts.n_non_members), intra_model_correlation(counts.fn, counts.n_members)
    total = counts.pooled()
    excess_fpr, excess_fnr = _excess(rho_fpr, counts.n_non_members), _excess(rho_fnr, counts.n_members)
    n_effective = total.n_non_members / (1 + excess_fpr) + total.n_members / (1 + excess_fnr)
    pooled = PooledCounts(
        counts=total,
        n_models=len(counts),
        points_per_model=(total.n_members + total.n_non_members) / len(counts),
        rho_fpr=rho_fpr,
        rho_fnr=rho_fnr,
        excess_fpr=excess_fpr,
        excess_fnr=excess_fnr,
        n_effective=n_effective,
    )
    if max(excess_fpr, excess_fnr) > _TOLERATED:
        warnings.warn(_warning(pooled), WeakEvidenceWarning, stacklevel=3)
    return pooled


def intra_model_correlation(errors: IntArray, trials: IntArray) -> float | None:
    """Return the analysis-of-variance estimate of the correlation between two guesses about one model, cut to [0, 1].

    Parameters
    ----------
    errors, trials : per model, shape (n_models,); models without trials are left out.

    Returns
    -------
    The estimate, or None if fewer than two models were tried or none of them twice.
    """
    n = trials[trials > 0].astype(np.float64)
    rate = errors[trials > 0] / n
    n_models, total = len(n), float(n.sum())
    if n_models < 2 or total == n_models:
        return None
    between = float((n * (rate - (n * rate).sum() / total) ** 2).sum()) / (n_models - 1)
    within = float((n * rate * (1 - rate)).sum()) / (total - n_models)
    size = (total - float((n**2).sum()) / total) / (n_models - 1)
    spread = between + (size - 1) * within
    return min(max((between - within) / spread, 0.0), 1.0) if spread > 0 else 0.0


def _excess(rho: float | None, trials: IntArray) -> float:
    n = trials.astype(np.float64)
    return 0.0 if rho is None else max(rho * (float((n**2).sum() / n.sum()) - 1), 0.0)


def _warning(pooled: PooledCounts) -> str:
    def shown(rho: float | None) -> str:
        return "unknown" if rho is None else f"{rho:.3f}"

    n = pooled.counts.n_members + pooled.counts.n_non_members
    return (
        f"{n} guesses about {pooled.n_models} models are correlated within a model (rho of FPR {shown(pooled.rho_fpr)}, of FNR "
        f"{shown(pooled.rho_fnr)}) and worth about {pooled.n_effective:.0f} independent ones: intervals from pooled counts are too short; "
        "use HierarchicalEpsilonPosterior(counts_per_model(scores, threshold))"
    )
