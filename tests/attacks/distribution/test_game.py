"""The game of two ratios: figures under the null and a planted leak, pools, seeds, selection, refusals.

Guesses of a fixed attack on independent victims are two binomials; where the worlds are equal Fisher's exact test is below 1e-6 with
probability at most 1e-6. The planted leak (a share of .5 against .1) must be found.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from attacks.distribution.defense import RebalanceDefense
from attacks.distribution.leakage import n_leaked
from attacks.distribution.shadow_accuracy import shadow_accuracy
from attacks.distribution.views import ModelViews, QueryLabels
from tests.attacks.distribution.synthetic import FirstWeights, HiddenMeans, Nothing, OutputLogistic, independence, small_game

ATTACK = OutputLogistic()


def fit_logistic(inputs, labels, rng):
    return LogisticRegression().fit(inputs, labels)


# --- what the figures mean ---


def test_a_planted_leak_is_found(rng):
    result = small_game(rng).run([ATTACK], n_shadow=30, n_victim=50, rng=rng)
    assert independence(result.counts) < 1e-6
    assert result.accuracy > 0.75
    assert result.n_leaked() == n_leaked(result.accuracy, 0.5, 0.1) > 0
    assert result.findings == ()


@pytest.mark.parametrize("method", ["quota", "iid"])
def test_equal_ratios_can_not_be_told(rng, method):
    """False alarm 1e-6."""
    result = small_game(rng, 0.3, 0.3, method=method).run([ATTACK], n_shadow=30, n_victim=60, rng=rng)
    assert independence(result.counts) > 1e-6


def test_shuffled_world_labels_can_not_be_told(rng):
    """Shadow models of mixed worlds teach nothing about a random mark. False alarm 1e-6."""
    game = small_game(rng)
    source = game.worlds((0.5, 0.1), 200, rng=rng)
    prop = game.prop[source.samples("adversary", [0.5] * 3 + [0.1] * 3, rng=rng).ids[0]]
    assert prop.mean() == 0.5
    from attacks.distribution.rounds import Rounds, sight_of

    rounds = Rounds(worlds=source, train=game.trainer, seed=1, sight=sight_of([ATTACK]), n_models=240)
    shadows = rounds.views("adversary", rng.permutation([0.5, 0.1] * 30).tolist(), rng=rng)
    victims = rounds.views("victim", rng.permutation([0.5, 0.1] * 60).tolist(), rng=rng)
    fitted = OutputLogistic().fit(shadows[:30], shadows[30:])
    assert independence(fitted.counts(victims[:60], victims[60:])) > 1e-6


def test_fixed_cells_leave_nothing_to_find(rng):
    """The guarantee of `RebalanceDefense`. False alarm 1e-6."""
    result = small_game(rng, defense=RebalanceDefense()).run([ATTACK], n_shadow=40, n_victim=80, rng=rng)
    assert independence(result.counts) > 1e-6
    assert result.training_sizes[0] == result.training_sizes[1]
    assert result.findings == ()
    assert result.settings.defense["cells"] != "public"


@pytest.mark.slow
def test_fixed_cells_leave_nothing_in_many_games(rng):
    """Of 60 independent games at most 5 % are significant at 5 %: above 14 has probability 2e-7. Property alone: nearly all are."""

    def n_significant(defense):
        games = (small_game(rng, n_train=400, alpha1=0.05, defense=defense) for _ in range(60))
        return sum(independence(game.run([ATTACK], n_shadow=20, n_victim=40, rng=rng).counts) < 0.05 for game in games)

    assert n_significant(RebalanceDefense()) <= 14
    assert n_significant(RebalanceDefense(cells=None, fixed_size=40)) > 30


@pytest.mark.parametrize("fixed_size", [None, 40])
def test_balancing_the_property_alone_is_caught(rng, fixed_size):
    """The broken twin: P(label | property) still depends on alpha, as the label rate is fixed; without a fixed size, so does the size."""
    defense = RebalanceDefense(cells=None, fixed_size=fixed_size)
    result = small_game(rng, n_train=400, alpha1=0.05, defense=defense).run([ATTACK], n_shadow=40, n_victim=200, rng=rng)
    assert independence(result.counts) < 1e-6
    assert [finding.name for finding in result.findings] == ([] if fixed_size else ["size_side_channel"])
    if not fixed_size:
        assert result.training_sizes == ((400, 400), (40, 40))
        assert "40 training records on average in world 0.05, 400 in world 0.5" in result.findings[0].message


def test_oversampling_trains_on_copies(rng):
    defense = RebalanceDefense(cells=None, mode="over")
    result = small_game(rng, defense=defense).run([ATTACK], n_shadow=4, n_victim=4, rng=rng)
    assert result.training_sizes == ((200, 200), (360, 360))


def test_an_adversary_who_ignores_the_defense_trains_undefended_shadows(rng):
    game = small_game(rng, defense=RebalanceDefense(cells=None), adaptive=False)
    source = game.worlds((0.5, 0.1), 200, rng=rng)
    assert source.samples("adversary", [0.5, 0.1], rng=rng).sizes.tolist() == [200, 200]
    assert source.samples("victim", [0.5, 0.1], rng=rng).sizes.tolist() == [200, 40]
    assert not game.run([ATTACK], n_shadow=3, n_victim=3, rng=rng).settings.adaptive


# --- pools, seeds, blocks ---


def test_pools_are_disjoint_and_queries_train_no_model(rng):
    game = small_game(rng)
    source = game.worlds((0.5, 0.1), 200, rng=rng)
    adversary, victim = (set(source.pools[side].tolist()) for side in ("adversary", "victim"))
    assert not adversary & victim
    assert len(adversary) + len(victim) + 100 == 6000
    for side, pool in (("adversary", adversary), ("victim", victim)):
        for ids in source.samples(side, [0.5, 0.1], rng=rng).ids:
            assert set(ids.tolist()) <= pool
    assert source.queries.labels.world.sum() == 50
    asked = {tuple(row) for row in source.queries.inputs}
    assert not asked & {tuple(row) for row in source.inputs[list(adversary | victim)]}


def test_the_scaler_knows_the_adversarys_pool_only(rng):
    game = small_game(rng)
    source = game.worlds((0.5, 0.1), 200, rng=np.random.default_rng(1))
    changed = np.array(game.X)
    changed[source.pools["victim"]] += 100
    other = small_game(rng)
    object.__setattr__(other, "X", changed)
    for name in ("y", "prop", "label_rate"):
        object.__setattr__(other, name, getattr(game, name))
    again = other.worlds((0.5, 0.1), 200, rng=np.random.default_rng(1))
    assert np.array_equal(source.queries.inputs, again.queries.inputs)
    raw = small_game(rng, standardize=False)
    assert raw.worlds((0.5, 0.1), 200, rng=rng).inputs is raw.X


def test_both_worlds_share_size_and_label_rate(rng):
    game = small_game(rng, label_rate=0.25)
    source = game.worlds((0.5, 0.1), 200, rng=rng)
    for alpha in (0.5, 0.1):
        (ids,) = source.samples("victim", [alpha], rng=rng).ids
        assert (len(ids), game.y[ids].sum(), game.prop[ids].sum()) == (200, 50, 200 * alpha)


def test_same_seed_same_result(rng):
    game = small_game(rng)
    runs = [game.run([ATTACK], n_shadow=5, n_victim=6, rng=seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0].settings.entropy == "3"
    assert runs[0].to_dict() != runs[2].to_dict()


def test_blocks_have_shadows_of_their_own(rng):
    result = small_game(rng).run([ATTACK], n_shadow=5, n_victim=7, repeats=3, rng=rng)
    outcome = result.outcome()
    assert [block.n_members for block in outcome.blocks] == [3, 2, 2]
    assert result.counts.n_members == result.counts.n_non_members == 7
    assert sum(block.tp for block in outcome.blocks) == result.counts.tp


def test_the_attack_is_selected_on_shadow_models(rng):
    result = small_game(rng).run([Nothing(), ATTACK], n_shadow=20, n_victim=10, rng=rng)
    assert result.selected == "OutputLogistic"
    assert result.outcome("Nothing").accuracy == 0.5
    assert [finding.name for finding in result.findings] == ["one_sided_answers"]
    assert [row["attack"] for row in result.table()] == ["OutputLogistic", "Nothing"]
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["selected"] == "OutputLogistic"
    with pytest.raises(ValueError, match="attack must be one of 'Nothing', 'OutputLogistic'"):
        result.outcome("best")


def test_shadow_accuracy_is_of_models_held_out(rng):
    """On noise an attack that fits everything has accuracy 1 on what it saw, 1/2 on what it didn't. False alarm 1e-6 (5 sd)."""
    queries = QueryLabels(np.arange(200) % 2, np.arange(200) >= 100)
    shadows = [ModelViews(rng.normal(size=(50, 200)), queries) for _ in range(2)]
    eager = OutputLogistic(C=100.0)
    assert eager.fit(*shadows).score(*shadows) == 1
    assert abs(shadow_accuracy(eager, *shadows, rng=rng) - 0.5) < 0.25
    assert shadow_accuracy(eager, shadows[0][:2], shadows[1], rng=rng) is None


