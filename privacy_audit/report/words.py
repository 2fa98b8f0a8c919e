"""The report's words: what verdicts, kinds, relations and conformance tests mean in one sentence."""

from __future__ import annotations

import math

from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.estimate.signals.conformance_report import ConformanceReport, ConformanceTest
from privacy_audit.report.plain_text import listed, number
from privacy_audit.report.verdict import Verdict

VERDICT_MEANING: dict[Verdict, str] = {
    "violation": "the claim is contradicted by a bound with proved coverage",
    "suspicious": "the evidence speaks against the claim; no bound proves a larger epsilon",
    "consistent": "no violation found",
    "tight": "no violation found, and little room is left below the claim",
    "inconclusive": "silence means nothing here: the audit is too weak",
}

NOTHING_CLAIMED = "no finite epsilon is claimed"

KIND_MEANING = {
    "claim": "What somebody asserts: an upper bound on epsilon.",
    "bound": "A lower bound with proved coverage. Only this kind may call a claim violated.",
    "estimate": "A lower bound whose coverage is only approximate. It never calls a claim violated.",
    "credible": "Posterior of this attack's epsilon; its upper end is not an upper bound on the mechanism's epsilon.",
    "conformance": "Epsilon of the noise and the sampling rate that were measured in the run: about the implementation, and no proof.",
}

ENGINE_MEANING = (
    "Posterior of the training engine's epsilon, from its measured noise, sampling and clipping; no bound, and no proof about the "
    "user's own layers."
)

NOT_AN_ESTIMATE = (
    "A lower bound from an audit is not an estimate of the true epsilon: a stronger attack may show more, "
    "and no audit can show that the true epsilon is small."
)

_TESTS = {
    "noise_scale": ("Noise scale", "Is the noise as large as the accountant was told?"),
    "out_mean": ("Noise mean", "Is the noise centered on zero?"),
    "shape": ("Noise shape", "Is the noise Gaussian?"),
    "step_pairs": ("Pairs of steps", "Is the noise of every step independent of the noise of every other step?"),
    "lags": ("Lags", "Is the noise free of memory from earlier steps?"),
    "coord_pairs": ("Pairs of coordinates", "Is the noise of every coordinate independent of the others?"),
    "step_var": ("Noise per step", "Is the noise equally large in every step?"),
    "rate": ("Sampling rate", "Does each record enter a batch as often as claimed?"),
    "clip": ("Clipping", "Is each record's gradient clipped to the claimed norm?"),
    "poisson": ("Poisson sampling", "Is each record drawn by its own coin, rather than once an epoch?"),
    "batch_sizes": ("Batch sizes", "Do batch sizes vary as independent coins make them vary?"),
    "log_rate": ("Logged sampling rate", "Does the batch log show the claimed rate?"),
    "log_epoch": ("Logged draws per epoch", "Does the batch log show coins rather than a shuffle?"),
    "log_clip": ("Logged clipping", "Do steps that hold a canary show the claimed clipping norm?"),
    "log_noise": ("Logged noise", "Do steps that hold a canary show the claimed noise?"),
    "steps": ("Number of steps", "Did as many steps run as the accountant counted?"),
    "accountant": ("Accountant", "Was the accountant given the claimed noise and sampling rate?"),
    "noise_differs": ("Two seeds", "Do two runs with different seeds have different noise?"),
    "readout": ("Read-out", "Is the release read off the optimizer as the tests assume?"),
    "auc_normal": ("Area under the curve", "Is the attack's ROC area one that the claimed privacy curve allows?"),
}

_CURVE_TESTS = {
    "auc_normal": ("Area, many canaries", "Is the area under the ROC one that the claimed curve allows? (normal law, approximate)"),
    "auc_kl": ("Area, any number", "Is the area under the ROC one that the claimed curve allows? (Chernoff bound)"),
    "e_value": ("Betting", "Does betting on the canaries' coins win more than the claimed curve allows?"),
}


def verdict_meaning(verdict: Verdict, claim: PrivacyGuarantee) -> str:
    """Say what the verdict means; without a finite claim its silence means less."""
    if verdict == "consistent" and math.isinf(claim.epsilon):
        return "no violation found: without a finite claim there is nothing to violate"
    return VERDICT_MEANING[verdict]


def p_value(value: float | None) -> str:
    """Write a p-value, or say that the check is exact and has none."""
    if value is None:
        return "exact check"
    return "below 10⁻³⁰⁰" if value < 1e-300 else number(value, 2)


def neighboring_name(neighboring: Neighboring) -> str:
    """Name the relation as SP 800-226 does, beside our own word."""
    names = {
        Neighboring.ADD_REMOVE: "add or remove (unbounded)",
        Neighboring.REPLACE: "replace (bounded)",
        Neighboring.ZERO_OUT: "zero out (bounded)",
    }
    return names[neighboring]


def neighboring_sentence(claim: PrivacyGuarantee) -> str:
    """Say in one sentence which two data sets are compared."""
    unit = claim.privacy_unit
    changes = {
        Neighboring.ADD_REMOVE: f"one {unit} is added or taken away",
        Neighboring.REPLACE: f"one {unit} becomes another one",
        Neighboring.ZERO_OUT: f"one {unit} becomes a null one; the size stays",
    }
    return f"Two data sets are neighbors if {changes[claim.neighboring]}."


def words_of_test(test: ConformanceTest) -> tuple[str, str]:
    """Return a conformance test's name and question in words."""
    fallback = (test.name.replace("_", " ").capitalize(), f"Does the part “{test.part}” do what the claim assumes?")
    return _TESTS.get(test.name, fallback)


def words_of_curve_test(method: str) -> tuple[str, str]:
    """Return a curve test's name and question in words."""
    return _CURVE_TESTS.get(method, (method.replace("_", " ").capitalize(), "Is the run as private as the claimed curve?"))


def withheld_reason(conformance: ConformanceReport | None) -> str:
    """Say why posterior and conformance interval are withheld; empty if they are not."""
    if conformance is None or conformance.passed:
        return ""
    return f"withheld: {listed(conformance.broken)} failed"
