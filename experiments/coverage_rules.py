"""What the coverage experiment asks in this process: our estimators, and rules of other tools, re-expressed from their documented formulas.

A re-expressed rule is the rule, not the tool's code: TensorFlow Privacy (best ratio over all thresholds), ML Privacy Meter (best one-run
bound over a grid of guess counts), PrivacyGuard (best Clopper-Pearson ratio over all thresholds).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from experiments.coverage_settings import FloatArray, Setting, Trial
from privacy_audit.estimate.gaussian import gaussian_bound, gaussian_score_estimate
from privacy_audit.estimate.lower_bound import epsilon_lower_bound, rate_upper_limit
from privacy_audit.estimate.one_run import one_run_bound, one_run_guesses
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.sequential import SequentialAuditor
from privacy_audit.estimate.thresholds import STRATEGIES, audit_scores

LEVEL = 0.95
ALPHA = 1 - LEVEL
OURS = "privacy-audit"
Answer = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One estimator: lower end at level 0.95 and, where it has one, the upper end of its 0.9 interval."""

    name: str
    source: str
    kind: str
    ask: Callable[[Trial], Answer]
    applies: Callable[[Setting], bool] = lambda _: True
    slow: bool = False  # asked in the first blocks only


def _posterior(trial: Trial) -> Answer:
    low, high = EpsilonPosterior(trial.counts, delta=trial.setting.delta).interval(0.9)
    return float(low), float(high)


def _counts(method: str) -> Callable[[Trial], Answer]:
    return lambda trial: (epsilon_lower_bound(trial.counts, delta=trial.setting.delta, method=method).epsilon, None)


def _strategy(name: str) -> Callable[[Trial], Answer]:
    def ask(trial: Trial) -> Answer:
        rng = trial.seed if name in ("split", "multi_split") else None
        return audit_scores(trial.scores, delta=trial.setting.delta, strategy=name, rng=rng).epsilon, None

    return ask