def test_no_name_of_victims_changes_what_was_fitted(rng):
    """An attack given to the game stays as it was."""
    attack = OutputLogistic()
    small_game(rng).run([attack], n_shadow=3, n_victim=2, rng=rng)
    assert not hasattr(attack, "model_")


# --- who trains, what is seen ---


def test_white_box_and_black_box_in_lock_step(rng):
    game = small_game(rng, trainer=None, n_train=100)
    attacks = {"weights": FirstWeights(), "activations": HiddenMeans(), "outputs": ATTACK}
    result = game.run(attacks, n_shadow=4, n_victim=3, rng=rng)
    assert [outcome.access for outcome in result.outcomes] == ["white box", "white box", "black box"]
    assert result.settings.trainer == "ShadowTrainer"


def test_own_training_code_and_several_labels(rng):
    game = small_game(rng, n_labels=3, trainer=fit_logistic)
    result = game.run([ATTACK], n_shadow=12, n_victim=12, rng=rng)
    assert game.n_classes == 3
    assert result.settings.trainer == "fit_logistic"
    assert result.outcome().shadow_accuracy > 0.5
    with pytest.raises(ValueError, match="white-box attack needs the weights"):
        game.run([FirstWeights()], n_shadow=3, n_victim=3, rng=rng)


def test_several_labels_in_lock_step(rng):
    result = small_game(rng, n_labels=3).run([ATTACK], n_shadow=30, n_victim=50, rng=rng)
    assert independence(result.counts) < 1e-6


