"""The hierarchical posterior as a record: JSON, copies, views, ArviZ, bad input; its chains and their checks."""

from __future__ import annotations

import copy
import json
import pickle
import warnings

import numpy as np
import pytest

from attacks.scores import AttackCounts
from mechanisms.errors import ConvergenceWarning
from mechanisms.guarantee import Neighboring
from privacy_audit.estimate import hierarchical
from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.model_effects.nuts import ChainCheck, check_chains
from privacy_audit.estimate.rates.count_arrays import CountArrays
from tests.estimate.hierarchical_oracle import simulate
from tests.estimate.test_hierarchical import SMALL, fit

NAMES = ("fpr", "fnr", "rho_fpr", "rho_fnr")


def fake_sampler(counts, *, rho_prior, rng):
    """Well mixed draws that need no compiler."""
    draws = {name: rng.beta(2, 20 + 5 * i, (4, 1000)) for i, name in enumerate(NAMES)}
    return draws, check_chains(draws, n_divergent=0)


def read_by_arviz(tree):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*ArviZ is undergoing a major refactor", category=FutureWarning)
        import arviz
    return arviz.summary(tree["posterior"].to_dataset(), round_to=6)


class TestRecord:
    def test_round_trip(self):
        law = fit(SMALL, delta=1e-5, rho_prior=(1, 20), neighboring=Neighboring.REPLACE)
        record = json.loads(json.dumps(law.to_dict()))
        assert record["kind"] == law.kind == "credible"
        assert record["converged"] is True
        assert record["neighboring"] == "replace"
        assert HierarchicalEpsilonPosterior.from_dict(record).to_dict() == law.to_dict()

    def test_three_ways_in(self):
        rows = [AttackCounts(tp=t, fp=f, tn=n, fn=m) for t, f, n, m in zip(SMALL.tp, SMALL.fp, SMALL.tn, SMALL.fn, strict=True)]
        table = CountArrays.of(rows)
        ends = [fit(counts).interval().tolist() for counts in (SMALL, rows, table)]
        assert ends[0] == ends[1] == ends[2]

    def test_copies_are_equal_and_read_only(self):
        law = fit(SMALL)
        for twin in (copy.deepcopy(law), pickle.loads(pickle.dumps(law))):
            assert twin.ppf(0.3) == law.ppf(0.3)
            with pytest.raises(ValueError, match="read-only"):
                twin.counts.tp[0] = 9
        with pytest.raises(AttributeError):
            law.delta = 0.1

    def test_views(self):
        import matplotlib as mpl

        mpl.use("Agg")
        law = fit(SMALL)
        assert "no bound" in law._repr_html_()
        assert f"{law.median:.4g}" in law._repr_html_()
        ax = law.plot()
        assert law.plot(ax) is ax
        assert len(ax.lines) == 2
        mpl.pyplot.close("all")

    def test_arviz_reads_the_draws(self):
        law = fit(SMALL)
        tree = law.to_datatree(n_draws=400, rng=1)
        assert tree["posterior"]["epsilon"].dims == ("chain", "draw")
        table = read_by_arviz(tree)
        assert set(table.index) == {"epsilon", *NAMES}
        assert table.loc["epsilon", "mean"] == pytest.approx(law.mean, abs=0.15)
        assert table.loc["rho_fpr", "mean"] == pytest.approx(law.rho["fpr"].mean, abs=0.02)

    def test_shapes(self):
        law = fit(SMALL)
        assert isinstance(law.cdf(1.0), float)
        assert law.sf(np.ones((2, 3))).shape == (2, 3)
        assert law.prob_exceeds(1.0) == law.sf(1.0) == pytest.approx(1 - law.cdf(1.0))
        assert law.sample(7, rng=1).shape == (7,)
        assert law.interval(0.95, "upper").tolist() == [0.0, law.ppf(0.95)]
        assert law.n_models == 4
        assert 8 < law.n_effective < 80


