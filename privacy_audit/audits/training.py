"""Audit of a DP-SGD training run: train(probe) -> signals -> scores -> counts -> bound, posterior, conformance -> AuditReport.

The user's own training code runs once, unchanged but for the probe. What decides, and why:

- bound: one-run guesses (Steinke, Nasr, Jagielski 2023) on the exact log-likelihood ratio of all steps, a sixteenth of the canaries guessed
  in and a sixteenth out, fixed before the coins are looked at. It assumes independent fair coins and nothing else.
- further bounds, each with assumptions of its own, among them three within the family of curves of the accountant's rate and steps;
- curve tests: are the scores such as the accountant's privacy curve allows? They can make a run suspicious, no more.
- posterior: counts at a threshold chosen on one half of the canaries and counted on the other half.
- engine posterior: epsilon of the noise, rate and clipped length that the raw signals show, in the sharpest view that the run allows.
- conformance: raw signals against what the accountant was told; after a failure no posterior and no interval of epsilon is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from attacks.scores import MembershipScores
from mechanisms.accounting.dp_sgd import dp_sgd_epsilon
from mechanisms.accounting.loss_curve import LEAST_DELTA
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.json_ready import JsonValue
from mechanisms.randomness import RngLike, as_generator, root_entropy
from mechanisms.validation import probability_level, valid_delta
from privacy_audit.audits.curve_evidence import CurveEvidence, curve_evidence
from privacy_audit.audits.power import one_run_power
from privacy_audit.audits.provenance import Progress, require_audited_neighbors, silent, versions
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.conformance import check_conformance
from privacy_audit.estimate.one_run import one_run_bound, one_run_guesses
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.raw_signals import raw_signal_posterior
from privacy_audit.estimate.signals.conformance_report import ConformanceReport, ConformanceTest
from privacy_audit.estimate.thresholds import audit_scores, split_counts
from privacy_audit.report.record import AuditReport

if TYPE_CHECKING:
    from attacks.canaries.probe import CanaryProbe
    from attacks.canaries.result import CanaryResult

STAGES = 5
LEAST_GUESSES = 20  # a side; fewer can't reach a useful level
TOOLS = ("privacy-audit", "torch", "opacus", "dp-accounting", "numpy", "scipy")


def audit_training(
    train: Callable[[CanaryProbe], object],
    *,
    delta: float,
    n_canaries: int = 1000,
    claim: PrivacyGuarantee | None = None,
    level: float = 0.95,
    rng: RngLike = None,
    progress: Progress | None = None,
    title: str = "Audit of a DP-SGD training run",
) -> AuditReport:
    """Run the user's training code once with canaries in it, and report what its epsilon looks like.

    Parameters
    ----------
    train : the user's own training code; must call probe.wrap before and probe.attach after `make_private`. Its return value is ignored.
    delta : where epsilon is claimed and bounded.
    n_canaries : coins thrown; about half of the canaries are added to the data.
    claim : the guarantee to test (add/remove neighbors, the same delta); None tests what the run's own accountant proves.
    level : probability content of every interval and bound.
    rng : int, numpy Generator or None, for coins and splits; never for the noise of training.
    progress : called with (done, total, label).
    title : heading of the report.

    Returns
    -------
    The report. Its bound holds under add/remove neighbors for any training code, if the coins are independent of it.

    Raises
    ------
    ValueError : delta, level or n_canaries out of range, or a claim about other neighbors or another delta.
    PrivacyAuditError : the probe was not used as described.
    """
    from attacks.canaries.probe import CanaryProbe

    delta, level = valid_delta(delta), probability_level(level)
    require_audited_neighbors(claim, delta)
    tell = progress or silent
    generator = as_generator(rng)
    coins, analysis = generator.spawn(2)
    probe = CanaryProbe(n_canaries, rng=coins)
    tell(0, STAGES, "training with canaries")
    train(probe)
    report = audit_result(probe.result(), delta=delta, claim=claim, level=level, rng=analysis, progress=tell, title=title)
    return replace(report, seeds={**report.seeds, "coins and splits": root_entropy(generator)}, findings=tuple(probe.findings))


def audit_result(
    result: CanaryResult,
    *,
    delta: float,
    claim: PrivacyGuarantee | None = None,
    level: float = 0.95,
    rng: RngLike = None,
    progress: Progress | None = None,
    title: str = "Audit of a DP-SGD training run",
) -> AuditReport:
    """Turn the signals of a finished run into a report; `audit_training` without the training.

    Parameters, errors and guarantee are those of `audit_training`.
    """
    delta, level = valid_delta(delta), probability_level(level)
    require_audited_neighbors(claim, delta)
    tell = progress or silent
    for_conformance, for_split, for_power, for_engine = as_generator(rng).spawn(4)
    tell(1, STAGES, "accounting")
    accounted = accounted_guarantee(result, delta=delta)
    tell(2, STAGES, "conformance tests")
    conformance = check_conformance(result, level=level, delta=delta, rng=for_conformance)
    claim, conformance = _settle_claim(claim, accounted, conformance)
    tell(3, STAGES, "bounds and posterior")
    scores = result.scores
    n_side = guesses_per_side(result.n_canaries)
    curves = curve_evidence(result, scores["all_steps"], n_side=n_side, delta=delta, level=level)
    bound, others = _bounds(scores, curves, n_side=n_side, delta=delta, level=level)
    counts, _ = split_counts(scores["all_steps"], delta=delta, rng=for_split)
    tell(4, STAGES, "power of this audit")
    power = one_run_power(claim, n_canaries=result.n_canaries, n_in=n_side, n_out=n_side, level=level, rng=for_power)
    tell(STAGES, STAGES, "done")
    return AuditReport(
        claim=claim,
        bound=bound,
        other_bounds=others,
        posterior=EpsilonPosterior(counts, delta=delta) if conformance.passed else None,
        engine_posterior=raw_signal_posterior(result, delta=delta, conformance=conformance, rng=for_engine)
        if conformance.passed and delta >= LEAST_DELTA
        else None,
        conformance=conformance,
        curve_tests=curves.tests,
        scores=scores["all_steps"],
        power=power,
        level=level,
        threat_model=_threat_model(result),
        settings=_settings(result, n_side=n_side),
        versions=versions(*TOOLS),
        seeds={"coins": result.entropy},
        title=title,
    )


def guesses_per_side(n_canaries: int) -> int:
    """Return how many canaries are guessed in, and as many out: fixed by their number alone, before any score is seen.

    Few sure guesses show more than many unsure ones: at a true epsilon of 6.5 and 1,000 canaries the mean bound is 1.9 for a sixteenth on
    each side and 1.3 for a quarter (simulated ideal engine, experiments/e_guess_counts.py).
    """
    return max(min(n_canaries // 2, LEAST_GUESSES), n_canaries // 16)


def accounted_guarantee(result: CanaryResult, *, delta: float) -> PrivacyGuarantee:
    """Return what the accountant was told, put through dp-accounting's PLD; without any counted step, those seen are charged."""
    claimed = result.claimed
    steps = claimed.steps or result.steps
    return dp_sgd_epsilon(sample_rate=claimed.sample_rate, noise_multiplier=claimed.noise_multiplier, steps=steps, delta=delta)


