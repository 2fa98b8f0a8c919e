"""BayesT: predictive law against integration and scipy, priors against loops, and that the prior pays where records differ."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from attacks import BayesT, LiRA
from attacks.membership.bayes_t import NormalInverseGamma, StudentT
from attacks.membership.level_prior import WINDOW_LEAST, WINDOW_SHARE, Window, level_prior
from attacks.membership.references import SideStatistics, reference_statistics
from tests.attacks.membership.games import gaussian_game, realistic_game


def one_side(x: np.ndarray) -> SideStatistics:
    return SideStatistics("IN", np.array([len(x)]), np.array([[x.mean()]]), np.array([[((x - x.mean()) ** 2).sum()]]))


def test_prediction_is_the_integral_over_mean_and_variance():
    """t(x) = int int N(x; m, v) prod N(x_k; m, v) NIG(m, v) dm dv / normalization, on a grid."""
    data, center, weight, variance, count = np.array([0.3, 1.1, -0.4]), 0.8, 0.7, 1.4, 6.0
    prior = NormalInverseGamma(np.array([[center]]), np.array([[weight]]), np.array([[variance]]))
    predicted = prior.predict(one_side(data), count)

    m, log_v = np.linspace(-20, 20, 2001)[:, None], np.linspace(-6, 10, 161)
    v = np.exp(log_v)
    law = stats.invgamma.pdf(v, count / 2, scale=count * variance / 2) * stats.norm.pdf(m, center, np.sqrt(v / weight)) * v

    def joint(points: np.ndarray) -> float:  # trapezoids: the integrand is smooth and dies out before the edges
        return float(np.sum(law * np.prod([stats.norm.pdf(x, m, np.sqrt(v)) for x in points], axis=0)))

    base = joint(data)
    t = stats.t(predicted.freedom[0, 0], predicted.location[0, 0], predicted.scale[0, 0])
    for x in (-1.0, 0.5, 2.5):
        assert t.pdf(x) == pytest.approx(joint(np.append(data, x)) / base, rel=1e-5)


def test_student_t_equals_scipy_up_to_a_constant(rng: np.random.Generator):
    df, location, scale = rng.uniform(3, 60, 50), rng.normal(size=50), rng.uniform(0.5, 3, 50)
    t, x = StudentT(df, location, scale), 5 * rng.normal(size=50)
    assert t.log_density(x) - stats.t.logpdf(x, df, location, scale) == pytest.approx(np.full(50, np.log(np.pi) / 2))
    odds = stats.t.logcdf(x, df, location, scale) - stats.t.logsf(x, df, location, scale)
    assert t.log_odds_below(x) == pytest.approx(odds, abs=1e-8)


def test_offline_score_has_no_plateau_at_the_top():
    attack = BayesT(online=False).fit([[0.0], [1.0], [0.5]], [[0], [0], [0]])
    scores = [attack.score([x])[0] for x in (10.0, 20.0, 40.0, 80.0, 160.0)]
    assert np.all(np.diff(scores) > 0)


@pytest.mark.parametrize("prior", ["level", "pooled"])
@pytest.mark.parametrize("online", [True, False])
def test_gaussian_toy_reaches_the_ideal_auc(prior: str, online: bool, rng: np.random.Generator):
    """AUC Phi(1.5 / sqrt 2); 5 sd of 0.0028 and 0.006 for finite references. False alarm below 1e-6."""
    game = gaussian_game(rng=rng)
    attack = BayesT(prior=prior, online=online).fit(game.ref_signals, game.ref_member)
    assert game.scores(attack.score(game.target)).auc == pytest.approx(ndtr(1.5 / 2**0.5), abs=0.02)


def test_pooled_prior_equals_the_loop(rng: np.random.Generator):
    game = gaussian_game(rng=rng, n=20, n_ref=8)
    member = game.ref_member
    fast = BayesT(prior="pooled").fit(game.ref_signals, member).score(game.target)
    sides = [[game.ref_signals[mask[:, i], i] for i in range(20)] for mask in (member, ~member)]
    gap = np.mean([a.mean() - b.mean() for a, b in zip(*sides, strict=True)])
    v0 = [sum(((x - x.mean()) ** 2).sum() for x in side) / (sum(map(len, side)) - 20) for side in sides]
    for i in range(20):
        logs = []
        for s, sign in ((0, 1), (1, -1)):
            x, mu0 = sides[s][i], sides[1 - s][i].mean() + sign * gap
            n, kappa0, nu0 = len(x), 0.5, 32.0
            kappa_n, alpha = kappa0 + n, (nu0 + n) / 2
            beta = nu0 * v0[s] / 2 + ((x - x.mean()) ** 2).sum() / 2 + kappa0 * n * (x.mean() - mu0) ** 2 / (2 * kappa_n)
            location = (kappa0 * mu0 + n * x.mean()) / kappa_n
            logs.append(stats.t.logpdf(game.target[i], 2 * alpha, location, np.sqrt(beta * (kappa_n + 1) / (alpha * kappa_n))))
        assert fast[i] == pytest.approx(logs[0] - logs[1])


def test_level_prior_equals_the_loop(rng: np.random.Generator):
    game = realistic_game(rng=rng, n=700, n_ref=8)
    statistics = reference_statistics(game.ref_signals[..., None], game.ref_member)
    member, n = game.ref_member, 700
    sides = [[game.ref_signals[mask[:, i], i] for i in range(n)] for mask in (member, ~member)]
    keep = [i for i in range(n) if len(sides[0][i]) and len(sides[1][i])]
    assert len(keep) == n  # half-split pairs: every record has both sides
    means = np.array([[x.mean() for x in side] for side in sides])
    squares = np.array([[((x - x.mean()) ** 2).sum() for x in side] for side in sides])
    counts = np.array([[len(x) for x in side] for side in sides])
    gaps, order = means[0] - means[1], np.argsort(means.mean(0))
    half = max(WINDOW_LEAST, int(WINDOW_SHARE * n))
    near = {int(i): order[max(0, p - half) : p + half + 1] for p, i in enumerate(order)}
    pooled_v = squares.sum() / (counts - 1).sum()
    v = np.array([(squares[:, near[i]].sum() + pooled_v) / ((counts[:, near[i]] - 1).sum() + 1) for i in range(n)])
    g = np.array([(gaps[near[i]].sum() + gaps.mean()) / (len(near[i]) + 1) for i in range(n)])
    prior = level_prior(statistics, 0)
    assert prior.variance == pytest.approx(v, abs=1e-9)
    assert prior.gap == pytest.approx(g, abs=1e-9)
    fast = BayesT().fit(game.ref_signals, game.ref_member).score(game.target)
    for i in range(0, n, 7):
        moved = np.concatenate([sides[0][i] - g[i], sides[1][i]])  # IN references brought to the OUT side
        freedom, m = 32 + len(moved), moved.mean()
        own = ((sides[0][i] - means[0, i]) ** 2).sum() + ((sides[1][i] - means[1, i]) ** 2).sum()
        apart = counts[0, i] * counts[1, i] / len(moved) * (means[0, i] - means[1, i] - g[i]) ** 2
        assert own + apart == pytest.approx(((moved - m) ** 2).sum())
        scale = np.sqrt((1 + 1 / len(moved)) * (32 * v[i] + ((moved - m) ** 2).sum()) / freedom)
        logs = [stats.t.logpdf(game.target[i], freedom, m + shift, scale) for shift in (g[i], 0)]
        assert fast[i] == pytest.approx(logs[0] - logs[1])


def test_level_prior_finds_a_gap_that_falls_with_the_level(rng: np.random.Generator):
    """Gap 2 below level 0 and 0 above; 16 references. Averages of 300 gaps have sd 0.03; away from the edge within 6 sd."""
    n = 6000
    level = rng.uniform(-10, 10, n)
    member = np.tile([[True], [False]], (8, n))
    signals = level + np.where(level < 0, 2.0, 0.0) * (member - 0.5) + rng.normal(size=(16, n))
    prior = level_prior(reference_statistics(signals[..., None], member), 0)
    far = np.abs(level) > 4
    assert np.abs(prior.gap - np.where(level < 0, 2, 0))[far].max() < 0.2
    assert np.abs(prior.variance[far] - 1).max() < 0.2


@pytest.mark.parametrize("n_ref", [4, 8])
def test_prior_pays_where_badly_fitted_records_have_larger_gaps(n_ref: int, rng: np.random.Generator):
    """Mean AUC of 12 games with 1,500 records: the level prior is above fixed LiRA by about 0.02 to 0.04, sd of the mean about 0.003."""
    gains = []
    for _ in range(12):
        game = realistic_game(rng=rng, n_ref=n_ref)
        auc = [game.scores(a.fit(game.ref_signals, game.ref_member).score(game.target)).auc for a in (BayesT(), LiRA())]
        gains.append(auc[0] - auc[1])
    assert np.mean(gains) > 0.005


def test_a_constant_on_one_record_changes_nothing_under_the_pooled_prior(rng: np.random.Generator):
    game = gaussian_game(rng=rng, n=50, n_ref=12)
    shift = 30 * rng.normal(size=50)
    attack = BayesT(prior="pooled")
    plain = attack.fit(game.ref_signals, game.ref_member).score(game.target)
    assert attack.fit(game.ref_signals + shift, game.ref_member).score(game.target + shift) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("prior", ["level", "pooled"])
def test_several_queries_average_the_log_likelihood_ratios(prior: str, rng: np.random.Generator):
    game = gaussian_game(rng=rng, n=40, n_ref=12)
    second, target = game.ref_signals * 0.5 + rng.normal(size=game.ref_signals.shape), rng.normal(size=40)
    for attack in (BayesT(prior=prior), BayesT(prior=prior, online=False)):
        both = attack.fit(np.stack([game.ref_signals, second], axis=-1), game.ref_member).score(np.stack([game.target, target], axis=-1))
        one = attack.fit(game.ref_signals, game.ref_member).score(game.target)
        assert both == pytest.approx((one + attack.fit(second, game.ref_member).score(target)) / 2)


def test_a_missing_side_is_predicted_from_the_other(rng: np.random.Generator):
    """100 records, one without IN and one without OUT: finite scores, larger for larger signals."""
    game = gaussian_game(rng=rng, n=100, n_ref=20)
    member = game.ref_member.copy()
    member[:, 0], member[:, 1] = False, True
    for attack in (BayesT(), BayesT(prior="pooled")):
        with pytest.warns(UserWarning, match="1 records have no IN and 1 no OUT"):
            attack.fit(game.ref_signals, member)
        assert np.isfinite(attack.score(game.target)).all()
        assert np.all(attack.score(attack.inside_.location[:, 0])[:2] > 0)
        assert np.all(attack.score(attack.outside_.location[:, 0])[:2] < 0)


def test_window_of_few_records_is_nearly_the_pooled_mean(rng: np.random.Generator):
    value = rng.normal(size=20)
    assert Window.of(rng.normal(size=20)).mean(value, np.ones(20)) == pytest.approx(np.full(20, value.mean()))


@pytest.mark.parametrize(("option", "value"), [("prior", "global"), ("prior_count", 0)])
def test_bad_options_are_refused(option: str, value: object):
    with pytest.raises(ValueError, match=f"{option} must be"):
        BayesT(**{option: value}).fit([[0.0], [1.0]], [[0], [1]])
