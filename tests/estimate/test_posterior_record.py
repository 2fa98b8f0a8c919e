"""The posterior as a record: JSON, copies, figures, draws for ArviZ, and what it refuses."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from attacks.scores import AttackCounts
from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.rates.count_arrays import CountArrays
from tests.estimate.test_posterior import posterior


class TestRecord:
    def test_round_trip(self):
        for law in (posterior(3, 97, 40, 60, delta=1e-5), EpsilonPosterior.from_arrays(tp=[3, 5], fp=[1, 2], tn=[3, 4], fn=[2, 2])):
            record = json.loads(json.dumps(law.to_dict()))
            again = EpsilonPosterior.from_dict(record)
            assert record["kind"] == again.kind == "credible"
            assert np.array_equal(again.interval(), law.interval())
            assert again.to_dict() == law.to_dict()

    def test_copies_are_equal_and_read_only(self):
        law = EpsilonPosterior.from_arrays(tp=[3, 5], fp=[1, 2], tn=[3, 4], fn=[2, 2])
        for twin in (copy.deepcopy(law), pickle.loads(pickle.dumps(law))):
            assert np.array_equal(twin.median, law.median)
            with pytest.raises(ValueError, match="read-only"):
                twin.counts.tp[0] = 9
        with pytest.raises(AttributeError):
            law.delta = 0.1

    def test_views(self):
        import matplotlib as mpl

        mpl.use("Agg")
        law = posterior(3, 97, 40, 60)
        assert "2.939" in law._repr_html_()
        assert "no bound" in law._repr_html_()
        ax = law.plot()
        assert len(ax.lines) == 1
        many = EpsilonPosterior.from_arrays(tp=np.arange(20) + 1, fp=np.ones(20), tn=np.full(20, 9), fn=np.full(20, 3))
        assert "and 8 more" in many._repr_html_()
        assert many.plot(ax) is ax
        mpl.pyplot.close("all")

    def test_draws_for_arviz(self):
        tree = posterior(3, 97, 40, 60).to_datatree(n_draws=50, n_chains=4, rng=1)
        assert tree["posterior"]["epsilon"].dims == ("chain", "draw")
        assert tree["posterior"]["epsilon"].shape == (4, 50)
        many = EpsilonPosterior.from_arrays(tp=[3, 5], fp=[1, 2], tn=[3, 4], fn=[2, 2]).to_datatree(n_draws=5, n_chains=2, rng=1)
        assert many["posterior"]["fpr"].dims == ("chain", "draw", "attack")
        assert many["posterior"]["fpr"].shape == (2, 5, 2)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"delta": 1e5}, "did you mean 1e-05"),
            ({"delta": -0.1}, r"delta must be in \[0, 1\)"),
            ({"prior": (0.5, 0.01)}, r"prior must be in \[0.1"),
            ({"prior": (0.5,)}, "two parameters"),
        ],
    )
    def test_parameters(self, options, message):
        with pytest.raises(ValueError, match=message):
            posterior(3, 97, 40, 60, **options)

    def test_arguments_of_methods(self):
        law = posterior(3, 97, 40, 60)
        with pytest.raises(ValueError, match="did you mean 0.9"):
            law.interval(90)
        with pytest.raises(ValueError, match="kind must be one of 'equal_tailed'"):
            law.interval(0.9, "narrow")
        with pytest.raises(ValueError, match=r"q must hold probabilities in \[0, 1\]"):
            law.ppf([0.5, 1.5])
        with pytest.raises(ValueError, match="NaN"):
            law.cdf(np.nan)
        with pytest.raises(ValueError, match="n must be a whole number"):
            law.sample(-1)

    @pytest.mark.parametrize(
        "bad", [{"tp": [-1]}, {"tp": [0.5]}, {"tp": [np.nan]}, {"tp": [0], "fn": [0]}, {"tp": [1, 2]}, {"tp": [[1]]}, {"tp": ["1"]}]
    )
    def test_counts(self, bad):
        with pytest.raises(ValueError, match="tp|trial|lengths"):
            EpsilonPosterior.from_arrays(**({"tp": [5], "fp": [1], "tn": [4], "fn": [2]} | bad))

    def test_empty_and_foreign_counts(self):
        with pytest.raises(ValueError, match="empty"):
            EpsilonPosterior([])
        with pytest.raises(TypeError, match="AttackCounts"):
            EpsilonPosterior([(3, 97, 40, 60)])
        with pytest.raises(TypeError, match="neighboring must be"):
            posterior(3, 97, 40, 60, neighboring="add_remove")
        assert posterior(3, 97, 40, 60, neighboring=Neighboring.REPLACE).to_dict()["neighboring"] == "replace"
        assert len(CountArrays.of(AttackCounts(tp=1, fp=1, tn=1, fn=1))) == 1
