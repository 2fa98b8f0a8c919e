"""Attack report and vulnerability: values, sentences, intervals that cover, JSON and HTML without records' values."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom

from attacks import MembershipScores, attack_report, vulnerability
from attacks.membership.attack_report import Metric
from attacks.membership.metrics import auc_interval, balanced_accuracy_interval, tpr_at_fpr_interval
from mechanisms.errors import InsufficientEvidenceError


def gaussian(mu: float, n: int, *, rng: np.random.Generator) -> MembershipScores:
    member = np.arange(2 * n) < n
    return MembershipScores(rng.normal(size=2 * n) + mu * member, member)


def test_report_holds_the_metrics(rng: np.random.Generator):
    scores = gaussian(1.0, 2000, rng=rng)
    report = attack_report(scores, level=0.9)
    assert report.auc == Metric(scores.auc, *auc_interval(scores, 0.9))
    for f, metric in ((0.01, report.tpr_at_fpr_1e_2), (0.001, report.tpr_at_fpr_1e_3), (0, report.tpr_at_zero_fp)):
        assert metric == Metric(scores.tpr_at_fpr(f), *tpr_at_fpr_interval(scores, f, 0.9))
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text)["auc"]["value"] == scores.auc
    assert f"{scores.auc:.4g}" in report._repr_html_()


def test_what_cannot_be_shown_is_a_sentence(rng: np.random.Generator):
    report = attack_report(gaussian(1.0, 400, rng=rng))
    assert isinstance(report.tpr_at_fpr_1e_2, Metric)
    assert report.tpr_at_fpr_1e_3 == "needs >= 1000 non-members, got 400"
    assert "needs &gt;= 1000 non-members" in report._repr_html_()
    tiny = attack_report(MembershipScores([1, 0], [1, 0]))
    assert tiny.auc == "needs >= 2 members and 2 non-members, got 1 and 1"
    assert tiny.to_dict()["auc"] == tiny.auc


def test_balanced_accuracy_interval_covers_the_best_threshold(rng: np.random.Generator):
    """True best value Phi(mu / 2) of the Gaussian pair; 400 data sets at level 0.8: misses binomial with p <= 0.2. Below 1e-6."""
    misses = 0
    for _ in range(400):
        low, high = balanced_accuracy_interval(gaussian(0.6, 50, rng=rng), 0.8)
        misses += not low <= ndtr(0.3) <= high
    assert binom.sf(misses - 1, 400, 0.2) > 1e-6


def test_level_is_a_probability(rng: np.random.Generator):
    with pytest.raises(ValueError, match="did you mean 0.95"):
        attack_report(gaussian(1.0, 10, rng=rng), level=95)


# --- vulnerability ---


def test_effect_size_equals_the_loop(rng: np.random.Generator):
    signals, member = rng.normal(size=(9, 12)), rng.random((9, 12)) < 0.5
    member[0], member[1] = True, False
    effect = vulnerability(signals, member).effect_size
    sides = [[signals[mask[:, i], i] for i in range(12)] for mask in (member, ~member)]
    squares = np.array([sum(((side[i] - side[i].mean()) ** 2).sum() for side in sides) for i in range(12)])
    pooled = squares.sum() / (12 * 7)
    for i in range(12):
        sd = np.sqrt((32 * pooled + squares[i]) / (32 + 7))
        assert effect[i] == pytest.approx((sides[0][i].mean() - sides[1][i].mean()) / sd)


def test_exposed_records_are_found(rng: np.random.Generator):
    """20 of 1,000 records have an effect of 4 sd, the others none; 40 references: sd of an effect 0.32. False alarm below 1e-6."""
    member = np.tile([[True], [False]], (20, 1000))
    exposed = rng.choice(1000, 20, replace=False)
    signals = rng.normal(size=(40, 1000)) + 4 * member * np.isin(np.arange(1000), exposed)
    found = vulnerability(signals, member)
    assert set(found.most_exposed().tolist()) == set(exposed.tolist())
    assert found.to_dict()["most_exposed"] == found.most_exposed(20).tolist()
    assert len(found.most_exposed(5)) == 5


def test_records_without_a_side_are_unknown_and_left_out(rng: np.random.Generator):
    signals = rng.normal(size=(6, 3))
    member = np.tile([[1], [0]], (3, 3))
    member[:, 1] = 0
    found = vulnerability(signals, member)
    assert np.isnan(found.effect_size).tolist() == [False, True, False]
    assert found.n_unknown == 1
    assert sorted(found.most_exposed(20).tolist()) == [0, 2]


def test_vulnerability_is_frozen_and_shows_no_value(rng: np.random.Generator):
    found = vulnerability(rng.normal(size=(6, 3)), np.tile([[1], [0]], (3, 3)))
    assert repr(found) == "Vulnerability(n_records=3, n_unknown=0)"
    for twin in (found, copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        with pytest.raises(ValueError, match="read-only"):
            twin.effect_size[0] = 1
    json.dumps(found.to_dict(), allow_nan=False)


def test_too_little_evidence_is_refused():
    with pytest.raises(InsufficientEvidenceError, match="no record has both"):
        vulnerability([[0.0, 1.0], [1.0, 2.0]], [[0, 1], [0, 1]])
    with pytest.raises(InsufficientEvidenceError, match="spread is unknown"):
        vulnerability([[0.0], [1.0]], [[0], [1]])