def _one_run(method: str) -> Callable[[Trial], Answer]:
    def ask(trial: Trial) -> Answer:
        n = len(trial.scores)
        guesses, correct = one_run_guesses(trial.scores, n_in=n // 16, n_out=n // 16)
        bound = one_run_bound(n_canaries=n, n_guesses=guesses, n_correct=correct, delta=trial.setting.delta, method=method)
        return bound.epsilon, None

    return ask


def _sequential(trial: Trial) -> Answer:
    auditor = SequentialAuditor(epsilon=trial.setting.epsilon, delta=trial.setting.delta)
    auditor.update(trial.scores.member, trial.scores.score >= trial.setting.threshold)
    return auditor.lower_bound, None


def _two_normals(trial: Trial) -> Answer:
    found = gaussian_score_estimate(trial.scores, delta=trial.setting.delta, level=0.9, n_resamples=200, rng=trial.seed)
    return found.interval


def _all_counts(trial: Trial) -> tuple[FloatArray, FloatArray, int, int]:
    """Return (tp, fp) at every threshold, and the numbers of members and non-members."""
    member, score = trial.scores.member, trial.scores.score
    inside, outside, thresholds = np.sort(score[member]), np.sort(score[~member]), np.unique(score)
    tp, fp = len(inside) - np.searchsorted(inside, thresholds), len(outside) - np.searchsorted(outside, thresholds)
    return tp.astype(np.float64), fp.astype(np.float64), len(inside), len(outside)


def _tensorflow(ratio: Callable[[FloatArray, FloatArray, int, int], FloatArray]) -> Callable[[Trial], Answer]:
    """Largest log ratio over all thresholds and all four ratios of rates; it knows delta = 0 only."""

    def ask(trial: Trial) -> Answer:
        tp, fp, n_in, n_out = _all_counts(trial)
        fn, tn = n_in - tp, n_out - fp
        pairs = ((tp, fp, n_in, n_out), (tn, fn, n_out, n_in), (fp, tp, n_out, n_in), (fn, tn, n_in, n_out))
        return max(0.0, *(float(ratio(*pair).max()) for pair in pairs)), None

    return ask


def _katz(hits: FloatArray, alarms: FloatArray, n_hits: int, n_alarms: int) -> FloatArray:
    full = (hits == n_hits) & (alarms == n_alarms)
    hits, alarms = np.where(full, n_hits - 0.5, hits), np.where(full, n_alarms - 0.5, np.where(alarms == 0, 0.5, alarms))
    some = np.where(hits > 0, hits, 1.0)
    error = np.sqrt((1 - some / n_hits) / some + (1 - alarms / n_alarms) / alarms)
    return np.where(hits > 0, np.log(some / n_hits * n_alarms / alarms) + special.ndtri(ALPHA) * error, -np.inf)


def _bailey(hits: FloatArray, alarms: FloatArray, n_hits: int, n_alarms: int) -> FloatArray:
    """Bailey's cube-root limit of a ratio of two rates (1987), the tool's default."""
    z = special.ndtri(ALPHA)
    hits, alarms = np.where(hits == n_hits, n_hits - 0.5, hits), np.where(alarms == n_alarms, n_alarms - 0.5, alarms)
    some, alarms = np.where(hits > 0, hits, 1.0), np.where(alarms > 0, alarms, 0.5)
    miss, quiet = 1 - some / n_hits, 1 - alarms / n_alarms
    inside = miss / some + quiet / alarms - z**2 * miss * quiet / (9 * some * alarms)
    cube = (1 + z / 3 * np.sqrt(np.maximum(inside, 0.0))) / (1 - z**2 * quiet / (9 * alarms))
    valid = (hits > 0) & (cube > 0)
    return np.where(valid, np.log(some / n_hits * n_alarms / alarms) + 3 * np.log(np.where(valid, cube, 1.0)), -np.inf)


def _clopper_pearson(hits: FloatArray, alarms: FloatArray, n_hits: int, n_alarms: int) -> FloatArray:
    low, high = 1 - rate_upper_limit(n_hits - hits, hits, ALPHA / 2), rate_upper_limit(alarms, n_alarms - alarms, ALPHA / 2)
    return np.where((low > 0) & (high < 1), np.log(np.maximum(low, 1e-300)) - np.log(high), -np.inf)


def _privacy_guard(trial: Trial) -> Answer:
    tp, fp, n_in, n_out = _all_counts(trial)
    x, y = rate_upper_limit(fp, n_out - fp, ALPHA / 2), rate_upper_limit(n_in - tp, tp, ALPHA / 2)
    best = max(float(((1 - a - trial.setting.delta) / b).max()) for a, b in ((x, y), (y, x)))
    return float(np.log(max(best, 1.0))), None


def _privacy_meter(trial: Trial) -> Answer:
    """Largest one-run bound over a grid of guess counts with step sqrt(m), delta = 0: the logit of a Clopper-Pearson limit."""
    m = len(trial.scores)
    member, step = trial.scores.member[np.argsort(trial.scores.score, kind="stable")], int(np.sqrt(m))
    ends = np.arange(0, m, step)
    low, high = (side.ravel() for side in np.meshgrid(ends, ends, indexing="ij"))
    low, high = low[low < high], high[low < high]
    right = (low - np.append(0, np.cumsum(member))[low]) + (member.sum() - np.append(0, np.cumsum(member))[high])
    guesses = low + m - high
    q = np.where(right > 0, special.betaincinv(np.maximum(right, 1), guesses - right + 1, ALPHA), 0.5)
    return max(0.0, float(special.logit(q).max())), None


def _pure(setting: Setting) -> bool:
    return setting.delta == 0


def _gaussian(setting: Setting) -> bool:
    return setting.gaussian


def rules() -> list[Rule]:
    """Return every estimator asked in this process."""
    strategies = [
        Rule(f"scores, {name}", OURS, "estimate" if name == "hull" else "bound", _strategy(name), slow=name in ("split", "multi_split"))
        for name in STRATEGIES
    ]
    return [
        Rule("counts, likelihood_ratio", OURS, "bound", _counts("likelihood_ratio"), slow=True),
        Rule("counts, clopper_pearson", OURS, "bound", _counts("clopper_pearson")),
        Rule("counts, katz_log", OURS, "estimate", _counts("katz_log"), _pure),
        *strategies,
        Rule("one run, binomial", OURS, "bound", _one_run("binomial")),
        Rule("one run, f_dp", OURS, "bound", _one_run("f_dp"), _gaussian),
        Rule("gaussian, counts", OURS, "bound", lambda t: (gaussian_bound(t.counts, delta=t.setting.delta).epsilon, None), _gaussian),
        Rule("gaussian, scores", OURS, "bound", lambda t: (gaussian_bound(t.scores, delta=t.setting.delta).epsilon, None), _gaussian),
        Rule("sequential", OURS, "bound", _sequential),
        Rule("counts, posterior", OURS, "credible", _posterior),
        Rule("two normal laws, bootstrap", OURS, "estimate", _two_normals, _gaussian),
        Rule("best threshold, bailey (default)", "TensorFlow Privacy's rule", "called a bound", _tensorflow(_bailey), _pure),
        Rule("best threshold, katz-log", "TensorFlow Privacy's rule", "called a bound", _tensorflow(_katz), _pure),
        Rule("best threshold, clopper-pearson", "TensorFlow Privacy's rule", "called a bound", _tensorflow(_clopper_pearson), _pure),
        Rule("best threshold, clopper-pearson", "PrivacyGuard's rule", "called a bound", _privacy_guard),
        Rule("best guess count, one run", "ML Privacy Meter's rule", "called a bound", _privacy_meter, _pure),
    ]
