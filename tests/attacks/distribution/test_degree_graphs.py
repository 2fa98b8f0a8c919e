"""Random graphs of a degree law, their labels and convolved features, and the game of two laws."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from attacks.distribution.degree_game import DegreeGame, mean_degree
from attacks.distribution.degree_graphs import (
    Graph,
    balanced_labels,
    convolved_features,
    edge_homophily,
    graph_of_degrees,
    is_graphical,
    node_features,
    random_degrees,
    random_graph,
)
from attacks.distribution.graph_degree import DegreeLaw, degree_law
from tests.attacks.distribution.synthetic import OutputLogistic, independence, linear_trainer

NARROW, WIDE = DegreeLaw(3, 1.0), DegreeLaw(40, 0.3)


def test_degrees_follow_the_law(rng):
    """Chi-squared at 1e-6; the law of another exponent must fail."""
    law = DegreeLaw(20, 1.5)
    counts = np.bincount(random_degrees(law, 20_000, rng=rng), minlength=21)[1:]
    assert chisquare(counts, 20_000 * law.pmf()).pvalue > 1e-6
    assert chisquare(counts, 20_000 * DegreeLaw(20, 1.7).pmf()).pvalue < 1e-6


@pytest.mark.parametrize("mean", [9, 13, 17])
def test_graphs_are_simple_and_keep_their_degrees(rng, mean):
    graph = random_graph(degree_law(mean), 400, rng=rng)
    assert graph.degrees.min() >= 1
    assert (graph.edges[:, 0] != graph.edges[:, 1]).all()
    assert len(np.unique(np.sort(graph.edges, axis=1), axis=0)) == len(graph.edges)
    again = graph_of_degrees(graph.degrees, labels=balanced_labels(400, 2, rng=rng), homophily=0.1, rng=rng) if mean == 9 else graph
    assert np.array_equal(again.degrees, graph.degrees)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=10))
def test_degrees_that_a_simple_graph_can_have(degrees):
    """Erdos and Gallai by their own double sum."""
    falling = sorted((min(d, len(degrees)) for d in degrees), reverse=True)
    holds = [sum(falling[:k]) <= k * (k - 1) + sum(min(d, k) for d in falling[k:]) for k in range(1, len(falling) + 1)]
    assert is_graphical(np.array(falling)) == all(holds)


def test_impossible_graphs_are_refused(rng):
    with pytest.raises(ValueError, match="even sum, got 3"):
        graph_of_degrees(np.array([1, 1, 1]), rng=rng)
    with pytest.raises(ValueError, match="no simple graph of these 4 degrees"):
        graph_of_degrees(np.array([4, 4, 1, 1]), rng=rng)
    with pytest.raises(ValueError, match="n_nodes must be above the largest degree 40"):
        random_graph(WIDE, 40, rng=rng)
    with pytest.raises(ValueError, match="n_nodes must be even"):
        random_graph(DegreeLaw(1, 1.0), 5, rng=rng)


@pytest.mark.parametrize("law", [DegreeLaw(40, 0.5), DegreeLaw(10, 1.0)])
def test_edges_within_a_label_are_as_many_whatever_the_degrees(rng, law):
    """h + (1 - h) / K of at least 8,000 edges to 0.035: 6 sd of the share, nearly. False alarm below 1e-6."""
    degrees = random_degrees(law, 6000, rng=rng)
    for n_classes, homophily in ((2, 0.0), (2, 0.5), (3, 0.8)):
        labels = balanced_labels(6000, n_classes, rng=rng)
        assert np.bincount(labels).tolist() == [6000 // n_classes] * n_classes
        graph = graph_of_degrees(degrees, labels=labels, homophily=homophily, rng=rng)
        assert np.array_equal(graph.degrees, degrees)
        assert edge_homophily(graph, labels) == pytest.approx(homophily + (1 - homophily) / n_classes, abs=0.035)


def test_convolution_is_the_dense_product(rng):
    graph = random_graph(DegreeLaw(6, 1.0), 30, rng=rng)
    A = np.eye(30)
    A[graph.edges[:, 0], graph.edges[:, 1]] = A[graph.edges[:, 1], graph.edges[:, 0]] = 1
    S = A / np.sqrt(np.outer(A.sum(axis=0), A.sum(axis=0)))
    x = rng.normal(size=(30, 2))
    assert np.allclose(convolved_features(graph, x), np.concatenate([x, S @ x, S @ S @ x], axis=1))
    assert np.array_equal(convolved_features(graph, x, n_hops=0), x)
    lonely = Graph(2, np.zeros((0, 2), dtype=np.int64))
    assert np.array_equal(convolved_features(lonely, x[:2], n_hops=1), np.concatenate([x[:2], x[:2]], axis=1))


def test_features_are_prototypes_and_noise(rng):
    """Means of 20,000 draws to 0.05, 7 sd. False alarm below 1e-6."""
    labels = np.repeat([0, 1], 20_000)
    x = node_features(labels, np.array([[1.0, 0], [0, -2]]), rng=rng)
    assert np.allclose([x[labels == k].mean(axis=0) for k in (0, 1)], [[1, 0], [0, -2]], atol=0.05)


def degree_game(law0, law1, **options):
    trainer = replace(linear_trainer(), make_model=partial(nn.Linear, 12, 2))
    return DegreeGame(law0, law1, 300, n_features=4, n_queries=200, trainer=trainer, **options)


def test_far_laws_are_told_apart(rng):
    result = degree_game(NARROW, WIDE).run([OutputLogistic()], n_shadow=20, n_victim=40, rng=rng)
    assert independence(result.counts) < 1e-6
    assert result.n_leaked() >= 1
    assert result.n_leaked(method="renyi_inf") <= result.n_leaked()
    assert "not independent draws" in result.caveats[0]
    assert result.settings.worlds == pytest.approx((mean_degree(NARROW), mean_degree(WIDE)))
    assert json.loads(json.dumps(result.to_dict()))["degree_laws"] == [{"largest": 3, "exponent": 1.0}, {"largest": 40, "exponent": 0.3}]
    with pytest.raises(ValueError, match="method must be 'exact' or 'renyi_inf'"):
        result.n_leaked(method="kl")


def test_equal_laws_can_not_be_told_apart(rng):
    """False alarm 1e-6."""
    result = degree_game(NARROW, NARROW).run([OutputLogistic()], n_shadow=20, n_victim=40, rng=rng)
    assert independence(result.counts) > 1e-6


def test_same_seed_same_result():
    game = degree_game(NARROW, WIDE)
    assert game.run([OutputLogistic()], n_shadow=3, n_victim=3, rng=2) == game.run([OutputLogistic()], n_shadow=3, n_victim=3, rng=2)


def test_queries_are_more_than_one_graph_has(rng):
    source = DegreeGame(NARROW, WIDE, 100, n_queries=501).worlds(rng=rng)
    assert np.bincount(source.query_world).tolist() == [251, 250]


def test_bad_games_are_refused():
    with pytest.raises(ValueError, match="n_nodes must be above the largest degree 253"):
        DegreeGame(13, 9, 200)
    with pytest.raises(ValueError, match="mean_degree must be a whole number from 9 to 17"):
        DegreeGame(3, 9, 500)
    with pytest.raises(ValueError, match="n_classes must be a whole number >= 2"):
        DegreeGame(13, 9, 500, n_classes=1)
