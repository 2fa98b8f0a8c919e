"""Hidden neurons in another order give the same answer; a network fed with lists of neurons gives another one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from attacks.distribution.invariant_network import InvariantNetwork, LayerScale, read_layers
from attacks.distribution.layer_sets import neuron_layers
from attacks.distribution.permutation_invariant import PermutationInvariantClassifier
from attacks.distribution.views import ModelViews, QueryLabels
from experiments.flattened_twin import FlattenedNetwork, flattened_layers

QUERIES = QueryLabels(np.array([0, 1]), np.array([0, 1]))
MLP = {"0.weight": (6, 4), "0.bias": (6,), "2.weight": (5, 6), "2.bias": (5,), "4.weight": (2, 5), "4.bias": (2,)}
CNN = {
    "0.weight": (4, 2, 3, 3), "0.bias": (4,), "1.weight": (4,), "1.bias": (4,),
    "3.weight": (3, 4, 2, 2), "7.weight": (5, 3 * 6), "7.bias": (5,), "9.weight": (3, 5), "9.bias": (3,),
}  # fmt: skip
CHAINS = {"mlp": MLP, "cnn": CNN}


def random_weights(rng, shapes, n=3, shift=0.0):
    return {name: rng.normal(shift, 1, size=(n, *shape)).astype(np.float32) for name, shape in shapes.items()}


def permuted(weights, rng):
    """Rename the hidden neurons of every layer, in every model alike, and the columns above them."""
    found, order = {}, None
    last = [name for name, stack in weights.items() if stack.ndim > 2][-1]
    below = None
    for name, stack in weights.items():
        if stack.ndim > 2:
            below, order = order, rng.permutation(stack.shape[1]) if name != last else np.arange(stack.shape[1])
            if below is not None:
                grouped = stack.reshape(*stack.shape[:2], len(below), -1)[:, :, below]
                stack = grouped.reshape(stack.shape)
        found[name] = stack[:, order]
    return found


def invariant_answers(weights, other, seed, shadows=None):
    layers = neuron_layers(shadows or weights)
    scales = [LayerScale.of(layer, place) for place, layer in enumerate(layers)]
    network = InvariantNetwork(read_layers(layers, scales), 2, generator=torch.Generator().manual_seed(seed))
    return [network.log_odds(read_layers(neuron_layers(each), scales)).numpy() for each in (weights, other)]


@pytest.mark.parametrize("chain", CHAINS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_any_order_of_hidden_neurons_gives_the_same_answer(chain, seed):
    rng = np.random.default_rng(seed)
    weights = random_weights(rng, CHAINS[chain])
    before, after = invariant_answers(weights, permuted(weights, rng), seed)
    assert np.allclose(before, after, rtol=1e-5, atol=1e-5)
    assert np.ptp(before) > 1e-3  # and the answer isn't a constant


@pytest.mark.parametrize("chain", CHAINS)
def test_scales_do_not_see_the_order_either(chain, rng):
    weights = random_weights(rng, CHAINS[chain])
    other = permuted(weights, rng)
    fitted_on_one, fitted_on_other = (invariant_answers(weights, other, 0, shadows)[0] for shadows in (weights, other))
    assert np.allclose(fitted_on_one, fitted_on_other, rtol=1e-5, atol=1e-5)


def test_lists_of_neurons_depend_on_their_order(rng):
    weights = random_weights(rng, MLP)
    other = permuted(weights, rng)
    layers = flattened_layers(weights)
    network = FlattenedNetwork(layers, 2, generator=torch.Generator().manual_seed(0))
    before, after = (network.log_odds(flattened_layers(each)).numpy() for each in (weights, other))
    assert np.abs(before - after).max() > 1e-3


def test_columns_moved_alone_change_the_answer(rng):
    weights = random_weights(rng, MLP)
    broken = weights | {"2.weight": weights["2.weight"][:, :, ::-1]}  # another function
    before, after = invariant_answers(weights, broken, 0)
    assert np.abs(before - after).max() > 1e-3


def test_the_fast_path_is_the_formula_neuron_by_neuron(rng):
    weights = random_weights(rng, CNN, n=2)
    layers = neuron_layers(weights)
    scales = [LayerScale.of(layer, place) for place, layer in enumerate(layers)]
    network = InvariantNetwork(read_layers(layers, scales), 1, generator=torch.Generator().manual_seed(0))
    fast = network.log_odds(read_layers(layers, scales)).numpy()[0]
    assert np.allclose(fast, [plain_answer(network, layers, scales, model) for model in range(2)], rtol=1e-4, atol=1e-5)


def plain_answer(network, layers, scales, model):
    """The docstring's formulas with a loop over neurons, neurons below and positions."""
    below, representations = None, []
    for place, (layer, scale) in enumerate(zip(layers, scales, strict=True)):
        learned = []
        for j in range(layer.n_neurons):
            w, b = layer.incoming[model, j], layer.vectors[model, j]  # (k, P), (v,)
            parts = [w.flatten(), b] if place == 0 else [sum(x.clamp(min=0) for x in w), sum((-x).clamp(min=0) for x in w), b]
            feature = (torch.cat(parts) - scale.mean) / scale.scale
            if place:
                plain = [sum(w[k, p] * below[k] for k in range(len(w))) / scale.link for p in range(w.shape[1])]
                absolute = [sum(w[k, p].abs() * below[k] for k in range(len(w))) / scale.link for p in range(w.shape[1])]
                feature = torch.cat([feature, *plain, *absolute])
            learned.append(network.readers[place](feature[None])[0])
        below = torch.stack(learned)
        representations.append(below.mean(dim=0) if place < len(layers) - 1 else below.flatten())
    return float(network.answer(torch.cat(representations)[None]).detach())


