"""Per-record gradients of an affine map y_l = W a_l + b applied at L places: norms without gradients where that costs less.

Symbols: a (K, B, L, I) inputs, d (K, B, L, O) gradients of the record's loss at the outputs; a record's gradient is sum_l d_l a_l^T, and
sum_l d_l for the bias. L = 1: ||g||^2 = (||a||^2 + 1) ||d||^2 (the 1 is the bias). L > 1, Gram form:
||g||^2 = sum_{l,l'} (<a_l, a_l'> + 1) <d_l, d_l'>, in L^2 (I + O) operations and 2 L^2 floats a record; the gradient itself takes L I O
operations and I O floats, so it is made when I O < 2 L^2.

References
----------
Goodfellow, Efficient Per-Example Gradient Computations, 2015. Li, Tramer, Liang, Hashimoto, Large Language Models Can Be Strong
Differentially Private Learners, ICLR 2022 (ghost clipping). Bu, Mao, Xu, Scalable and Efficient Training of Large CNNs with DP, 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gradient_is_smaller(places: int, n_in: int, n_out: int) -> bool:
    """Whether the gradient of one record takes less room than its two Gram matrices; never for a single place."""
    return places > 1 and n_in * n_out < 2 * places * places


def add_plain_sums(a: Tensor, d: Tensor, weight: Tensor, bias: Tensor | None, *, sign: int) -> None:
    """Add sign * sum d a^T over rows and places to `weight` (K, O, I), and sign * sum d to `bias` (K, O).

    Parameters
    ----------
    a : (K, B L, I) inputs.
    d : (K, B L, O) output gradients.
    """
    weight.baddbmm_(d.transpose(1, 2), a, alpha=sign)
    if bias is not None:
        bias.add_(d.sum(dim=1), alpha=sign)


class AffineGradients:
    """Per-record gradients of one affine layer at one step.

    Parameters
    ----------
    a : (K, B, L, I) inputs, contiguous.
    d : (K, B, L, O) output gradients, contiguous; rescaled in place by `add_sums`.
    has_bias : whether b is trained.
    """

    def __init__(self, a: Tensor, d: Tensor, *, has_bias: bool) -> None:
        self._a, self._d, self._has_bias = a, d, has_bias
        self._made: Tensor | None = None  # (K, B, I * O)

    def squared_norms(self) -> Tensor:
        """Squared norm of every record's gradient, (K, B)."""
        places, n_in = self._a.shape[2:]
        if places == 1:
            a, d = self._a.squeeze(2), self._d.squeeze(2)
            return (_squares(a) + 1 if self._has_bias else _squares(a)) * _squares(d)
        if gradient_is_smaller(places, n_in, self._d.shape[3]):
            return self._norms_of_gradients()
        return self._norms_by_gram()

    def add_sums(self, factor: Tensor, weight: Tensor, bias: Tensor | None, *, sign: int) -> None:
        """Add sign * sum_b factor * gradient to `weight` (K, O, I) and `bias` (K, O)."""
        models, n_in = self._a.shape[0], self._a.shape[3]
        if self._made is not None:
            weight.add_((factor.unsqueeze(1) @ self._made).view(models, n_in, -1).transpose(1, 2), alpha=sign)
            self._made = None
            if bias is not None:
                bias.unsqueeze(1).baddbmm_(factor.unsqueeze(1), self._d.sum(dim=2), alpha=sign)
            return
        self._d.mul_(factor[:, :, None, None])
        self.add_plain_sums(weight, bias, sign=sign)

    def add_plain_sums(self, weight: Tensor, bias: Tensor | None, *, sign: int) -> None:
        """Add sign * sum of gradients to `weight` and `bias`."""
        add_plain_sums(self._a.flatten(1, 2), self._d.flatten(1, 2), weight, bias, sign=sign)

    def _norms_of_gradients(self) -> Tensor:
        a, d = self._a.flatten(0, 1), self._d.flatten(0, 1)
        self._made = (a.transpose(1, 2) @ d).view(*self._a.shape[:2], -1)
        squares = _squares(self._made)
        return squares + _squares(self._d.sum(dim=2)) if self._has_bias else squares

    def _norms_by_gram(self) -> Tensor:
        a, d = self._a.flatten(0, 1), self._d.flatten(0, 1)
        gram = a @ a.transpose(1, 2)
        if self._has_bias:
            gram += 1
        gram *= d @ d.transpose(1, 2)
        return gram.sum(dim=(1, 2)).clamp_(min=0).view(self._a.shape[:2])


def _squares(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1)
    return norm.square_()
