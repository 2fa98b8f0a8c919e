"""The weights of a feed-forward network read as sets of neurons, layer by layer.

Renaming the hidden neurons of a layer, and with them the columns of the next one, leaves the network's function alone. A reader of
weights should therefore see neuron j of layer l as its own numbers b_j and the SET of pairs (W_jk, neuron k of layer l - 1).

    linear        W (n, k): n neurons, each sees k neurons below
    convolution   W (n, k, height, width): channels are the neurons; the P kernel positions make a vector W_jk of the pair (j, k)
    junction      linear after convolution: inputs are grouped by channel, W (n, k P) is read as (n, k, P)
    vectors       1-D parameters as long as the layer's neurons (bias, scale and shift of a normalization) belong to the neurons

Symbols: M models, n neurons, k neurons below, P positions, v vectors. Cost: one copy of the weights, M n (k P + v) floats.

References
----------
Ganju, Wang, Yang, Gunter, Borisov, Property Inference Attacks on Fully Connected Neural Networks using Permutation Invariant
Representations, CCS 2018. Zaheer et al., Deep Sets, NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NeuronLayer:
    """One layer of M models.

    Parameters
    ----------
    incoming : (M, n, k, P) weights of neuron j from neuron k below, a vector of P positions.
    vectors : (M, n, v) the neurons' own numbers: bias, scale, ...
    """

    incoming: Tensor
    vectors: Tensor

    @property
    def n_neurons(self) -> int:
        """Number of neurons n."""
        return int(self.incoming.shape[1])

    def __repr__(self) -> str:
        _, n, below, positions = self.incoming.shape
        return f"NeuronLayer(neurons={n}, below={below}, positions={positions}, vectors={self.vectors.shape[2]})"


@dataclass(slots=True, eq=False)
class _Open:
    """A layer whose vectors are still being collected."""

    name: str
    weight: Tensor
    vectors: list[Tensor] = field(default_factory=list)


def neuron_layers(weights: Mapping[str, NDArray[np.floating]]) -> tuple[NeuronLayer, ...]:
    """Read parameters by name, each (M, ...), as layers of neurons; the layers form a chain, in the order of the names.

    Parameters
    ----------
    weights : in PyTorch's order: weight, then bias, layer by layer.

    Raises
    ------
    ValueError : no weights; NaN or infinite ones; a shape that has no place in a chain of linear and convolution layers (embeddings,
        transposed and grouped convolutions).

    Examples
    --------
    >>> weights = {"0.weight": np.zeros((5, 4, 1, 3, 3)), "0.bias": np.zeros((5, 4)), "3.weight": np.zeros((5, 2, 4 * 49))}
    >>> neuron_layers(weights)
    (NeuronLayer(neurons=4, below=1, positions=9, vectors=1), NeuronLayer(neurons=2, below=4, positions=49, vectors=0))
    """
    opened: list[_Open] = []
    for name, stack in weights.items():
        tensor = torch.as_tensor(np.array(stack, dtype=np.float32))
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"weights '{name}' must be finite; a model that diverged can't take part in the game")
        if tensor.ndim > 2:
            opened.append(_Open(name, tensor))
        elif tensor.ndim == 2 and opened and tensor.shape[1] == opened[-1].weight.shape[1]:
            opened[-1].vectors.append(tensor)
        else:
            raise ValueError(f"weights '{name}' of shape {tuple(tensor.shape)} don't belong to the neurons of a layer before them")
    if not opened:
        raise ValueError("weights must hold the parameters of at least one layer, got none; white-box views are needed")
    return tuple(_closed(layer, opened[place - 1] if place else None) for place, layer in enumerate(opened))


def _closed(layer: _Open, below: _Open | None) -> NeuronLayer:
    models, n = layer.weight.shape[:2]
    vectors = torch.stack(layer.vectors, dim=2) if layer.vectors else torch.zeros(models, n, 0)
    k = int(layer.weight.shape[2])
    if below is not None:
        k = _neurons_below(layer, below)
    return NeuronLayer(layer.weight.reshape(models, n, k, -1).contiguous(), vectors.contiguous())


def _neurons_below(layer: _Open, below: _Open) -> int:
    """Return the neurons of the layer below; more inputs than neurons are allowed at a junction of convolution and linear only."""
    n_below, inputs = int(below.weight.shape[1]), int(layer.weight.shape[2])
    junction = layer.weight.ndim == 3 and below.weight.ndim > 3
    if inputs == n_below or (junction and inputs % n_below == 0):
        return n_below
    raise ValueError(
        f"layer '{layer.name}' has {inputs} inputs a neuron, the layer '{below.name}' before it {n_below} neurons; "
        "only chains of linear layers and ungrouped convolutions can be read"
    )