def test_layers_are_read_in_groups_of_channels():
    layers = neuron_layers({name: np.zeros((2, *shape)) for name, shape in CNN.items()})
    assert [tuple(layer.incoming.shape[1:]) for layer in layers] == [(4, 2, 9), (3, 4, 4), (5, 3, 6), (3, 5, 1)]
    assert [layer.vectors.shape[2] for layer in layers] == [3, 0, 1, 1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "at least one layer"),
        ({"0.bias": np.zeros((2, 3))}, "don't belong to the neurons"),
        ({"0.weight": np.zeros((2, 3, 4)), "1.weight": np.zeros((2, 5))}, "don't belong to the neurons"),
        ({"0.weight": np.zeros((2, 3, 4)), "1.weight": np.zeros((2, 2, 6))}, "only chains"),
        ({"0.weight": np.zeros((2, 4, 3, 3, 3)), "1.weight": np.zeros((2, 4, 2, 3, 3))}, "only chains"),
        ({"0.weight": np.full((2, 3, 4), np.nan)}, "must be finite"),
    ],
)
def test_weights_that_are_no_chain_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        neuron_layers(weights)


def views(rng, n, shift):
    return ModelViews(np.zeros((n, 2)), QUERIES, random_weights(rng, MLP, n, shift))


@pytest.fixture
def fitted(rng):
    shadows = views(rng, 40, 0.0), views(rng, 30, 0.3)
    attack = PermutationInvariantClassifier(n_members=3, epochs=12, random_state=0)
    return attack.fit(*shadows), shadows


def test_worlds_are_told_apart(fitted, rng):
    attack, _ = fitted
    assert attack.score(views(rng, 200, 0.0), views(rng, 200, 0.3)) > 0.75  # about 0.95; a coin passes with probability below 1e-20
    assert attack.held_out_.accuracy.shape == (3,)


def test_a_decision_is_about_one_victim(fitted, rng):
    attack, _ = fitted
    victims = views(rng, 7, 0.1)
    together = attack.decision_function(victims)
    alone = [attack.decision_function(victims[k])[0] for k in range(7)]
    assert np.allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_the_seed_decides_whatever_torch_drew_before(fitted, rng):
    attack, shadows = fitted
    victims, threads = views(rng, 5, 0.1), torch.get_num_threads()
    torch.rand(3)
    state = torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        again = clone(attack).fit(*shadows)
        assert np.array_equal(again.decision_function(victims), attack.decision_function(victims))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)
    other = clone(attack).set_params(random_state=1).fit(*shadows)
    assert not np.allclose(other.decision_function(victims), attack.decision_function(victims))


def test_two_shadows_a_world_are_enough_to_run(rng):
    attack = PermutationInvariantClassifier(epochs=1, random_state=0).fit(views(rng, 2, 0), views(rng, 2, 0))
    assert np.isfinite(attack.decision_function(views(rng, 1, 0))).all()


def test_what_can_not_be_read_is_refused(fitted, rng):
    attack, shadows = fitted
    with pytest.raises(ValueError, match="needs views with weights"):
        clone(attack).fit(shadows[0].black_box(), shadows[1].black_box())
    other = ModelViews(np.zeros((2, 2)), QUERIES, random_weights(rng, CNN, 2))
    with pytest.raises(ValueError, match="must have the layers of the shadows"):
        attack.decision_function(other)
    with pytest.raises(ValueError, match="n_members"):
        clone(attack).set_params(n_members=0).fit(*shadows)
