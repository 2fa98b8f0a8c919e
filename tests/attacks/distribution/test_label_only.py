import numpy as np
import pytest

from attacks.distribution.chosen_queries import ChosenQueries, query_separation
from attacks.distribution.kl_test import KLTest
from attacks.distribution.label_only import LabelOnly, guessed, perturbed_queries
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from attacks.distribution.views import ModelViews, QueryLabels
from tests.attacks.distribution.simulated import SimulatedModels


def test_only_guesses_are_seen(rng):
    """Any logits with the same largest class give the same decisions."""
    law = SimulatedModels(rng, classes=3)
    first, second, victims = law.of(0, 8), law.of(1, 8), law.of(1, 4)
    louder = [ModelViews(np.sign(views.logits) * np.abs(views.logits) ** 3, views.queries) for views in (first, second, victims)]
    attack = LabelOnly(OutputMetaClassifier())
    assert np.array_equal(
        attack.fit(first, second).decision_function(victims),
        LabelOnly(OutputMetaClassifier()).fit(*louder[:2]).decision_function(louder[2]),
    )
    assert attack.access == "label only"


def test_a_single_guess_has_probability_099(rng):
    views = SimulatedModels(rng).of(0, 3)
    probabilities = guessed(views).probabilities
    assert np.allclose(np.sort(np.unique(probabilities.round(12))), [0.01, 0.99])
    assert np.array_equal(probabilities.argmax(axis=2), views.guesses)


def test_copies_are_averaged_query_by_query():
    """Two queries, three copies in blocks: guesses 1 1 | 1 0 | 0 0, so 2 and 1 of 3 say class 1; half a guess is added to each class."""
    queries = QueryLabels(np.tile([0, 1], 3), np.tile([False, True], 3))
    seen = guessed(ModelViews([[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]], queries), 3)
    assert np.allclose(seen.probabilities[0, :, 1], [2.5 / 4, 1.5 / 4])
    assert (seen.queries.label.tolist(), seen.queries.world.tolist()) == ([0, 1], [False, True])
    with pytest.raises(ValueError, match="blocks"):
        guessed(ModelViews([[1.0, 1.0]], QueryLabels([0, 1], [0, 1])), 3)


def test_perturbed_queries_are_blocks_of_copies(rng):
    """Scale 0.5, 20,000 numbers: their standard deviation within 6 sd (0.015). False alarm 2e-9."""
    inputs = rng.normal(size=(100, 2))
    copies = perturbed_queries(inputs, 101, 0.5, rng=rng).reshape(101, 100, 2)
    assert np.array_equal(copies[0], inputs)
    noise = copies[1:] - inputs
    assert noise.std() == pytest.approx(0.5, abs=0.015)
    assert noise.std() != pytest.approx(0.4, abs=0.015)


def test_noisy_copies_tell_more_than_one_guess(rng):
    """A model's answer is sign(input + shift), shift 0 or 0.3 with noise 0.1; inputs far from 0 say nothing without noise. 400 victims."""
    inputs = np.where(np.arange(20) % 2 == 0, -2.0, 2.0)
    labels = QueryLabels((inputs > 0).astype(int), np.arange(20) >= 10)
    copies = 200
    asked = perturbed_queries(inputs, copies, 1.0, rng=rng)
    many = QueryLabels(np.tile(labels.label, copies), np.tile(labels.world, copies))

    def models(world, n, at, queries):
        return ModelViews(at + 0.3 * world + 0.1 * rng.normal(size=(n, 1)), queries)

    averaged = LabelOnly(KLTest(), n_copies=copies).fit(models(0, 40, asked, many), models(1, 40, asked, many))
    assert averaged.score(models(0, 200, asked, many), models(1, 200, asked, many)) > 0.75
    single = LabelOnly(KLTest()).fit(models(0, 40, inputs, labels), models(1, 40, inputs, labels))
    counts = single.counts(models(0, 200, inputs, labels), models(1, 200, inputs, labels))
    assert counts.tpr == counts.fpr


def test_separation_is_welchs_t(rng):
    from scipy.stats import ttest_ind

    law = SimulatedModels(rng)
    first, second = law.of(0, 9), law.of(1, 14)
    expected = np.abs(ttest_ind(first.margins[:, :, 0], second.margins[:, :, 0], equal_var=False).statistic)
    assert np.allclose(query_separation(first, second), expected)


def test_half_of_the_chosen_queries_from_each_world(rng):
    law = SimulatedModels(rng, effect=0.0)
    law.effect[[3, 7, 40, 55], 1] = 20.0
    attack = ChosenQueries(KLTest(), n_queries=4).fit(law.of(0, 10), law.of(1, 10))
    assert attack.kept_.tolist() == [3, 7, 40, 55]
    assert attack.score(law.of(0, 20), law.of(1, 20)) == 1
