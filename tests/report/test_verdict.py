import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms.guarantee import Neighboring
from privacy_audit.report.verdict import LEAST_POWER, TIGHT_SHARE, decide, headline
from tests.report.example_reports import bound, claim, conformance

epsilons = st.floats(0, 50)


@pytest.mark.parametrize(
    ("claimed", "shown", "more", "verdict"),
    [
        (1.0, 1.5, {}, "violation"),
        (1.0, math.inf, {}, "violation"),
        (0.0, 0.1, {}, "violation"),
        (1.0, 1.5, {"conformance": conformance("rate")}, "violation"),
        (1.0, 0.5, {"conformance": conformance("rate")}, "suspicious"),
        (1.0, 0.5, {"conformance": conformance("rate"), "power": 0.1}, "suspicious"),
        (1.0, 0.5, {"credible_lower": 1.1}, "suspicious"),
        (1.0, 0.95, {"credible_lower": 1.1}, "suspicious"),
        (1.0, 0.5, {"credible_lower": 1.0}, "consistent"),
        (1.0, 1.0, {}, "tight"),
        (1.0, TIGHT_SHARE, {"power": 0.1}, "tight"),
        (1.0, 0.89, {}, "consistent"),
        (0.0, 0.0, {}, "consistent"),
        (math.inf, 7.0, {}, "consistent"),
        (math.inf, 0.0, {"power": 0.1}, "consistent"),
        (math.inf, math.inf, {}, "consistent"),
        (math.inf, 7.0, {"credible_lower": 9.0}, "consistent"),
        (math.inf, 7.0, {"conformance": conformance("rate")}, "suspicious"),
        (1.0, 0.0, {"power": 0.49}, "inconclusive"),
        (1.0, 0.0, {"power": LEAST_POWER}, "consistent"),
        (1.0, 0.0, {"power": None}, "consistent"),
        (1.0, 0.5, {"conformance": conformance()}, "consistent"),
        (1.0, 0.5, {"reach": 1.0}, "inconclusive"),
        (1.0, 0.5, {"reach": 1.01}, "consistent"),
        (1.0, 0.95, {"reach": 0.97}, "tight"),
        (0.3, 0.5, {"reach": 0.5}, "violation"),
        (math.inf, 0.5, {"reach": 0.5}, "consistent"),
    ],
)
def test_rules(claimed: float, shown: float, more: dict, verdict: str) -> None:
    assert decide(claim(claimed), bound(shown), **more) == verdict


@given(claimed=epsilons, shown=epsilons, lower=st.none() | epsilons, power=st.none() | st.floats(0, 1))
def test_only_a_bound_with_proved_coverage_says_violation(claimed: float, shown: float, lower: float | None, power: float | None) -> None:
    proved = decide(claim(claimed), bound(shown), credible_lower=lower, power=power)
    assert (proved == "violation") == (shown > claimed)
    assert decide(claim(claimed), bound(shown, approximate=True), credible_lower=lower, power=power) != "violation"


def test_another_neighboring_relation_is_refused() -> None:
    with pytest.raises(ValueError, match="different neighboring relations"):
        decide(claim(), bound(neighboring=Neighboring.REPLACE))


def test_another_delta_is_refused() -> None:
    with pytest.raises(ValueError, match="same delta, got 1e-06 and 1e-05"):
        decide(claim(), bound(delta=1e-6))


@pytest.mark.parametrize("verdict", ["consistent", "tight"])
def test_silence_is_no_violation_found_and_never_private(verdict: str) -> None:
    sentence = headline(verdict, claim(), bound(), None)  # type: ignore[arg-type]
    assert sentence.startswith("No violation found")
    assert "private" not in sentence.lower()


def test_a_failed_test_is_named() -> None:
    sentence = headline("suspicious", claim(), bound(), conformance("noise_scale", "rate"))
    assert "its tests of noise scale and sampling failed" in sentence
    assert "protects nothing" not in sentence
    assert "protects nothing" in headline("suspicious", claim(), bound(), conformance("step_pairs"))


def test_a_close_call_shows_the_digits_that_decide() -> None:
    assert headline("violation", claim(1.0), bound(1.0004), None) == (
        "The claim is false: epsilon 1 was claimed, but the attack proves at least epsilon 1.0004 at level 0.95."
    )
    assert "at least epsilon ∞" in headline("violation", claim(1.0), bound(math.inf), None)


@pytest.mark.parametrize(
    ("shown", "more", "end"),
    [
        (1.27, None, "epsilon 1.27."),
        (0.0, None, "epsilon 0."),
        (1.0, conformance(), "epsilon 1 and the engine passed every conformance test."),
    ],
)
def test_an_infinite_claim_claims_nothing(shown: float, more: object, end: str) -> None:
    sentence = headline("consistent", claim(math.inf), bound(shown), more)  # type: ignore[arg-type]
    assert sentence == f"No finite epsilon is claimed; the attack shows at least {end}"


@pytest.mark.parametrize("verdict", ["suspicious", "inconclusive"])
def test_a_stronger_audit_needs_more_of_what_it_had(verdict: str) -> None:
    assert headline(verdict, claim(), bound(), None).endswith("more canaries.")  # type: ignore[arg-type]
    assert headline(verdict, claim(), bound(), None, trials="models").endswith("more models.")  # type: ignore[arg-type]
