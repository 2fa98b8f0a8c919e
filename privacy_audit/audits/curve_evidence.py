"""What a run's scores say about the accountant's whole privacy curve, and bounds within the family of such curves.

The level is shared: the two tests with finite-sample levels, which can make a verdict "suspicious", get half of 1 - level each; the
asymptotic one, which decides nothing, has the full level and looks at scores whose noise was fitted to the signals without the coins (at
noise x 0.8 and 200 canaries this raises its power from 0.66 to 0.73). Every bound stands at the report's level by itself, as all
further bounds do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from attacks.scores import MembershipScores
from mechanisms.accounting.curve_family import CurveFamily
from mechanisms.accounting.loss_curve import LEAST_DELTA
from mechanisms.errors import UnsupportedClaimError
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.curves.curve_bounds import METHODS, curve_bound
from privacy_audit.estimate.curves.curve_test_record import CurveTest
from privacy_audit.estimate.curves.curve_tests import auc_kl, auc_normal, e_value
from privacy_audit.estimate.one_run import one_run_bound, one_run_guesses

if TYPE_CHECKING:
    from attacks.canaries.result import CanaryResult


@dataclass(frozen=True, slots=True)
class CurveEvidence:
    """Curve tests and bounds within the family; both empty where the accountant's curve can't be computed."""

    tests: tuple[CurveTest, ...] = ()
    bounds: tuple[EpsilonBound, ...] = ()


def curve_evidence(result: CanaryResult, scores: MembershipScores, *, n_side: int, delta: float, level: float) -> CurveEvidence:
    """Test the accountant's curve, and bound epsilon within its family.

    Parameters
    ----------
    result : the run; its claim names the curve.
    scores : all-steps scores.
    n_side : guesses a side of the one-run bound, fixed in advance.
    delta, level : as in the report; below a delta of 1e-12 there are no bounds.
    """
    claimed = result.claimed
    family = CurveFamily(claimed.sample_rate, claimed.steps or result.steps)
    try:
        curve = family.curve(claimed.noise_multiplier)
        family.rungs()
    except UnsupportedClaimError:
        return CurveEvidence()
    shared, fitted = (1 + level) / 2, result.fitted_scores
    tests = (auc_kl(scores, curve, level=shared), e_value(scores, curve, level=shared), auc_normal(fitted, curve, level=level))
    if delta < LEAST_DELTA:
        return CurveEvidence(tests)
    guesses, correct = one_run_guesses(scores, n_in=n_side, n_out=n_side)
    f_dp = one_run_bound(
        n_canaries=len(scores), n_guesses=guesses, n_correct=correct, delta=delta, level=level, method="f_dp", curve=family
    )
    seen = {"auc_normal": fitted}
    areas = (curve_bound(seen.get(method, scores), family, delta=delta, method=method, level=level) for method in METHODS)
    return CurveEvidence(tests, (replace(f_dp, method="f_dp, claimed family"), *areas))
