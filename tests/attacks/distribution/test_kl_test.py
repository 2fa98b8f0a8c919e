import numpy as np
import pytest

from attacks.distribution.kl_test import CLIP, KLTest
from attacks.distribution.views import ModelViews, joined_views
from tests.attacks.distribution.simulated import SimulatedModels


def clipped(views):
    p = np.clip(views.probabilities, CLIP, 1 - CLIP)
    return p / p.sum(axis=2, keepdims=True)


def pair(p, victim):
    return float(np.mean(np.sum(p * np.log(p / victim), axis=1)))


def over_all_pairs(shadow_0, shadow_1, victims):
    """Mean over all pairs (i, j) of KL(p_i^0 || p_v) - KL(p_j^1 || p_v)."""
    first, second = clipped(shadow_0), clipped(shadow_1)
    return np.array([np.mean([pair(a, v) - pair(b, v) for a in first for b in second]) for v in clipped(victims)])


def over_the_upper_triangle(shadow_0, shadow_1, victims):
    """Broken: pairs i < j only, as public code has them."""
    first, second = clipped(shadow_0), clipped(shadow_1)
    pairs = [(i, j) for i in range(len(first)) for j in range(i + 1, len(second))]
    return np.array([np.mean([pair(first[i], v) - pair(second[j], v) for i, j in pairs]) for v in clipped(victims)])


@pytest.mark.parametrize("classes", [2, 4])
def test_difference_of_means_is_the_mean_over_all_pairs(classes, rng):
    law = SimulatedModels(rng, queries=12, classes=classes)
    first, second, victims = law.of(0, 5), law.of(1, 7), law.of(1, 4)
    values = KLTest(calibrate=False).fit(first, second).decision_function(victims)
    assert np.allclose(values, over_all_pairs(first, second, victims), atol=1e-12)
    assert not np.allclose(values, over_the_upper_triangle(first, second, victims), atol=1e-6)  # the broken twin is seen


def test_every_shadow_counts_alike(rng):
    """In the upper triangle the last shadow of world 0 isn't used and the first one dominates; in the mean their order is nothing."""
    law = SimulatedModels(rng, queries=12)
    first, second, victims = law.of(0, 6), law.of(1, 6), law.of(0, 3)
    other_last = joined_views(first[:5], law.of(5, 1))
    assert np.array_equal(over_the_upper_triangle(first, second, victims), over_the_upper_triangle(other_last, second, victims))
    values, backward, other = (
        KLTest(calibrate=False).fit(part, second).decision_function(victims) for part in (first, first[::-1], other_last)
    )
    assert np.allclose(values, backward, atol=1e-12)
    assert np.abs(values - other).min() > 1e-6
    assert not np.allclose(
        over_the_upper_triangle(first, second, victims), over_the_upper_triangle(first[::-1], second, victims), atol=1e-6
    )


def test_the_cut_is_that_of_shadows_left_out_one_by_one(rng):
    law = SimulatedModels(rng, queries=12, spread=(1.0, 1.6))
    first, second = law.of(0, 6), law.of(1, 7)
    left_out = []
    for world, views in enumerate((first, second)):
        for k in range(len(views)):
            rest = views[np.arange(len(views)) != k]
            parts = (rest, second) if world == 0 else (first, rest)
            left_out.append(KLTest(calibrate=False).fit(*parts).decision_function(views[k])[0])
    values, world = np.sort(left_out), np.arange(13) >= 6
    accuracy = [
        (np.mean(np.array(left_out)[world] > at) + np.mean(np.array(left_out)[~world] <= at)) / 2 for at in (values[1:] + values[:-1]) / 2
    ]
    good = np.flatnonzero(np.isclose(accuracy, max(accuracy)))
    widest = good[np.argmax(np.diff(values)[good])]
    assert KLTest().fit(first, second).cut_ == pytest.approx((values[widest] + values[widest + 1]) / 2, abs=1e-12)


def test_calibration_mends_worlds_that_spread_unlike(rng):
    """World 1's models spread 2.5 times as much, which shifts the values: a cut at 0 loses at least 0.05. 600 victims."""
    law = SimulatedModels(rng, effect=0.35, spread=(1.0, 2.5))
    shadows, victims = (law.of(0, 150), law.of(1, 150)), (law.of(0, 300), law.of(1, 300))
    scores = {how: KLTest(calibrate=how).fit(*shadows).counts(*victims) for how in (True, False, "auto")}
    accuracy = {how: (1 + counts.tpr - counts.fpr) / 2 for how, counts in scores.items()}
    assert accuracy[True] > accuracy[False] + 0.05
    assert accuracy["auto"] == accuracy[True]


def test_saturated_answers_stay_finite(rng):
    law = SimulatedModels(rng)
    sure = [ModelViews(1e4 * views.logits, views.queries) for views in (law.of(0, 5), law.of(1, 5))]
    assert np.isfinite(KLTest().fit(*sure).decision_function(sure[0])).all()
    with pytest.raises(ValueError, match="calibrate must be"):
        KLTest(calibrate="no").fit(*sure)
