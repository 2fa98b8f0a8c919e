"""One page of metrics for the scores of one attack: AUC, balanced accuracy and TPR at FPR 1e-2, 1e-3 and 0, each with its interval.

A metric is a value with an interval, or a sentence that says what is missing ("needs >= 1000 non-members"). Intervals: AUC asymptotic
(DeLong), balanced accuracy finite-sample over all thresholds (Dvoretzky-Kiefer-Wolfowitz), TPR Clopper-Pearson. Nothing here is a bound of
epsilon. Cost: a few sorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from attacks.membership.metrics import (
    auc,
    auc_interval,
    balanced_accuracy,
    balanced_accuracy_interval,
    tpr_at_fpr,
    tpr_at_fpr_interval,
)
from attacks.scores import MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.json_ready import JsonValue
from mechanisms.validation import probability_level

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Metric:
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackReport:
    """Metrics of one attack; made by `attack_report`. A metric that can't be shown is a sentence."""

    n_members: int
    n_non_members: int
    level: float
    auc: Metric | str
    balanced_accuracy: Metric
    tpr_at_fpr_1e_2: Metric | str
    tpr_at_fpr_1e_3: Metric | str
    tpr_at_zero_fp: Metric

    def rows(self) -> dict[str, Metric | str]:
        """Return the metrics by the name a reader sees."""
        return {
            "AUC": self.auc,
            "balanced accuracy (best threshold)": self.balanced_accuracy,
            "TPR at FPR 0.01": self.tpr_at_fpr_1e_2,
            "TPR at FPR 0.001": self.tpr_at_fpr_1e_3,
            "TPR at 0 false positives": self.tpr_at_zero_fp,
        }

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record; a metric is a mapping of value, low and high, or a sentence."""
        names = ("auc", "balanced_accuracy", "tpr_at_fpr_1e_2", "tpr_at_fpr_1e_3", "tpr_at_zero_fp")
        head: dict[str, JsonValue] = {
            "schema_version": SCHEMA_VERSION,
            "n_members": self.n_members,
            "n_non_members": self.n_non_members,
            "level": self.level,
        }
        return head | {name: _metric_dict(getattr(self, name)) for name in names}

    def _repr_html_(self) -> str:
        body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(metric))}</td></tr>" for name, metric in self.rows().items())
        caption = f"{self.n_members} members, {self.n_non_members} non-members, {self.level:g} intervals"
        return f"<table><caption>{escape(caption)}</caption>{body}</table>"


def attack_report(scores: MembershipScores, *, level: float = 0.95) -> AttackReport:
    """Return the metrics of an attack with their intervals.

    Parameters
    ----------
    scores : scores with the true membership.
    level : probability content of each interval, in (0, 1).

    Raises
    ------
    ValueError : level outside (0, 1).

    Examples
    --------
    >>> report = attack_report(MembershipScores([3, 2, 1, 0], [1, 1, 0, 0]))
    >>> report.auc.value, report.tpr_at_fpr_1e_2
    (1.0, 'needs >= 100 non-members, got 2')
    """
    level = probability_level(level)
    return AttackReport(
        n_members=scores.n_members,
        n_non_members=scores.n_non_members,
        level=level,
        auc=_auc(scores, level),
        balanced_accuracy=Metric(balanced_accuracy(scores), *balanced_accuracy_interval(scores, level)),
        tpr_at_fpr_1e_2=_tpr(scores, 100, level),
        tpr_at_fpr_1e_3=_tpr(scores, 1000, level),
        tpr_at_zero_fp=Metric(tpr_at_fpr(scores, 0), *tpr_at_fpr_interval(scores, 0, level)),
    )


def _auc(scores: MembershipScores, level: float) -> Metric | str:
    try:
        return Metric(auc(scores), *auc_interval(scores, level))
    except InsufficientEvidenceError:
        return f"needs >= 2 members and 2 non-members, got {scores.n_members} and {scores.n_non_members}"


def _tpr(scores: MembershipScores, one_in: int, level: float) -> Metric | str:
    if scores.n_non_members < one_in:
        return f"needs >= {one_in} non-members, got {scores.n_non_members}"
    return Metric(tpr_at_fpr(scores, 1 / one_in), *tpr_at_fpr_interval(scores, 1 / one_in, level))


def _metric_dict(metric: Metric | str) -> JsonValue:
    return metric if isinstance(metric, str) else {"value": metric.value, "low": metric.low, "high": metric.high}