def test_a_trainer_that_shows_the_world_by_its_length_is_named(rng):
    """`t_` of scikit-learn's network is the number of records seen; this one trains longer where the property is rare."""

    def train(inputs, labels, rng):
        epochs = 2 if inputs[:, 2].std() > 0.8 else 3
        model = MLPClassifier((2,), solver="sgd", max_iter=epochs, n_iter_no_change=99, random_state=int(rng.integers(2**31)))
        for _ in range(epochs):
            model.partial_fit(inputs, labels, classes=[0, 1])
        return model

    result = small_game(rng, n_train=50, trainer=train).run([ATTACK], n_shadow=3, n_victim=3, rng=rng)
    assert [finding.name for finding in result.findings if "seen in training" in finding.message] == ["size_side_channel"]


def test_progress_reaches_the_end(rng):
    seen = []
    small_game(rng).run([ATTACK], n_shadow=3, n_victim=4, repeats=2, rng=rng, progress=lambda *at: seen.append(at))
    assert seen[-1] == (20, 20, "victims")
    assert {label for *_, label in seen} == {"shadow models", "victims"}


# --- refusals ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha1": 1.5}, "alpha1 must be in"),
        ({"n_train": 0}, "n_train must be a whole number >= 1"),
        ({"adversary_share": 1.0}, "adversary_share must be in"),
        ({"method": "all"}, "method must be one of"),
        ({"label_rate": 0.0}, "label_rate must be positive for at least two labels"),
        ({"n_queries": 1}, "n_queries must be a whole number >= 2"),
    ],
)
def test_bad_settings_are_refused(rng, options, message):
    with pytest.raises(ValueError, match=message):
        small_game(rng, **options)


def test_bad_tables_are_refused(rng):
    from dataclasses import replace

    game = small_game(rng)
    for change, message in (
        ({"y": np.zeros(6000, dtype=int)}, "at least two labels, got one"),
        ({"prop": np.zeros(6000)}, "no record has prop == 1"),
        ({"prop": np.zeros(10)}, "lengths must agree"),
        ({"X": np.full((6000, 2), np.nan)}, "X must be finite, got 12000"),
        ({"X": np.array([["a"]] * 6000)}, "X must hold numbers"),
        ({"X": np.zeros(6000)}, "X must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(game, **change)


def test_too_little_is_refused(rng):
    game = small_game(rng)
    with pytest.raises(ValueError, match="n_shadow must be a whole number >= 2, got 1"):
        game.run([ATTACK], n_shadow=1, n_victim=3, rng=rng)
    with pytest.raises(ValueError, match="n_shadow must be at least 3 to choose among 2 attacks"):
        game.run([ATTACK, Nothing()], n_shadow=2, n_victim=3, rng=rng)
    with pytest.raises(ValueError, match="n_victim must be at least repeats"):
        game.run([ATTACK], n_shadow=3, n_victim=1, repeats=2, rng=rng)
    with pytest.raises(ValueError, match="at least one attack"):
        game.run([], n_shadow=3, n_victim=1, rng=rng)
    with pytest.raises(ValueError, match="names of their own"):
        game.run([ATTACK, ATTACK], n_shadow=3, n_victim=1, rng=rng)
    with pytest.raises(ValueError, match=r"the cell \(prop == [01], y == [01]\) holds \d+ records"):
        small_game(rng, n_train=2900).run([ATTACK], n_shadow=3, n_victim=3, rng=rng)
