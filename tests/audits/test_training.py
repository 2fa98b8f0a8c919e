"""The audit of a training run, end to end on real Opacus runs."""

import json
from dataclasses import replace

import pytest

from attacks.canaries.probe import CanaryProbe
from experiments.planted_engine import Setting, setting_for, train
from mechanisms.accounting.dp_sgd import dp_sgd_epsilon
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.audits.power import one_run_power
from privacy_audit.audits.training import audit_result, audit_training

SURE = 1 - 1e-5  # a clean run is called broken with probability 1e-5
DELTA = 1e-9  # small enough that the bound can reach that level with 1,000 canaries
SHORT = Setting(steps=60)


def claim_of(epsilon: float, **fields) -> PrivacyGuarantee:
    return PrivacyGuarantee(**({"epsilon": epsilon, "delta": DELTA, "neighboring": Neighboring.ADD_REMOVE} | fields))


@pytest.fixture(scope="module")
def run():
    probe = CanaryProbe(1000, rng=3)
    train(probe, SHORT)
    return probe.result()


def test_a_sound_run_is_consistent(rng, tmp_path):
    told = []
    report = audit_training(
        lambda probe: train(probe, SHORT), delta=DELTA, level=SURE, rng=rng, progress=lambda *step: told.append(step), title="digits"
    )
    assert report.verdict == "consistent"
    assert report.conformance.passed
    assert report.claim.epsilon == pytest.approx(
        dp_sgd_epsilon(sample_rate=1 / 15, noise_multiplier=1.0, steps=60, delta=DELTA).epsilon, rel=1e-9
    )  # accountant at q = 1/15, sigma = 1, 60 steps
    assert report.bound.epsilon < report.claim.epsilon
    low, high = report.conformance.epsilon_interval
    assert low < report.claim.epsilon < high
    assert report.power > 0.5
    assert told[0][:2] == (0, 5)
    assert told[-1][:2] == (5, 5)
    page, record = report.to_html(tmp_path / "r.html"), report.to_json(tmp_path / "r.json")
    assert "digits" in page.read_text()
    facts = json.loads(record.read_text())
    assert facts["verdict"] == "consistent"
    assert facts["bound"]["epsilon"] == report.bound.epsilon
    assert facts["seeds"]


def test_one_seed_one_report_for_one_run(run):
    first, second = (audit_result(run, delta=DELTA, rng=5).to_dict() for _ in range(2))
    assert first == second


def test_a_bound_above_the_claim_is_a_violation(run):
    report = audit_result(run, delta=DELTA, claim=claim_of(0.01), level=0.95, rng=1)
    assert report.bound.epsilon > 0.01
    assert report.verdict == "violation"
    assert report.contradicted
    assert "claim_is_accounted" in [test.name for test in report.conformance.failures]


def test_a_claim_that_the_accountant_does_not_prove_is_suspicious(run):
    report = audit_result(run, delta=DELTA, claim=claim_of(3.0), level=SURE, rng=1)
    assert report.verdict == "suspicious"
    assert report.conformance.broken == ("accounting",)
    assert report.posterior is None
    assert report.conformance.epsilon_interval is None


def test_a_looser_claim_than_the_accountants_is_tested_as_it_stands(run):
    report = audit_result(run, delta=DELTA, claim=claim_of(12.0, mechanism="DP-SGD"), level=SURE, rng=1)
    assert report.claim.epsilon == 12.0
    assert report.verdict == "consistent"
    assert report.conformance["claim_is_accounted"].passed


def test_a_broken_engine_is_named_and_gets_no_posterior(rng):
    report = audit_training(lambda probe: train(probe, setting_for("noise_x_0.5", steps=60)), delta=DELTA, rng=rng)
    assert report.verdict in ("suspicious", "violation")
    assert report.conformance.broken == ("noise scale",)
    assert report.posterior is None
    assert "noise scale" in report.headline or report.verdict == "violation"


def test_reused_noise_protects_nothing(rng):
    report = audit_training(lambda probe: train(probe, setting_for("noise_reused_each_epoch", steps=60)), delta=DELTA, rng=rng)
    assert report.contradicted
    assert report.conformance.noise_is_reused


def test_few_canaries_are_inconclusive(rng):
    report = audit_training(lambda probe: train(probe, SHORT), delta=DELTA, n_canaries=8, level=SURE, rng=rng)
    assert report.verdict == "inconclusive"
    assert report.power < 0.5


def test_power_grows_with_canaries_and_with_the_claim():
    def power(epsilon, n):
        return one_run_power(claim_of(epsilon), n_canaries=n, n_in=n // 4, n_out=n // 4, level=0.95, rng=1)

    assert power(0.05, 1000) < 0.5 < power(4.0, 1000)
    assert power(2.0, 20) < power(2.0, 1000)
    assert power(0.0, 100) == 0.0
    assert power(float("inf"), 100) == 1.0


def test_power_of_a_pure_claim_uses_randomized_response():
    pure = claim_of(2.0, delta=0.0)
    assert one_run_power(pure, n_canaries=400, n_in=100, n_out=100, level=0.95, rng=1) == 1.0


def test_findings_of_preflight_are_in_the_report(rng):
    report = audit_training(lambda probe: train(probe, setting_for("shuffled", steps=30)), delta=DELTA, rng=rng, n_canaries=200)
    assert "not_poisson" in [finding.name for finding in report.findings]


class TestRefusals:
    def test_claims(self):
        for claim, message in [
            (claim_of(1.0, neighboring=Neighboring.REPLACE), "add_remove"),
            (claim_of(1.0, delta=1e-6), "same delta"),
        ]:
            with pytest.raises(ValueError, match=message):
                audit_training(lambda probe: None, delta=DELTA, claim=claim)
        with pytest.raises(TypeError, match="PrivacyGuarantee"):
            audit_training(lambda probe: None, delta=DELTA, claim=8.0)

    @pytest.mark.parametrize(("name", "value"), [("delta", 1e5), ("delta", -1), ("level", 95), ("n_canaries", 0)])
    def test_numbers(self, name, value):
        with pytest.raises(ValueError, match=name):
            audit_training(lambda probe: None, **({"delta": 1e-5} | {name: value}))

    def test_errors_of_the_training_function_pass_through(self):
        def broken(probe):
            raise RuntimeError("out of memory")

        with pytest.raises(RuntimeError, match="out of memory"):
            audit_training(broken, delta=DELTA)

    def test_reports_are_frozen(self, run):
        report = audit_result(run, delta=DELTA, rng=1)
        with pytest.raises(AttributeError):
            report.level = 0.5
        assert replace(report, title="other").title == "other"