class TestChains:
    def test_chains_are_handed_on(self, monkeypatch):
        monkeypatch.setattr(hierarchical, "sample_beta_binomial", fake_sampler)
        law = HierarchicalEpsilonPosterior(SMALL, method="nuts", rng=3)
        assert law.converged
        assert law.chain_check.r_hat < 1.01
        tree = law.to_datatree()
        assert tree["posterior"]["epsilon"].shape == (4, 1000)
        epsilon = tree["posterior"]["epsilon"].values.ravel()
        assert law.mean == pytest.approx(epsilon.mean())
        assert law.ppf([0.05, 0.5, 0.95]) == pytest.approx(np.quantile(epsilon, [0.05, 0.5, 0.95]), abs=5e-3)
        assert law.sf(1.0) == pytest.approx((epsilon > 1.0).mean(), abs=1e-12)
        low, high = law.interval(0.9, "hdi")
        assert high - low <= np.diff(law.interval(0.9))[0] + 1e-9
        grid = np.linspace(0, epsilon.max() + 2, 400)
        assert np.trapezoid(law.pdf(grid), grid) == pytest.approx(1, abs=0.01)
        assert json.loads(json.dumps(law.to_dict()))["chain_check"]["n_divergent"] == 0
        assert set(np.unique(law.sample(50, rng=1))) <= set(epsilon)

    def test_chains_that_disagree_warn(self, monkeypatch):
        def stuck(counts, *, rho_prior, rng):
            draws = fake_sampler(counts, rho_prior=rho_prior, rng=rng)[0]
            draws["fpr"] = draws["fpr"] + 0.1 * np.arange(4)[:, None]
            return draws, check_chains(draws, n_divergent=3)

        monkeypatch.setattr(hierarchical, "sample_beta_binomial", stuck)
        with pytest.warns(ConvergenceWarning, match=r"R-hat [2-9].*3 divergences"):
            law = HierarchicalEpsilonPosterior(SMALL, method="nuts", rng=3)
        assert not law.converged
        assert law.to_dict()["converged"] is False

    @pytest.mark.parametrize("worse", [{"r_hat": 1.011}, {"ess_bulk": 399.0}, {"ess_tail": 399.0}, {"n_divergent": 1}, {"r_hat": np.nan}])
    def test_each_gate_closes(self, worse):
        fine = {"r_hat": 1.0, "ess_bulk": 2000.0, "ess_tail": 2000.0, "n_divergent": 0}
        ChainCheck(**fine).warn()
        assert ChainCheck(**fine).passed
        bad = ChainCheck(**(fine | worse))
        assert not bad.passed
        assert json.dumps(bad.to_dict(), allow_nan=False)
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            bad.warn()

    def test_draws_that_never_moved_fail(self):
        assert not check_chains({"fpr": np.full((4, 1000), 0.1), "fnr": np.full((4, 1000), 0.2)}, n_divergent=0).passed

    @pytest.mark.slow
    @pytest.mark.parametrize("delta", [0.0, 0.05])
    def test_quadrature_agrees_with_nuts(self, delta, rng):  # false alarm about 1e-6: tail quantiles have a standard error of 0.006
        counts = simulate(rng, n_models=50, n_points=20, fpr=0.1, fnr=1 - 0.1 * np.e, rho=0.2)
        chains, exact = fit(counts, delta=delta, method="nuts", rng=rng), fit(counts, delta=delta)
        assert chains.converged
        assert chains.ppf([0.05, 0.5, 0.95]) == pytest.approx(exact.ppf([0.05, 0.5, 0.95]), abs=0.03)
        for side in ("fpr", "fnr"):
            assert chains.rho[side].median == pytest.approx(exact.rho[side].median, abs=0.01)
        assert not np.allclose(exact.ppf([0.05]), fit(counts, delta=delta, rho_prior=(1, 100)).ppf([0.05]), atol=0.03)  # it can fail


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"delta": 1e5}, "did you mean 1e-05"),
            ({"method": "laplace"}, "method must be one of 'quadrature', 'nuts', got 'laplace'"),
            ({"rho_prior": (1.0,)}, "rho_prior must be the two parameters"),
            ({"rho_prior": (0.0, 9.0)}, r"rho_prior must be in \[0.1, 1000\]"),
        ],
    )
    def test_parameters(self, options, message):
        with pytest.raises(ValueError, match=message):
            HierarchicalEpsilonPosterior(SMALL, **options)

    def test_methods(self):
        law = fit(SMALL)
        with pytest.raises(ValueError, match="did you mean 0.9"):
            law.interval(90)
        with pytest.raises(ValueError, match="kind must be one of"):
            law.interval(0.9, "narrow")
        with pytest.raises(ValueError, match=r"q must hold probabilities in \[0, 1\]"):
            law.ppf([0.5, 1.5])
        with pytest.raises(ValueError, match="NaN"):
            law.cdf(np.nan)
        with pytest.raises(ValueError, match="rho_prior"):
            law.rho_prior_sensitivity([(0, 1)])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"tp": [-1, 1]}, "tp must hold whole numbers"),
            ({"tp": [0.5, 1]}, "tp must hold whole numbers"),
            ({"tp": [np.nan, 1]}, "tp must hold whole numbers"),
            ({"tp": ["1", "2"]}, "got dtype"),
            ({"tp": [[1, 2]]}, "tp must have one axis"),
            ({"tp": [1, 2, 3]}, "lengths must agree"),
            ({"tp": [0, 0], "fn": [0, 0]}, "both truths need at least one trial, got 0 members"),
            ({"tp": [0, 5], "fp": [0, 5], "tn": [0, 5], "fn": [0, 5]}, "none in 1 of 2 models"),
        ],
    )
    def test_counts(self, change, message):
        with pytest.raises(ValueError, match=message):
            HierarchicalEpsilonPosterior.from_arrays(**({"tp": [5, 4], "fp": [1, 2], "tn": [4, 3], "fn": [2, 2]} | change))

    def test_types(self):
        with pytest.raises(ValueError, match="must not be empty"):
            HierarchicalEpsilonPosterior([])
        with pytest.raises(ValueError, match="must not be empty"):
            HierarchicalEpsilonPosterior.from_arrays(tp=[], fp=[], tn=[], fn=[])
        with pytest.raises(TypeError, match="one entry per model, got a single AttackCounts"):
            HierarchicalEpsilonPosterior(AttackCounts(tp=1, fp=1, tn=1, fn=1))
        with pytest.raises(TypeError, match="counts must be AttackCounts"):
            HierarchicalEpsilonPosterior([(3, 97, 40, 60)])
        with pytest.raises(TypeError, match="neighboring must be"):
            HierarchicalEpsilonPosterior(SMALL, neighboring="add_remove")

    def test_a_model_may_have_one_side_only(self):
        counts = ModelCounts(tp=[3, 0], fp=[0, 1], tn=[0, 4], fn=[2, 0])
        assert counts.n_members.tolist() == [5, 0]
        assert np.isfinite(fit(counts).median)
