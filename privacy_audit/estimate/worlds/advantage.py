"""AdvantageBound: a lower bound of the advantage of telling two worlds apart, with proved coverage.

adv = TPR + TNR - 1, and max(adv, 0) is at most the total variation between what is seen of the two worlds, so the bound is one of both.
"likelihood_ratio" inverts an exact test on both counts at once; "clopper_pearson" puts limits on both rates, each at half the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from attacks.scores import AttackCounts
from mechanisms.json_ready import JsonValue, number_from_json
from mechanisms.validation import one_of, probability_level
from privacy_audit.estimate.exact.likelihood_ratio_advantage import likelihood_ratio_advantage
from privacy_audit.estimate.lower_bound import INDEPENDENT_TRIALS, MOST_EXACT_TRIALS, rate_upper_limit

SCHEMA_VERSION = 1
METHODS = ("likelihood_ratio", "clopper_pearson")
FIXED_ATTACK = "the attack and its direction were fixed without these counts"
FIXED_NUMBER = "the number of victims was fixed beforehand"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageBound:
    """A lower bound of max(TPR + TNR - 1, 0).

    Parameters
    ----------
    advantage : the bound, in [0, 1].
    level : P(bound <= true value) is at least this, whatever the rates, if the assumptions hold.
    method : the name of the method.
    assumptions : sentences that must be true for the coverage to hold.
    """

    advantage: float
    level: float
    method: str
    assumptions: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["bound"]:
        """The kind of statement: proved coverage."""
        return "bound"

    @property
    def accuracy(self) -> float:
        """The same bound as one of the balanced accuracy of the best attack, (1 + advantage) / 2."""
        return (1 + self.advantage) / 2

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "advantage": self.advantage,
            "level": self.level,
            "method": self.method,
            "assumptions": list(self.assumptions),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, JsonValue]) -> AdvantageBound:
        """Rebuild a bound from `to_dict()`."""
        assumptions = record["assumptions"]
        if not isinstance(assumptions, list):
            raise TypeError("assumptions must be a list of sentences")
        return cls(
            advantage=number_from_json(record["advantage"]),
            level=number_from_json(record["level"]),
            method=str(record["method"]),
            assumptions=tuple(str(item) for item in assumptions),
        )


def advantage_lower_bound(counts: AttackCounts, level: float = 0.95, *, method: str = "likelihood_ratio") -> AdvantageBound:
    """Return a lower bound of the advantage from the counts of one attack on a fixed number of victims.

    Parameters
    ----------
    counts : outcome of the attack; world 1 stands where membership counts have "member".
    level : P(bound <= max(TPR + TNR - 1, 0)) is at least this.
    method : "likelihood_ratio", or "clopper_pearson". Above 10,000 victims of one world the first gives way to the second, and the bound's
        `method` says so.

    Raises
    ------
    ValueError : level out of range, an unknown method.
    TypeError : counts that are not `AttackCounts`.

    Guarantee
    ---------
    clopper_pearson: each error rate lies below its upper limit but for probability (1 - level) / 2, so both do but for 1 - level, and then
    TPR + TNR - 1 >= 1 - (sum of the limits). likelihood_ratio: each claim "advantage <= d" that is true is rejected with probability at
    most 1 - level, by enumeration of all outcomes and maximization over all rates with advantage d; the bound is the end of the claims
    rejected. Neither holds if victims were added until an interval was short enough (`AccuracyStopRule`).

    References
    ----------
    Clopper, Pearson 1934.

    Examples
    --------
    >>> counts = AttackCounts(tp=160, fn=40, tn=150, fp=50)
    >>> [round(advantage_lower_bound(counts, method=name).advantage, 3) for name in ("likelihood_ratio", "clopper_pearson")]
    [0.476, 0.422]
    """
    if not isinstance(counts, AttackCounts):
        raise TypeError(f"counts must be AttackCounts, got {type(counts).__name__}")
    level, method = probability_level(level), one_of(METHODS, method=method)
    fp, tn, fn, tp, alpha = counts.fp, counts.tn, counts.fn, counts.tp, 1 - level
    if method == "likelihood_ratio" and max(counts.n_members, counts.n_non_members) > MOST_EXACT_TRIALS:
        method = f"clopper_pearson (likelihood_ratio needs at most {MOST_EXACT_TRIALS} trials per side)"
    if method == "likelihood_ratio":
        advantage = likelihood_ratio_advantage(fp=fp, n_out=counts.n_non_members, fn=fn, n_in=counts.n_members, alpha=alpha)
    else:
        errors = rate_upper_limit(fp, tn, alpha / 2) + rate_upper_limit(fn, tp, alpha / 2)
        advantage = max(0.0, 1 - float(errors))
    return AdvantageBound(advantage=advantage, level=level, method=method, assumptions=(INDEPENDENT_TRIALS, FIXED_ATTACK, FIXED_NUMBER))
