"""The engine's posterior and the curve tests in a report: shown, escaped, withheld, and what they may decide."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.curves.curve_test_record import CurveTest
from privacy_audit.estimate.signals.raw_signal_record import RawSignalPosterior
from privacy_audit.report.html import render
from privacy_audit.report.statements import statements
from privacy_audit.report.verdict import curve_is_refuted, decide, headline
from tests.report.example_reports import DELTA, HOSTILE, bound, claim, conformance, report


def engine_posterior(**changes: object) -> RawSignalPosterior:
    draws = np.random.default_rng(1).normal(6.45, 0.17, 400)
    fields: dict[str, object] = {
        "epsilon": draws,
        "noise_multiplier": draws / 6.45,
        "sample_rate": draws / 100,
        "clipped_length": draws / 6.45,
        "weight": np.full(400, 1 / 400),
        "delta": DELTA,
        "view": "V2",
        "method": "closed form",
        "effective_size": 1.0,
        "n_canaries": 1000,
        "steps": 200,
    }
    return RawSignalPosterior(**(fields | changes))


def curve_test(p_value: float = 0.4, **changes: object) -> CurveTest:
    fields: dict[str, object] = {"method": "auc_kl", "kind": "bound", "p_value": p_value, "level": 0.975, "statistic": 0.79}
    fields |= {"expected": 0.7875, "n_members": 500, "n_non_members": 500, "assumptions": ("fair coins",)}
    return CurveTest(**(fields | changes))


def test_the_page_shows_both_and_stays_small() -> None:
    tests = tuple(
        curve_test(method=method, kind=kind) for method, kind in (("auc_kl", "bound"), ("e_value", "bound"), ("auc_normal", "conformance"))
    )
    record = report(engine_posterior=engine_posterior(), curve_tests=tests)
    page = render(record)
    assert len(page.encode()) < 500_000
    for words in (
        "Engine posterior",
        "Engine’s epsilon",
        "all noisy updates and the batch log",
        "Tests of the claimed curve",
        "Betting",
        "(approximate)",
    ):
        assert words in page
    facts = json.loads(json.dumps(record.to_dict(), allow_nan=False))
    assert facts["engine_posterior"]["view"] == "V2"
    assert [test["method"] for test in facts["curve_tests"]] == ["auc_kl", "e_value", "auc_normal"]
    assert record.verdict == "consistent"


def test_the_engine_posterior_is_one_more_credible_statement() -> None:
    rows = statements(report(engine_posterior=engine_posterior()))
    row = next(row for row in rows if row.role == "engine posterior")
    assert (row.kind, row.name) == ("credible", "Engine posterior")
    assert row.low < row.middle < row.high
    assert "no bound" in row.meaning
    assert [other.role for other in rows].index("engine posterior") == [other.role for other in rows].index("posterior") + 1


def test_hostile_words_are_escaped() -> None:
    text = " ".join(HOSTILE)
    page = render(report(curve_tests=(curve_test(method=text, assumptions=HOSTILE),), engine_posterior=engine_posterior(method=text)))
    assert "<script>alert(1)</script>" not in page
    assert "<img src=x" not in page


def test_a_failed_conformance_test_withholds_it() -> None:
    record = report(engine_posterior=engine_posterior(), conformance=conformance("rate"))
    assert record.to_dict()["engine_posterior"] is None
    assert not [row for row in statements(record) if row.role == "engine posterior"]
    assert "Engine’s epsilon" not in render(record)


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        (curve_test(0.4), "consistent"),
        (curve_test(0.001), "suspicious"),
        (curve_test(1e-9, kind="conformance", method="auc_normal"), "consistent"),
        (curve_test(0.03), "consistent"),  # above the shared level
    ],
)
def test_what_a_curve_test_may_decide(test: CurveTest, verdict: str) -> None:
    assert decide(claim(), bound(), curve_tests=(test,)) == verdict
    assert report(curve_tests=(test,)).verdict == verdict
    assert decide(claim(1.0), bound(1.5), curve_tests=(test,)) == "violation"
    assert curve_is_refuted((test,)) == (verdict == "suspicious")


def test_the_engine_posterior_decides_nothing() -> None:
    above = engine_posterior(epsilon=np.full(400, 50.0))
    assert report(engine_posterior=above).verdict == report().verdict


def test_a_refuted_curve_is_named_without_an_epsilon_of_its_own() -> None:
    sentence = headline("suspicious", claim(), bound(), conformance(), (curve_test(1e-6),))
    assert "not as private as the privacy curve" in sentence
    assert "points above" in headline("suspicious", claim(), bound(), None)


def test_another_relation_or_delta_is_refused() -> None:
    with pytest.raises(ValueError, match="different neighboring relations"):
        report(engine_posterior=replace(engine_posterior(), neighboring=Neighboring.REPLACE))
    with pytest.raises(ValueError, match="claim's delta"):
        report(engine_posterior=replace(engine_posterior(), delta=1e-6))
