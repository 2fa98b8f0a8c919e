"""Reports for the tests of this folder: one for each verdict, and some at the edges."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from attacks.canaries.finding import Finding
from attacks.scores import AttackCounts, MembershipScores
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.signals.conformance_report import ConformanceReport, ConformanceTest
from privacy_audit.report.distribution import DistributionEvidence, RatioPair, WorldsAttacked
from privacy_audit.report.membership import ExposedRecord, MembershipEvidence
from privacy_audit.report.record import AuditReport

DELTA = 1e-5
HOSTILE = (
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</style></main>&amp;{{ 7*7 }}",
    "W" * 300,
    "🙂" * 150,
    "‮ltr\x00",
)
COUNTS = AttackCounts(tp=220, fp=25, tn=475, fn=280)


def claim(epsilon: float = 6.45, **changes: object) -> PrivacyGuarantee:
    words = {
        "mechanism": "DP-SGD, 200 steps",
        "assumptions": ("Noise is drawn afresh at every step.", "Every record enters a batch by its own coin."),
    }
    return PrivacyGuarantee(epsilon, DELTA, Neighboring.ADD_REMOVE, **(words | changes))


def bound(epsilon: float = 1.91, **changes: object) -> EpsilonBound:
    words = {"method": "likelihood ratio", "assumptions": ("The threshold was chosen on other canaries.",), "level": 0.95, "delta": DELTA}
    return EpsilonBound(epsilon=epsilon, **(words | changes))


def conformance(*failing: str) -> ConformanceReport:
    parts = {"noise_scale": "noise scale", "step_pairs": "noise reuse", "rate": "sampling", "steps": "steps"}
    tests = tuple(
        ConformanceTest(
            name=name,
            part=part,
            p_value=None if name == "steps" else 3e-41 if name in failing else 0.41,
            passed=name not in failing,
            finding=f"{part} measured and claimed",
        )
        for name, part in parts.items()
    )
    if failing:
        return ConformanceReport(tests=tests, level=0.95)
    return ConformanceReport(
        tests=tests,
        level=0.95,
        noise_multiplier_interval=(0.9956, 1.0044),
        sample_rate_interval=(0.0657, 0.0677),
        epsilon_interval=(6.12, 6.81),
    )


def scores(n: int = 500, seed: int = 1) -> MembershipScores:
    rng = np.random.default_rng(seed)
    member = np.arange(n) % 2 == 0
    return MembershipScores(rng.normal(1.0 * member, 1.0), member)


def report(**changes: object) -> AuditReport:
    """A report with every field filled."""
    fields: dict[str, object] = {
        "claim": claim(),
        "bound": bound(),
        "other_bounds": (bound(1.53, method="one-run binomial"), bound(2.48, method="Gaussian curve", approximate=True)),
        "posterior": EpsilonPosterior(COUNTS, delta=DELTA),
        "conformance": conformance(),
        "findings": (Finding("batch_norm", "error", "Layer 'bn1' mixes records."), Finding("loader", "warning", "The loader shuffles.")),
        "scores": scores(),
        "power": 0.93,
        "threat_model": {"What the attacker sees": "the model after every step", "Canaries": "1,000 by independent coins"},
        "settings": {"n_canaries": 1000, "rng": 7, "layers": ["conv1", "fc"], "nist.trust_model": "Central: the cluster sees raw records."},
        "versions": {"torch": "2.9.1"},
        "seeds": {"root entropy": "314159265358979323846264338327950288419"},
        "title": "Digits classifier, release 3",
    }
    return AuditReport(**(fields | changes))


def bare(**changes: object) -> AuditReport:
    """A report with nothing but a claim and a bound."""
    return AuditReport(**({"claim": claim(mechanism="", assumptions=()), "bound": bound(assumptions=())} | changes))


def membership(
    names: tuple[str, ...] = ("LiRA, fixed variance", "RMIA", "Loss"), *, n_records: int = 600, n_targets: int = 4, **changes: object
) -> MembershipEvidence:
    """Attacks of falling strength on a few target models; the first one is registered."""
    rng = np.random.default_rng(5)
    model, record = np.repeat(np.arange(n_targets), n_records), np.tile(np.arange(n_records), n_targets)
    member = rng.random(n_targets * n_records) < 0.5
    member[:2] = True, False
    shared = rng.normal(size=len(member))
    outlier = record % 25 == 0  # a few records are remembered well

    def one(strength: float) -> MembershipScores:
        mean = strength * member * (1 + 2.5 * outlier)
        return MembershipScores(mean + 0.6 * shared + 0.8 * rng.normal(size=len(member)), member, model, record)

    fields: dict[str, object] = {
        "scores": {name: one(1.2 / (k + 1)) for k, name in enumerate(names)},
        "registered": names[0],
        "most_exposed": tuple(ExposedRecord(25 * k, 6.1 * 0.93**k, 30 + k % 5, 30 - k % 5) for k in range(20)),
        "references_in": (22, 30.0, 39),
        "references_out": (21, 30.0, 38),
        "n_targets": n_targets,
        "n_models": 64,
    }
    return MembershipEvidence(**(fields | changes))


@cache
def model_posterior() -> HierarchicalEpsilonPosterior:
    rng = np.random.default_rng(6)
    tp, fp = rng.binomial(300, rng.beta(12, 40, 4)), rng.binomial(300, rng.beta(2, 80, 4))
    return HierarchicalEpsilonPosterior.from_arrays(tp=tp, fp=fp, tn=300 - fp, fn=300 - tp, delta=DELTA)


def shadow_report(**changes: object) -> AuditReport:
    """An audit by shadow models: three attacks, several guesses about each of several models."""
    fields: dict[str, object] = {
        "claim": claim(8.0),
        "bound": bound(1.27, assumptions=("The attack and its threshold were fixed beforehand.", "One guess per model counts.")),
        "posterior": model_posterior(),
        "power": 0.81,
        "threat_model": {"What the attacker sees": "black box, final model", "Models": "64 trained, 4 attacked"},
        "settings": {"n_models": 64, "attack": "LiRA, fixed variance"},
        "title": "Digits classifier, shadow models",
        "membership": membership(),
    }
    return AuditReport(**(fields | changes))


def by_verdict() -> dict[str, AuditReport]:
    weak = EpsilonPosterior(AttackCounts(tp=22, fp=18, tn=232, fn=228), delta=DELTA)
    return {
        "violation": report(claim=claim(1.0)),
        "suspicious": report(conformance=conformance("noise_scale", "step_pairs"), bound=bound(0.0)),
        "consistent": report(),
        "tight": report(claim=claim(2.0), conformance=None, findings=()),
        "inconclusive": report(bound=bound(0.0), power=0.2, scores=None, posterior=weak, conformance=None),
    }


def hostile() -> AuditReport:
    """A report in which every string that a user may choose is hostile."""
    text = " ".join(HOSTILE)
    pairs = {f"{key} {k}": value for k, (key, value) in enumerate(zip(HOSTILE, reversed(HOSTILE), strict=True))}
    tests = (ConformanceTest(name=text, part="clipping", p_value=0.5, passed=True, finding=text),)
    return report(
        claim=claim(privacy_unit=text, mechanism=text, assumptions=HOSTILE),
        bound=bound(method=text, assumptions=HOSTILE),
        other_bounds=tuple(bound(1.0, method=word, assumptions=(word,)) for word in HOSTILE),
        conformance=ConformanceReport(tests=tests, level=0.95, epsilon_interval=(1.0, 2.0)),
        findings=tuple(Finding(word, "error", word) for word in HOSTILE),
        threat_model=pairs,
        settings={**pairs, "nist.bias": text, f"nist.{text}": text, "not_tested": list(HOSTILE), "nested": {text: [text]}},
        versions=pairs,
        seeds=pairs,
        title=text,
        membership=membership((*HOSTILE, text), failed_groups=HOSTILE),
    )


def edges() -> dict[str, AuditReport]:
    many = tuple(bound(0.1 * k, method=f"method {k}") for k in range(14))
    return {
        "bare": bare(),
        "hostile": hostile(),
        "infinite bound": report(bound=bound(math.inf), other_bounds=(bound(math.inf, approximate=True),)),
        "infinite claim": report(claim=claim(math.inf)),
        "zero claim": bare(claim=claim(0.0), bound=bound(0.0)),
        "tiny claim": report(claim=claim(1e-6), bound=bound(0.0)),
        "huge claim": report(claim=claim(123456.0)),
        "close call": bare(claim=claim(1.0), bound=bound(1.0004)),
        "many bounds": report(other_bounds=many),
        **shadow_reports(),
        **distribution_reports(),
    }


def shadow_reports() -> dict[str, AuditReport]:
    failed = ("Models 12 to 15: out of memory after 3 attempts.", "Model 40: the loss was not finite.")
    names = tuple(f"Attack number {k}" for k in range(14))
    large = tuple(ExposedRecord(10**9 + k, math.inf if k == 0 else -1e-9 * k, 12_345, 12_345) for k in range(3))
    few = membership(n_records=40, n_targets=1, most_exposed=(), references_in=(0, 0.0, 0))
    many = membership(names, most_exposed=large, references_in=(1, 1234.5, 12_345), n_models=100_000)
    claimless = claim(math.inf, mechanism="", assumptions=())
    return {
        "shadow models": shadow_report(membership=membership(failed_groups=failed)),
        "shadow models without a claim": shadow_report(claim=claimless, power=None),
        "a violation by shadow models": shadow_report(claim=claim(1.0)),
        "few guesses": shadow_report(membership=few, posterior=None, claim=claimless, bound=bound(0.0), power=1.0),
        "many attacks": shadow_report(membership=many, scores=scores()),
    }


def ratio_pair(p: float = 0.5, q: float = 0.2, *, right: tuple[int, int] = (150, 160), n: int = 200, **changes: object) -> RatioPair:
    """Three attacks on n victims of each world; the first is the chosen one."""
    k0, k1 = right

    def one(name: str, access: str, k0: int, k1: int, shadows: float | None) -> WorldsAttacked:
        return WorldsAttacked(name=name, access=access, counts=AttackCounts(tp=k1, fn=n - k1, tn=k0, fp=n - k0), shadow_accuracy=shadows)

    fields: dict[str, object] = {
        "p": p,
        "q": q,
        "attacks": (
            one("OutputMetaClassifier", "black box", k0, k1, 0.79),
            one("KLTest", "black box", (2 * k0 + n) // 3, k1, 0.74),
            one("LossTest", "label only", n // 2, n // 2 + 3, None),
        ),
        "chosen": "OutputMetaClassifier",
    }
    return RatioPair(**(fields | changes))


def distribution_evidence(**changes: object) -> DistributionEvidence:
    fields: dict[str, object] = {
        "pairs": (
            ratio_pair(0.5, 0.2),
            ratio_pair(0.5, 0.3, right=(140, 131)),
            ratio_pair(0.5, 0.4, right=(117, 104)),
            ratio_pair(0.5, 0.8, right=(163, 168)),
        ),
        "n_train": 1000,
        "n_shadow": 100,
        "sampling": "quota",
        "reach": 0.0117,
        "label_rate": (0.75, 0.25),
    }
    return DistributionEvidence(**(fields | changes))


SIZE_FINDING = (
    "size side channel: 1000 training records on average in world 0.5, 400 in world 0.2; a model's outputs show its training size, so part "
    "of the accuracy is of the size; fix it"
)


def distribution_reports() -> dict[str, AuditReport]:
    perfect = ratio_pair(right=(200, 200), findings=(SIZE_FINDING,), undefended=ratio_pair(right=(130, 140)).attack)
    defended = distribution_evidence(pairs=(perfect,), defense="each training sample is thinned to 160 records")
    counts = AttackCounts(tp=12, fn=8, tn=11, fp=9)
    strange = tuple(WorldsAttacked(name=name, access="white box", counts=counts) for name in (*HOSTILE, " ".join(HOSTILE)))
    spread = tuple(ratio_pair(0.5, k / 10, attacks=strange, chosen=HOSTILE[0], findings=HOSTILE) for k in range(11) if k != 5)
    many = distribution_evidence(pairs=spread, defense=" ".join(HOSTILE), sampling="iid", label_rate=())
    return {
        "a distribution": distribution_report(),
        "a distribution and a claim within reach": distribution_report(claim=claim(0.005)),
        "a distribution and a claim beyond reach": distribution_report(claim=claim(1.0)),
        "a claim that a distribution refutes": distribution_report(claim=claim(0.001)),
        "a defended distribution": distribution_report(distribution=defended),
        "many ratios": distribution_report(distribution=many),
        "worse than guessing": distribution_report(distribution=distribution_evidence(pairs=(ratio_pair(right=(40, 30)),))),
    }


def distribution_report(**changes: object) -> AuditReport:
    """An audit of a training distribution, without a claim."""
    fields: dict[str, object] = {
        "claim": claim(math.inf, mechanism="nothing is claimed", assumptions=()),
        "bound": bound(0.0021, method="distribution advantage", assumptions=("The attack was chosen beforehand.",)),
        "threat_model": {"attacker sees": "one trained model", "attacker knows": "both ratios"},
        "settings": {"records": 48842, "trainer": "multi-layer perceptron 32-16-8"},
        "title": "Adult census, share of women",
        "distribution": distribution_evidence(),
    }
    return AuditReport(**(fields | changes))
