"""MembershipEvidence: what it refuses, what it writes, and that no score leaves it."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from attacks.membership.attack_report import attack_report
from attacks.scores import MembershipScores
from privacy_audit.report.membership import ExposedRecord
from privacy_audit.report.statements import statements
from tests.report.example_reports import bare, bound, claim, conformance, membership, model_posterior, report, shadow_report


def through_json(record: object) -> dict:
    return json.loads(json.dumps(record, allow_nan=False))


def test_the_dictionary_holds_rates_counts_and_records() -> None:
    record = membership()
    facts = through_json(record.to_dict(level=0.9))
    first = record.scores["LiRA, fixed variance"]
    assert list(facts["attacks"]) == list(record.scores) == ["LiRA, fixed variance", "RMIA", "Loss"]
    assert facts["attacks"]["LiRA, fixed variance"] == through_json(attack_report(first, level=0.9).to_dict())
    assert facts["attacks"]["RMIA"]["auc"]["value"] == record.scores["RMIA"].auc
    assert (facts["n_members"], facts["n_non_members"]) == (first.n_members, first.n_non_members)
    assert facts["most_exposed"][0] == {"record": 0, "effect_size": 6.1, "n_in": 30, "n_out": 30}
    assert (facts["n_targets"], facts["n_models"], facts["registered"]) == (4, 64, "LiRA, fixed variance")
    assert (facts["references_in"], facts["references_out"]) == ([22, 30.0, 39], [21, 30.0, 38])
    assert facts["threat_model"] == "black box, final model"


def test_no_score_is_written() -> None:
    record = membership()
    numbers = {float(text) for text in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", json.dumps(record.to_dict()))}
    for scores in record.scores.values():
        assert not numbers & set(scores.score.tolist())
    assert not numbers & set(np.round(record.scores["RMIA"].score, 6).tolist())


def test_the_report_writes_it_at_its_own_level_and_only_if_there_is_one() -> None:
    assert bare().to_dict()["membership"] is None
    record = shadow_report(level=0.9)
    assert through_json(record.to_dict())["membership"] == through_json(record.membership.to_dict(level=0.9))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda record: pickle.loads(pickle.dumps(record))], ids=["copy", "pickle"])
def test_a_copy_says_the_same(copied) -> None:
    record = membership(failed_groups=("Model 3.",))
    again = copied(record)
    assert again.to_dict() == record.to_dict()
    assert all(again.scores[name].equals(scores) for name, scores in record.scores.items())
    assert not again.scores["RMIA"].score.flags.writeable


def test_the_callers_mapping_may_change_afterwards() -> None:
    mine = dict(membership().scores)
    record = membership(scores=mine)
    mine.clear()
    assert len(record.scores) == 3


def test_an_infinite_effect_size_is_json() -> None:
    assert through_json(ExposedRecord(3, math.inf, 2, 2).to_dict())["effect_size"] == "inf"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": {}}, "at least one attack"),
        ({"registered": "Lira"}, "registered must be one of 'LiRA, fixed variance', 'RMIA', 'Loss', got 'Lira'"),
        ({"n_models": 3}, "at least n_targets = 4, got 3"),
        ({"n_models": 64.5}, "n_models must be a whole number"),
        ({"n_targets": 0}, "n_targets must be a whole number >= 1"),
        ({"n_targets": 5}, "n_targets = 5 models, got 4"),
        ({"references_in": (3, 2.0, 5)}, "references_in must be .least, median, most"),
        ({"references_out": (3, 6.0, 5)}, "references_out must be .least, median, most"),
        ({"references_out": (3, math.nan, 5)}, "references_out must be .least, median, most"),
        ({"references_in": (-1, 2.0, 5)}, "whole number >= 0"),
        ({"most_exposed": tuple(ExposedRecord(k, 1.0, 2, 2) for k in range(21))}, "at most 20 records, got 21"),
        ({"most_exposed": (ExposedRecord(1, 2.0, 2, 2), ExposedRecord(1, 1.0, 2, 2))}, "each record once"),
        ({"most_exposed": (ExposedRecord(1, 1.0, 2, 2), ExposedRecord(2, 1.5, 2, 2))}, "largest effect size"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(membership(), **changes)


@pytest.mark.parametrize("fields", [(-1, 1.0, 2, 2), (0, math.nan, 2, 2), (0, 1.0, 0, 2), (0, 1.0, 2, 0.5)])
def test_an_exposed_record_has_models_of_both_kinds(fields: tuple) -> None:
    with pytest.raises(ValueError, match="must be a"):
        ExposedRecord(*fields)


def test_attacks_must_guess_about_the_same_records_in_any_order() -> None:
    one = membership().scores["RMIA"]
    shuffled = np.random.default_rng(2).permutation(len(one))
    parts = (one.score, one.member, one.model_id, one.example_id)
    again = MembershipScores(*(part[shuffled] for part in parts))
    assert membership(("a",), scores={"a": one, "b": again}).registered == "a"
    fewer = MembershipScores(*(part[:-1] for part in parts))
    flipped = MembershipScores(one.score, ~one.member, one.model_id, one.example_id)
    for other in (fewer, flipped):
        with pytest.raises(ValueError, match="same records of the same models, but 'b' and 'a' do not"):
            membership(("a",), scores={"a": one, "b": other})


def test_a_posterior_of_many_models_is_one_statement() -> None:
    record = shadow_report()
    row = next(row for row in statements(record) if row.role == "posterior")
    low, high = model_posterior().interval(0.95)
    assert (row.low, row.middle, row.high) == pytest.approx((low, model_posterior().median, high))
    assert row.method == "median and equal-tailed interval; rates vary between models, rho ~ Beta(0.5, 4.5)"
    assert row.assumptions == ("Models were trained independently.", "The threshold was not chosen on the models that are counted.")
    assert through_json(record.to_dict())["posterior"]["n_models"] == 4
    assert shadow_report(conformance=conformance("rate")).to_dict()["posterior"] is None


def test_a_posterior_of_many_models_may_make_the_verdict_suspicious() -> None:
    lower = float(model_posterior().interval(0.95, kind="lower")[0])
    record = shadow_report(claim=claim(0.9 * lower), bound=bound(0.0))
    assert record.verdict == "suspicious"
    assert record.headline.endswith("audit again with more models.")
    assert shadow_report(claim=claim(1.1 * lower), bound=bound(0.0)).verdict == "consistent"


def test_one_guess_per_model_reads_as_before() -> None:
    row = next(row for row in statements(report()) if row.role == "posterior")
    assert row.method == "median and equal-tailed interval; Beta(0.5, 0.5) prior of both error rates"
    assert row.assumptions[0] == "The trials of the attack are independent."
