"""The curve of epsilon over delta: same numbers as single bounds, a record that keeps its word."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from matplotlib.figure import Figure

from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.curves.epsilon_curve import EpsilonCurve
from privacy_audit.estimate.thresholds import audit_curve, audit_scores
from tests.estimate.known_scores import gaussian_scores

DELTAS = [0.2, 1e-5, 1e-3]


@pytest.fixture(scope="module")
def scores():
    return gaussian_scores(np.random.default_rng(3), 2.0, 150)


class TestValues:
    @pytest.mark.parametrize("strategy", ["order_statistics", "band"])
    def test_each_point_is_the_single_bound(self, scores, strategy):
        curve = audit_curve(scores, deltas=DELTAS, level=0.9, strategy=strategy, neighboring=Neighboring.REPLACE)
        for bound in curve.bounds():
            assert bound == audit_scores(scores, delta=bound.delta, level=0.9, strategy=strategy, neighboring=Neighboring.REPLACE)
        assert curve.epsilon[1] > curve.epsilon[2] > curve.epsilon[0] > 0

    def test_keyed_ties(self, scores):
        curve = audit_curve(scores, deltas=[0.0], rng=4)
        assert curve.epsilon[0] == audit_scores(scores, delta=0.0, rng=4).epsilon
        assert "equal scores were ordered by an independent random key" in curve.assumptions


class TestRecord:
    def test_it_survives_every_way_out(self, scores):
        curve = audit_curve(scores, deltas=DELTAS)
        for twin in (
            EpsilonCurve.from_dict(json.loads(json.dumps(curve.to_dict(), allow_nan=False))),
            copy.deepcopy(curve),
            pickle.loads(pickle.dumps(curve)),
        ):
            assert twin.equals(curve)
            assert not twin.epsilon.flags.writeable
            assert not twin.delta.flags.writeable
        assert curve.kind == "bound"
        assert len(curve) == 3

    def test_infinity(self):
        curve = EpsilonCurve(delta=[0.0], epsilon=[np.inf], level=0.9, method="band")
        assert curve.to_dict()["epsilon"] == ["inf"]
        assert EpsilonCurve.from_dict(curve.to_dict()).epsilon[0] == np.inf

    def test_it_copies_its_arrays(self):
        deltas = np.array([0.1, 0.2])
        curve = EpsilonCurve(delta=deltas, epsilon=[1.0, 0.5], level=0.9, method="band")
        deltas[0] = 0.9
        assert curve.delta[0] == 0.1

    @pytest.mark.parametrize(("deltas", "scale"), [(DELTAS, "log"), ([0.0, 0.1], "linear")])
    def test_plot(self, scores, deltas, scale):
        axes = audit_curve(scores, deltas=deltas, strategy="band").plot(Figure().subplots())
        x = axes.lines[0].get_xdata()
        assert x.tolist() == sorted(deltas)
        assert axes.get_xscale() == scale


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"deltas": []}, "deltas must hold at least one number"),
            ({"deltas": [0.1, 1.0]}, r"all in \[0, 1\), got 2 of which 1 are outside"),
            ({"deltas": [np.nan]}, "1 are outside"),
            ({"deltas": 0.1}, "deltas must have one axis"),
            ({"deltas": [0.1], "level": 95}, "did you mean 0.95"),
            ({"deltas": [0.1], "strategy": "split"}, "strategy must be one of 'order_statistics', 'band'"),
        ],
    )
    def test_arguments(self, scores, options, message):
        with pytest.raises(ValueError, match=message):
            audit_curve(scores, **options)

    def test_record(self):
        with pytest.raises(ValueError, match="lengths must agree"):
            EpsilonCurve(delta=[0.1], epsilon=[1.0, 2.0], level=0.9, method="band")
        with pytest.raises(ValueError, match="epsilon must hold numbers >= 0, got 1 others"):
            EpsilonCurve(delta=[0.1, 0.2], epsilon=[1.0, np.nan], level=0.9, method="band")
        with pytest.raises(TypeError, match="must be lists"):
            EpsilonCurve.from_dict({"delta": 0.1, "epsilon": [1.0], "assumptions": []})
