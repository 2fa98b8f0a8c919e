"""DistributionEvidence: what it refuses and writes, that it stands alone in a report, and which verdicts it leads to."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import pytest

from attacks.distribution.ideal_observer import acc_ideal
from attacks.distribution.leakage import n_leaked
from attacks.scores import AttackCounts
from mechanisms.guarantee import Neighboring
from privacy_audit.report.distribution import WorldsAttacked
from privacy_audit.report.distribution_words import NO_VIOLATION, NOT_CONCLUDED
from tests.report.example_reports import (
    bare,
    bound,
    claim,
    conformance,
    distribution_evidence,
    distribution_report,
    membership,
    ratio_pair,
    report,
    scores,
)


def through_json(record: object) -> dict:
    return json.loads(json.dumps(record, allow_nan=False))


def test_the_dictionary_holds_counts_readings_and_what_is_not_concluded() -> None:
    evidence = distribution_evidence()
    facts = through_json(evidence.to_dict(level=0.9))
    first = facts["pairs"][0]
    assert first["ratios"] == [0.5, 0.2]
    assert first["chosen"] == "OutputMetaClassifier"
    assert first["attacks"]["OutputMetaClassifier"] == {
        "access": "black box",
        "shadow_accuracy": 0.79,
        "accuracy": 0.775,
        "right_in_world_0": 150,
        "victims_of_world_0": 200,
        "right_in_world_1": 160,
        "victims_of_world_1": 200,
    }
    assert first["reading"]["n_leaked_exact"] == n_leaked(0.775, 0.5, 0.2) == 6
    assert first["reading"]["level"] == 0.9
    assert facts["not_concluded"] == list(NOT_CONCLUDED)
    assert facts["n_victims"] == 1600
    assert facts["pooled"]["kind"] == "credible"


def test_the_published_figures_of_a_pair() -> None:
    # 150 of 200 and 160 of 200 at (.5, .2): accuracy [.732, .814], n 5 [4, 7], published 0.77
    reading = distribution_evidence().readings()["0.5 against 0.2"]
    assert (reading.accuracy.low, reading.accuracy.high) == pytest.approx((0.732, 0.814), abs=0.0015)
    assert reading.n_leaked.median == pytest.approx(5, abs=0.3)
    assert 3.3 < reading.n_leaked.low < 4.2
    assert 6.6 < reading.n_leaked.high < 7.3
    assert reading.published.median == pytest.approx(0.77, abs=0.03)
    assert reading.at_zero < 1e-6


def test_every_victim_right_has_a_proper_posterior() -> None:
    # 200 of 200 twice at (.5, .2): median 81, 95 % [54, 139]
    reading = distribution_evidence(pairs=(ratio_pair(right=(200, 200)),)).readings()["0.5 against 0.2"]
    assert reading.exact == math.inf
    assert reading.n_leaked.median == pytest.approx(81, abs=2)
    assert (reading.n_leaked.low, reading.n_leaked.high) == pytest.approx((54, 139), abs=4)
    assert math.isfinite(reading.published.high)
    assert through_json(reading.to_dict())["n_leaked_exact"] == "inf"


def test_worse_than_guessing_leaks_nothing() -> None:
    reading = distribution_evidence(pairs=(ratio_pair(right=(40, 30)),)).readings()["0.5 against 0.2"]
    assert (reading.exact, reading.n_leaked.low, reading.n_leaked.high, reading.published.high) == (0, 0, 0, 0)
    assert reading.at_zero == pytest.approx(1, abs=1e-9)


def test_readings_do_not_depend_on_which_world_is_named_first() -> None:
    there = ratio_pair(0.5, 0.2, right=(150, 160))
    back = ratio_pair(0.2, 0.5, right=(160, 150))
    first, second = (distribution_evidence(pairs=(pair,)).readings()[pair.name] for pair in (there, back))
    assert first.n_leaked.median == pytest.approx(second.n_leaked.median, rel=1e-6)


def test_one_pair_is_not_pooled() -> None:
    assert distribution_evidence(pairs=(ratio_pair(),)).pooled() is None
    assert through_json(distribution_evidence(pairs=(ratio_pair(),)).to_dict())["pooled"] is None


def test_findings_are_named_with_their_ratios() -> None:
    evidence = distribution_evidence(pairs=(ratio_pair(findings=("size side channel",)), ratio_pair(0.5, 0.3)))
    assert evidence.findings == ("0.5 against 0.2: size side channel",)


@pytest.mark.parametrize("name", ["membership", "scores", "posterior", "conformance"])
def test_it_is_never_pooled_with_evidence_about_records(name: str) -> None:
    beside = {"membership": membership(), "scores": scores(), "posterior": report().posterior, "conformance": conformance()}
    with pytest.raises(ValueError, match="never pooled"):
        distribution_report(**{name: beside[name]})


def test_a_report_writes_it_at_its_own_level() -> None:
    assert bare().to_dict()["distribution"] is None
    record = distribution_report(level=0.8)
    assert through_json(record.to_dict())["distribution"] == through_json(record.distribution.to_dict(level=0.8))
    assert copy.deepcopy(record).to_dict() == record.to_dict()


@pytest.mark.parametrize(
    ("claimed", "shown", "verdict", "words"),
    [
        (0.001, 0.0021, "violation", "1,600 victim models tell more"),
        (0.0022, 0.0021, "tight", "shown by 1,600 victim models"),
        (0.005, 0.0021, "consistent", "is claimed, the victim models show at least epsilon 0.0021"),
        (0.0117, 0.0021, "inconclusive", "would show only epsilon 0.0117"),
        (1.0, 0.0021, "inconclusive", "would show only epsilon 0.0117"),
        (math.inf, 0.0021, "consistent", "No finite epsilon is claimed."),
        (math.inf, math.inf, "consistent", "No finite epsilon is claimed."),
    ],
)
def test_verdicts(claimed: float, shown: float, verdict: str, words: str) -> None:
    record = distribution_report(claim=claim(claimed), bound=bound(shown))
    assert record.verdict == verdict
    assert words in record.headline
    assert (NO_VIOLATION in record.headline) == (verdict in ("consistent", "inconclusive"))
    assert "private" not in record.headline.replace("differential privacy", "")


def test_a_replacement_claim_needs_a_replacement_bound() -> None:
    replaced = replace(claim(1.0), neighboring=Neighboring.REPLACE)
    assert distribution_report(claim=replaced, bound=bound(0.004, neighboring=Neighboring.REPLACE)).verdict == "inconclusive"
    with pytest.raises(ValueError, match="different neighboring relations"):
        distribution_report(claim=replaced)


COUNTS = AttackCounts(tp=5, fn=5, tn=5, fp=5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ratio_pair(0.5, 0.5), "must differ, got 0.5 twice"),
        (lambda: ratio_pair(0.5, 1.5), "q must be in"),
        (lambda: ratio_pair(chosen="nobody"), "chosen must be one of"),
        (lambda: ratio_pair(attacks=()), "at least one"),
        (lambda: ratio_pair(attacks=(ratio_pair().attack,) * 2), "names that differ"),
        (
            lambda: ratio_pair(attacks=(ratio_pair().attack, WorldsAttacked(name="b", access="black box", counts=COUNTS))),
            "same victims",
        ),
        (lambda: WorldsAttacked(name="a", access="x-ray", counts=COUNTS), "access must be one of"),
        (lambda: WorldsAttacked(name="a", access="black box", counts=COUNTS, shadow_accuracy=1.2), "shadow_accuracy"),
        (lambda: distribution_evidence(pairs=()), "at least one pair"),
        (lambda: distribution_evidence(pairs=(ratio_pair(), ratio_pair(0.2, 0.5))), "none twice"),
        (lambda: distribution_evidence(n_train=0), "n_train"),
        (lambda: distribution_evidence(n_shadow=1), "n_shadow"),
        (lambda: distribution_evidence(sampling="urn"), "sampling"),
        (lambda: distribution_evidence(reach=-1.0), "reach"),
    ],
)
def test_what_does_not_fit_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_pairs_that_leak_equally_much_are_pooled_to_that_number() -> None:
    """Counts at the ideal observer's own rates for 34 records, so that every pair says 34."""
    pairs = []
    for q in (0.2, 0.3, 0.4, 0.7):
        right = round(2000 * acc_ideal(34, 0.5, q))
        pairs.append(ratio_pair(0.5, q, right=(right, right), n=2000))
    evidence = distribution_evidence(pairs=tuple(pairs))
    pooled = evidence.pooled(level=0.9)
    assert pooled.n_leaked.low < 34 < pooled.n_leaked.high
    assert pooled.n_leaked.high / pooled.n_leaked.low < 1.5
    assert 1 <= pooled.factor < 1.3
    uneven = replace(evidence, pairs=(*pairs[:2], ratio_pair(0.5, 0.4, right=(1050, 1040), n=2000)))
    assert uneven.pooled().factor > pooled.factor
