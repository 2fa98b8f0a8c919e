import numpy as np

from attacks.distribution.loss_test import LossTest
from attacks.distribution.per_point import FRACTIONS, PerPointThresholdTest
from attacks.distribution.threshold_test import ThresholdTest
from attacks.distribution.views import ModelViews, QueryLabels
from tests.attacks.distribution.simulated import SimulatedModels

LABELS = QueryLabels(np.ones(8, dtype=int), np.arange(8) >= 4)


def right_on(n_0, n_1):
    """A model with so many right answers on each world's four queries."""
    return np.concatenate([np.where(np.arange(4) < n, 1.0, -1.0) for n in (n_0, n_1)])


def test_loss_test_compares_two_accuracies():
    shadows = ModelViews(np.zeros((2, 8)), LABELS)
    attack = LossTest().fit(shadows, shadows)
    assert attack.decision_function(ModelViews([right_on(4, 1), right_on(2, 3), right_on(2, 2)], LABELS)).tolist() == [-0.75, 0.25, 0]
    log = LossTest(metric="log_loss").fit(shadows, shadows)
    sure = ModelViews([[1.0] * 4 + [3.0] * 4], LABELS)
    assert np.allclose(log.decision_function(sure), np.logaddexp(0, -1) - np.logaddexp(0, -3))


def test_threshold_test_learns_sample_cut_and_direction():
    """World 1's models are worse on world 0's sample, and say nothing about the other one."""
    first = ModelViews([right_on(4, 2), right_on(4, 3), right_on(3, 2)], LABELS)
    second = ModelViews([right_on(1, 3), right_on(0, 2), right_on(1, 2)], LABELS)
    attack = ThresholdTest().fit(first, second)
    assert (attack.sample_, float(attack.cut_.at[0]), float(attack.cut_.sign[0])) == (0, 0.5, -1)
    assert attack.predict(ModelViews([right_on(0, 4), right_on(4, 0)], LABELS)).tolist() == [True, False]


def test_few_good_points_are_found_among_many(rng):
    """3 of 60 queries tell the worlds apart: 5 % of the points must vote, not all."""
    law = SimulatedModels(rng, effect=0.0, rank=1, noise=1.0)
    law.directions *= 0
    law.effect[:3, 1] = 2.5
    attack = PerPointThresholdTest().fit(law.of(0, 60), law.of(1, 60))
    assert attack.fraction_ == FRACTIONS[0]
    assert attack.score(law.of(0, 100), law.of(1, 100)) > 0.8


def test_the_vote_is_cut_on_held_out_shadows(rng):
    """World 1 is told by one point, up or down: votes about shadows that made the cuts are further apart than those about others."""
    law = SimulatedModels(rng, effect=0.1, noise=1.0)
    attack = PerPointThresholdTest().fit(law.of(0, 40), law.of(1, 40))
    assert -1 < attack.vote_cut_ < 1
    assert np.all(np.abs(attack.decision_function(law.of(0, 5)) + attack.vote_cut_) <= 1)
