import numpy as np
import pytest
from scipy.special import expit

from attacks.distribution.attack import WorldAttack
from attacks.distribution.views import ModelViews, QueryLabels, joined_views
from mechanisms.errors import WeakEvidenceWarning

QUERIES = QueryLabels(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]))


class _LastQuery(WorldAttack):
    """Says world 1 where the last query's margin is positive."""

    def _learn(self, shadow_0, shadow_1):
        self.learned_ = True

    def _decide(self, victims):
        return victims.margins[:, -1, 0]


@pytest.fixture
def views(rng):
    return ModelViews(rng.normal(size=(5, 4)), QUERIES, {"0.weight": rng.normal(size=(5, 3, 2))}, (rng.normal(size=(5, 4, 3)),))


def test_two_class_quantities_are_those_of_a_logit(views):
    f = views.margins[:, :, 0]
    assert np.allclose(views.probabilities[:, :, 1], expit(f))
    assert np.allclose(views.losses, np.where(QUERIES.label == 1, np.logaddexp(0, -f), np.logaddexp(0, f)))
    assert np.array_equal(views.correct, (f > 0) == (QUERIES.label == 1))


def test_huge_logits_do_not_overflow():
    views = ModelViews(np.array([[1e4, -1e4, 1e4, -1e4]]), QUERIES)
    assert np.array_equal(views.losses, [[1e4, 1e4, 0, 0]])


def test_selection_keeps_all_that_is_seen(views):
    one, some = views[-1], views[np.array([0, 2])]
    assert (len(one), len(some), len(views.black_box().weights)) == (1, 2, 0)
    assert np.array_equal(one.weights["0.weight"][0], views.weights["0.weight"][4])
    joined = joined_views(some, one)
    assert np.array_equal(joined.activations[0], views.activations[0][[0, 2, 4]])
    with pytest.raises(ValueError, match="same queries"):
        joined_views(views, views.black_box())


def test_some_queries_in_the_order_asked_for(views):
    places = np.array([3, 1])
    some = views.at_queries(places)
    assert np.array_equal(some.logits, views.logits[:, places])
    assert np.array_equal(some.activations[0], views.activations[0][:, places])
    assert (some.queries.label.tolist(), some.queries.world.tolist()) == ([0, 1], [True, False])
    assert len(views.at_queries(QUERIES.world).queries) == 2


def test_a_view_can_not_be_changed_from_outside(rng):
    logits = rng.normal(size=(2, 4))
    views = ModelViews(logits, QUERIES)
    logits[:] = 0
    assert np.abs(views.margins).min() > 0
    with pytest.raises(ValueError, match="read-only"):
        views.logits[0] = 1


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((2, 3)), "one column per query"),
        (np.full((2, 4), np.nan), "NaN"),
        (np.full((2, 4), -np.inf), "infinite"),
        (np.zeros(4), "must have shape"),
        (np.zeros((2, 4, 1)), "must have shape"),
    ],
)
def test_bad_logits_are_refused(logits, message):
    with pytest.raises(ValueError, match=message):
        ModelViews(logits, QUERIES)


def test_bad_queries_are_refused():
    with pytest.raises(ValueError, match="same length"):
        QueryLabels(np.array([0, 1]), np.array([1]))
    with pytest.raises(ValueError, match="classes"):
        QueryLabels(np.array([-1, 1]), np.array([1, 0]))
    with pytest.raises(ValueError, match="below the number of classes"):
        ModelViews(np.zeros((1, 2)), QueryLabels(np.array([0, 2]), np.array([1, 0])))


def test_the_base_counts_and_refuses(views, rng):
    attack = _LastQuery().fit(views, views)
    up, down = ModelViews(np.full((3, 4), 1.0), QUERIES), ModelViews(np.full((5, 4), -1.0), QUERIES)
    counts = attack.counts(down, up)
    assert (counts.tp, counts.fn, counts.tn, counts.fp) == (3, 0, 5, 0)
    with pytest.warns(WeakEvidenceWarning, match="same answer"):
        assert attack.score(down, down) == 0.5
    with pytest.warns(WeakEvidenceWarning, match="same answer"):
        assert attack.score(up, up) == 0.5
    assert attack.n_shadows_ == (5, 5)
    with pytest.raises(ValueError, match="at least 2"):
        _LastQuery().fit(views[0], views)
    with pytest.raises(ValueError, match="queries of the shadows"):
        attack.predict(ModelViews(rng.normal(size=(1, 2)), QueryLabels(np.array([0, 1]), np.array([0, 1]))))