def _settle_claim(
    claim: PrivacyGuarantee | None, accounted: PrivacyGuarantee, conformance: ConformanceReport
) -> tuple[PrivacyGuarantee, ConformanceReport]:
    """Without a claim the accountant's is tested; a claim below the accountant's is one more finding: nothing proves it."""
    if claim is None:
        return accounted, conformance
    proved = accounted.epsilon <= claim.epsilon * (1 + 1e-6)
    check = ConformanceTest(
        name="claim_is_accounted",
        part="accounting",
        p_value=None,
        passed=proved,
        finding=f"epsilon {claim.epsilon:.4g} is claimed, the run's own history gives {accounted.epsilon:.4g}",
    )
    if proved:
        return claim, replace(conformance, tests=(check, *conformance.tests))
    return claim, ConformanceReport(tests=(check, *conformance.tests), level=conformance.level)


def _bounds(
    scores: dict[str, MembershipScores], curves: CurveEvidence, *, n_side: int, delta: float, level: float
) -> tuple[EpsilonBound, tuple[EpsilonBound, ...]]:
    all_steps, final = scores["all_steps"], scores["final_weights"]
    n = len(all_steps)

    def one_run(which: MembershipScores) -> EpsilonBound:
        guesses, correct = one_run_guesses(which, n_in=n_side, n_out=n_side)
        return one_run_bound(n_canaries=n, n_guesses=guesses, n_correct=correct, delta=delta, level=level)

    ordered = audit_scores(all_steps, delta=delta, level=level)
    return one_run(all_steps), (
        replace(ordered, method=f"{ordered.method}, all steps", assumptions=(*ordered.assumptions, "canaries do not influence each other")),
        replace(one_run(final), method="binomial, final weights only"),
        *curves.bounds,
    )


def _threat_model(result: CanaryResult) -> dict[str, str]:
    return {
        "attacker sees": "every noisy update of the canaries' coordinates (white box, all steps)",
        "attacker chooses": "canary records with a gradient of clipping norm on a coordinate of their own",
        "training runs": "1",
        "canaries": f"{result.n_canaries}, each in the data by a fair coin ({int(result.member.sum())} were in)",
        "read from": "differences of the released weights"
        if result.readout == "weights"
        else "the noisy gradient, before the optimizer's step",
        "effect on the run": f"{int(result.member.sum())} canary records took part in sampling and gave the user's weights no gradient",
    }


def _settings(result: CanaryResult, *, n_side: int) -> dict[str, JsonValue]:
    claimed, engine = result.claimed, result.engine
    return {
        "noise multiplier (accountant)": claimed.noise_multiplier,
        "sample rate (accountant)": claimed.sample_rate,
        "steps (accountant)": claimed.steps,
        "steps (seen)": result.steps,
        "clipping norm": engine.max_grad_norm,
        "expected batch size": engine.expected_batch_size,
        "records, canaries included": engine.n_records,
        "optimizer": engine.optimizer,
        "guesses": f"{n_side} in, {n_side} out, fixed in advance",
        "posterior's counts": "at a threshold chosen on one half of the canaries, counted on the other half",
        "not_tested": "The user's own layers and loss: errors in their per-record gradients do not show on the canaries' coordinates.",
        "AUC of all steps": round(result.scores["all_steps"].auc, 4),
        "AUC of final weights": round(result.scores["final_weights"].auc, 4),
        "nist.mechanism": "DP-SGD: Poisson sampling, per-record clipping, Gaussian noise",
        "nist.accounting method": "privacy loss distributions, pessimistic (dp-accounting)",
        "nist.noise source": "cryptographic generator (secure_mode)"
        if engine.secure_mode
        else "floating-point torch noise, secure_mode off",
        "nist.releases composed": f"{claimed.steps} optimizer steps of one training run",
    }
