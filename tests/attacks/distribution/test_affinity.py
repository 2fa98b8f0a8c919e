"""Similarities of queries inside a layer: closed forms, order of neurons, choice of pairs and queries, decisions about one victim."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from attacks.distribution.affinity import AffinityClassifier, _even_subset, _kept_pairs, _most_separated, pair_similarities
from attacks.distribution.views import ModelViews, QueryLabels
from attacks.distribution.white_box_training import split_shadows

QUERIES = QueryLabels(np.tile([0, 1], 6), np.repeat([0, 1], 6))


def views(rng, n, tilt):
    """Models that answer the queries at random; `tilt` makes the second layer's outputs more alike."""
    layers = rng.normal(size=(n, 12, 5)), rng.normal(size=(n, 12, 4)) + tilt
    return ModelViews(rng.normal(size=(n, 12)), QUERIES, activations=layers)


@pytest.fixture
def fitted(rng):
    shadows = views(rng, 40, 0.0), views(rng, 30, 1.0)
    return AffinityClassifier(n_queries=8, epochs=6, random_state=0).fit(*shadows), shadows


def test_similarities_are_cosines_pair_by_pair(rng):
    layer = rng.normal(size=(3, 6, 4))
    found = pair_similarities(layer)
    plain = [[a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for i, a in enumerate(model) for b in model[i + 1 :]] for model in layer]
    assert np.allclose(found, plain)
    assert np.allclose(pair_similarities(layer * 7), found)


def test_a_silent_layer_is_like_nothing():
    assert np.array_equal(pair_similarities(np.zeros((2, 3, 4))), np.zeros((2, 3)))


def test_pairs_are_kept_by_separation(rng):
    values = rng.normal(size=(400, 20))
    values[200:, [3, 11]] += 3
    values[:, 5] = 1.0  # a constant separates nothing
    values[200:, 7] *= 30  # spread is not separation
    kept = _most_separated(values, 200)
    assert len(kept) == 4
    assert {3, 11} <= set(kept)
    assert not {5} & set(kept)


def test_held_out_shadows_choose_no_pair(rng):
    values = rng.normal(size=(40, 20))
    split = split_shadows(20, 20, 2, generator=torch.Generator().manual_seed(0))
    other = values.copy()
    other[split.held[0].numpy()] += 100 * rng.normal(size=(8, 20))
    kept, kept_of_other = _kept_pairs(values, split), _kept_pairs(other, split)
    assert torch.equal(kept[0], kept_of_other[0])
    assert not torch.equal(kept[1], kept_of_other[1])


@pytest.mark.parametrize(("n", "counts"), [(8, (4, 4)), (5, (3, 2)), (12, (6, 6)), (50, (6, 6))])
def test_queries_come_evenly_from_both_worlds(n, counts):
    chosen = _even_subset(QUERIES, n)
    assert (int((~QUERIES.world[chosen]).sum()), int(QUERIES.world[chosen].sum())) == counts
    assert len(set(chosen)) == len(chosen)


def test_a_world_with_few_queries_gives_all_it_has():
    queries = QueryLabels(np.zeros(10, dtype=int), np.arange(10) == 4)
    assert len(_even_subset(queries, 6)) == 6
    assert 4 in _even_subset(queries, 6)
    assert queries.world[_even_subset(QueryLabels(np.zeros(10, dtype=int), np.arange(10) != 4), 6)].sum() == 1


def test_worlds_are_told_apart(fitted, rng):
    attack, _ = fitted
    assert attack.score(views(rng, 200, 0.0), views(rng, 200, 1.0)) > 0.75  # a coin passes with probability below 1e-20
    assert attack.queries_.shape == (8,)


def test_order_of_neurons_plays_no_part(fitted, rng):
    attack, _ = fitted
    victims = views(rng, 5, 0.5)
    layers = tuple(layer[:, :, rng.permutation(layer.shape[2])] for layer in victims.activations)
    renamed = ModelViews(victims.logits, QUERIES, activations=layers)
    assert np.allclose(attack.decision_function(renamed), attack.decision_function(victims), rtol=1e-5, atol=1e-5)
    shuffled = tuple(rng.permuted(layer, axis=2) for layer in victims.activations)  # each query in an order of its own
    broken = ModelViews(victims.logits, QUERIES, activations=shuffled)
    assert not np.allclose(attack.decision_function(broken), attack.decision_function(victims), atol=1e-3)


def test_a_decision_is_about_one_victim(fitted, rng):
    attack, _ = fitted
    victims = views(rng, 6, 0.5)
    alone = [attack.decision_function(victims[k])[0] for k in range(6)]
    assert np.allclose(attack.decision_function(victims), alone, rtol=1e-5, atol=1e-5)


def test_the_seed_decides(fitted, rng):
    attack, shadows = fitted
    victims = views(rng, 5, 0.5)
    again, other = clone(attack).fit(*shadows), clone(attack).set_params(random_state=1).fit(*shadows)
    assert np.array_equal(again.decision_function(victims), attack.decision_function(victims))
    assert not np.allclose(other.decision_function(victims), attack.decision_function(victims))


def test_what_can_not_be_read_is_refused(fitted, rng):
    attack, shadows = fitted
    with pytest.raises(ValueError, match="needs views with activations"):
        clone(attack).fit(shadows[0].black_box(), shadows[1].black_box())
    narrow = ModelViews(np.zeros((2, 12)), QUERIES, activations=(np.ones((2, 12, 5)), np.ones((2, 12, 9))))
    with pytest.raises(ValueError, match="hidden layers of"):
        attack.decision_function(narrow)
    infinite = ModelViews(np.zeros((2, 12)), QUERIES, activations=(np.full((2, 12, 5), np.inf), np.ones((2, 12, 4))))
    with pytest.raises(ValueError, match="must be finite"):
        attack.decision_function(infinite)
    with pytest.raises(ValueError, match="n_queries"):
        clone(attack).set_params(n_queries=1).fit(*shadows)
