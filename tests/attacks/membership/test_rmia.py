"""RMIA: sorted against the n x P matrix, online and offline formulas against loops, uniform scores, no plateau."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import kstest

from attacks import RMIA, MembershipScores
from mechanisms.errors import WeakEvidenceWarning
from tests.attacks.membership.games import gaussian_game


def naive_share(phi, member, target, ref_population, population, *, gamma: float, a: float, online: bool) -> np.ndarray:
    """The published score by loops over records and population."""
    p, p0, z, z0 = expit(phi), expit(target), expit(ref_population), expit(population)
    r_z = []
    for j in range(z.shape[1]):
        mean = z[:, j].mean()
        r_z.append(z0[j] / (mean if online else ((1 + a) * mean + 1 - a) / 2))
    share = np.empty(len(p0))
    for i in range(len(p0)):
        out = p[~member[:, i], i].mean()
        p_x = (p[member[:, i], i].mean() + out) / 2 if online else ((1 + a) * out + 1 - a) / 2
        share[i] = np.mean([p0[i] / p_x >= gamma * r for r in r_z])
    return share


@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([0.7, 1.0, 1.5, 2.0]), st.sampled_from([0.0, 0.3, 1.0]))
def test_sorted_share_equals_the_matrix(seed: int, online: bool, gamma: float, a: float):
    rng = np.random.default_rng(seed)
    member = np.array(rng.random((6, 15)) < 0.5)
    member[0], member[1] = True, False
    phi, target = 2 * rng.normal(size=(6, 15)), 2 * rng.normal(size=15)
    ref_population, population = 2 * rng.normal(size=(6, 9)), 2 * rng.normal(size=9)
    attack = RMIA(gamma=gamma, a=a, online=online).fit(phi, member, ref_population)
    share = attack.share(target, population)
    assert share.tolist() == naive_share(phi, member, target, ref_population, population, gamma=gamma, a=a, online=online).tolist()
    score = attack.score(target, population)
    assert np.all((score > 0) & (score < 1))
    order = np.argsort(score)
    assert np.all(np.diff(share[order]) >= 0)


def test_scores_are_uniform_where_population_and_non_members_are_alike(rng: np.random.Generator):
    """One reference repeated, target noise shared by members and others: shares uniform (KS), AUC 0.5 +- 5 sd of 0.0041. Below 1e-6."""
    n = 20_000
    level = rng.normal(size=n)
    member = np.arange(n) % 2 == 0
    target = level + rng.normal(size=n)
    table = np.tile(level, (6, 1))
    ref_member = np.tile([[True], [False]], (3, n))
    attack = RMIA().fit(table, ref_member, table[:, ~member])
    share = attack.share(target, target[~member])
    assert kstest(share[~member], "uniform").pvalue > 1e-6
    assert MembershipScores(share, member).auc == pytest.approx(0.5, abs=5 * 0.0041)
    shifted = attack.share(target + 0.5 * member, target[~member])
    assert MembershipScores(shifted, member).auc > 0.55  # it can fail


def test_ratio_breaks_the_ties_of_the_share(rng: np.random.Generator):
    """P = 20 gives at most 21 shares; the scores of 500 records are all different, and their order is that of r_x."""
    game = gaussian_game(rng=rng, n=500, n_ref=8)
    attack = RMIA().fit(game.ref_signals, game.ref_member, game.ref_population[:, :20])
    share, score = (f(game.target, game.population[:20]) for f in (attack.share, attack.score))
    assert len(set(share.tolist())) <= 21
    assert len(set(score.tolist())) == 500
    ratio = np.log(expit(game.target)) - attack.log_probability_
    assert np.argsort(score).tolist() == np.argsort(ratio).tolist()


def test_unequal_out_counts_use_exactly_the_out_references(rng: np.random.Generator):
    k = 7
    phi = rng.normal(size=(k, k))
    member = np.arange(k)[:, None] > np.arange(k)  # record i has i + 1 OUT references; the last has no IN
    attack = RMIA(online=False).fit(phi, member, rng.normal(size=(k, 4)))
    p_out = [expit(phi[: i + 1, i]).mean() for i in range(k)]
    assert np.exp(attack.log_probability_) == pytest.approx([(1.3 * p + 0.7) / 2 for p in p_out])


def test_tiny_probabilities_keep_their_order():
    """p = exp(-800) is 0 in float64; logs keep the ratio."""
    phi = np.array([[-800.0, -900.0], [-800.0, -900.0]])
    attack = RMIA().fit(phi, [[0, 0], [1, 1]], [[0.0, 1.0], [0.0, 1.0]])
    score = attack.score([-790.0, -899.0], [0.0, 1.0])
    assert attack.log_probability_ == pytest.approx([-800, -900])
    assert score[0] > score[1]


def test_records_without_in_references_take_the_average_gap_of_probabilities(rng: np.random.Generator):
    phi = rng.normal(size=(6, 4))
    member = np.tile([[True], [False]], (3, 4))
    member[:, 3] = False
    with pytest.warns(WeakEvidenceWarning, match="1 records have no IN and 0 no OUT"):
        attack = RMIA().fit(phi, member, phi[:, :2])
    p = expit(phi)
    gap = np.mean([p[::2, i].mean() - p[1::2, i].mean() for i in range(3)])
    assert np.exp(attack.log_probability_[3]) == pytest.approx(p[:, 3].mean() + gap / 2)


def test_population_is_required_and_checked(rng: np.random.Generator):
    phi, member = rng.normal(size=(4, 3)), np.tile([[True], [False]], (2, 3))
    with pytest.raises(ValueError, match=r"population is needed: .* shape \(4, 'P'\)"):
        RMIA().fit(phi, member)
    with pytest.raises(ValueError, match=r"population must have shape \(4, 'P'\), got \(3, 2\)"):
        RMIA().fit(phi, member, np.zeros((3, 2)))
    attack = RMIA().fit(phi, member, rng.normal(size=(4, 5)))
    with pytest.raises(ValueError, match="population is needed"):
        attack.score(phi[0])
    with pytest.raises(ValueError, match=r"population must have shape \(5,\), got \(4,\)"):
        attack.score(phi[0], np.zeros(4))
    with pytest.raises(ValueError, match="population must be finite, got 1"):
        attack.score(phi[0], [0, 1, 2, 3, np.nan])
    with pytest.raises(ValueError, match="average the queries first"):
        RMIA().fit(phi[..., None], member, phi)


@pytest.mark.parametrize(("option", "value"), [("gamma", 0), ("gamma", -1), ("a", 1.5)])
def test_parameters_out_of_range_are_refused(option: str, value: float):
    with pytest.raises(ValueError, match=f"{option} must be"):
        RMIA(**{option: value}).fit([[0.0], [1.0]], [[0], [1]], [[0.0], [1.0]])
