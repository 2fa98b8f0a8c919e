"""Entropy penalty: keeps every head's entropy near a learnable share of what is possible, so that it neither averages nor collapses.

    delta = E[b,l,h,i] - theta[l,h] R_i         theta in (0, 1), learned with the weights; R_i = ln i "causal", ln T "logT"
    hinge   max(0, |delta| - gamma R_i)^2       continuous, with a continuous slope
    jump    delta^2 if |delta| > gamma R_i      as published: jumps at the margin
    loss    = cross-entropy + weight * mean over samples, layers, heads, positions (causal: i >= 2, the first row has no entropy)

theta has a gradient from the penalty alone and drifts towards its own head's entropy. A sum over samples and positions, as published, is as
strong as weight * B * T of a mean: it hangs on the batch size. Head mode averages entropies over samples and positions first and compares
with Ebar_max(T) or ln T. In evaluation (`.eval()`) the penalty is 0: a loss that is reported never contains it.

Cost: O(B L H T) a step, beside the entropies.

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025, algorithm 1 (head mode; its released code has position mode).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, cast, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import non_negative, one_of, whole_number
from private_inference.heads.entropy import causal_max_entropy, head_entropy

RowReference = Literal["causal", "logT"]
Mode = Literal["position", "head"]
Shape = Literal["hinge", "jump"]
PenaltyReduction = Literal["mean", "sum"]


@dataclass(frozen=True, slots=True)
class PenaltySettings:
    """What an `EntropyPenalty` computes; checked when made."""

    gamma: float
    weight: float
    reference: RowReference
    mode: Mode
    shape: Shape
    reduction: PenaltyReduction

    def __post_init__(self) -> None:
        non_negative(gamma=self.gamma)
        non_negative(weight=self.weight)
        one_of(get_args(RowReference), reference=self.reference)
        one_of(get_args(Mode), mode=self.mode)
        one_of(get_args(Shape), shape=self.shape)
        one_of(get_args(PenaltyReduction), reduction=self.reduction)
        if self.mode == "head" and self.reduction == "sum":
            raise ValueError("reduction='sum' sums over samples and positions, which mode='head' has averaged before; use reduction='mean'")

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record(asdict(self))


class Threshold(nn.Module):
    """The learnable shares theta, (L, H), in a leaf with one input: Opacus finds exact per-sample gradients.

    Parameters
    ----------
    theta : where the shares start, (L, H), each in (0, 1); theta = sigmoid(raw), raw is the parameter.
    reference : R_i = ln i or ln T.
    """

    def __init__(self, theta: Tensor, reference: RowReference) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.logit(theta).to(torch.get_default_dtype()))
        self.row_reference: RowReference = reference

    @property
    def value(self) -> Tensor:
        """Return theta, (L, H)."""
        return torch.sigmoid(self.raw)

    def forward(self, entropy: Tensor) -> Tensor:
        """Return delta = E - theta R of entropies (B, L, H, T), same shape."""
        return entropy - self.value[:, :, None] * row_references(entropy, self.row_reference)


class EntropyPenalty(nn.Module):
    """The penalty as a module whose parameters train with the model's, without weight decay.

    Parameters
    ----------
    n_layer, n_head : shape of theta.
    gamma : half width of the free zone, as a share of the reference, >= 0.
    weight : lambda, >= 0.
    reference : "causal", ln i; "logT", ln T, which early positions can't reach and which is kept for comparison with published runs.
    mode : "position" penalizes rows; "head" means of heads, and has no per-sample form.
    shape, reduction : see the head of the module; "sum" sums over samples and positions, and averages over layers and heads.
    theta_init : where theta starts, in (0, 1): one number or (L, H).

    Raises
    ------
    ValueError : a value out of its range, an unknown word, theta of another shape.

    Guarantee
    ---------
    `per_sample(e)[b]` depends on sample b and the parameters only. So per-sample gradients of a loss with it are those of single samples,
    the sum of gradients clipped to C changes by at most C when a sequence is added or removed, and DP-SGD's accounting holds unchanged.

    Examples
    --------
    >>> penalty = EntropyPenalty(1, 1, gamma=0.2, weight=1.0)
    >>> uniform = torch.arange(1.0, 5.0).log().expand(2, 1, 1, 4)  # delta = ln(i) / 2, beyond the margin by 0.3 ln i
    >>> bool(torch.isclose(penalty(uniform), 0.09 * uniform[..., 1:].square().mean()))
    True
    """

    def __init__(
        self,
        n_layer: int,
        n_head: int,
        *,
        gamma: float = 0.2,
        weight: float = 0.1,
        reference: RowReference = "causal",
        mode: Mode = "position",
        shape: Shape = "hinge",
        reduction: PenaltyReduction = "mean",
        theta_init: ArrayLike | Tensor = 0.5,
    ) -> None:
        super().__init__()
        self.n_layer, self.n_head = whole_number(1, n_layer=n_layer), whole_number(1, n_head=n_head)
        self.settings = PenaltySettings(gamma, weight, reference, mode, shape, reduction)
        self.threshold = Threshold(_theta(theta_init, self.n_layer, self.n_head), reference)

    @classmethod
    def reference(cls, n_layer: int, n_head: int) -> EntropyPenalty:
        """Return the penalty as released: jump at the margin, ln T, rows summed over samples and positions, gamma 0.2, lambda 1e-5."""
        return cls(n_layer, n_head, gamma=0.2, weight=1e-5, reference="logT", mode="position", shape="jump", reduction="sum")

    @property
    def theta(self) -> Tensor:
        """Return the learned shares, (L, H)."""
        return self.threshold.value

    def forward(self, entropy: Tensor) -> Tensor:
        """Return the term to add to the batch's loss, a scalar; 0 in evaluation.

        Parameters
        ----------
        entropy : row entropies (B, L, H, T) of `model(ids, return_entropy=True)`.

        Raises
        ------
        ValueError : NaN; another number of layers or heads; T < 2; head mode under Opacus.
        """
        if self.settings.mode == "head":
            return self._of_heads(entropy)
        samples = self.per_sample(entropy)
        return samples.sum() if self.settings.reduction == "sum" else samples.sum() / max(1, samples.numel())

    def per_sample(self, entropy: Tensor) -> Tensor:
        """Return each sample's own term, (B,): what training with differential privacy adds to that sample's loss; 0 in evaluation.

        Raises
        ------
        ValueError : as `forward`, and always in head mode, which averages over the batch.
        """
        if self.settings.mode == "head":
            raise ValueError("mode='head' averages entropies over the batch, so no sample has a term of its own; use mode='position'")
        self._check(entropy)
        if not self.training:
            return entropy.new_zeros(entropy.shape[0])
        terms = self._shaped(self.threshold(entropy), row_references(entropy, self.settings.reference))
        if self.settings.reference == "causal":
            terms = terms[..., 1:]
        per_head = terms.sum(dim=3) if self.settings.reduction == "sum" else terms.mean(dim=3)
        return self.settings.weight * per_head.mean(dim=(1, 2))

    def _of_heads(self, entropy: Tensor) -> Tensor:
        self._check(entropy)
        if hasattr(self.threshold.raw, "grad_sample"):
            raise ValueError("mode='head' averages entropies over the batch, which breaks Opacus' per-sample bound; use mode='position'")
        if not self.training:
            return entropy.new_zeros(())
        T = entropy.shape[3]
        most = causal_max_entropy(T) if self.settings.reference == "causal" else math.log(T)
        delta = head_entropy(entropy) - self.theta * most
        return self.settings.weight * self._shaped(delta, torch.full_like(delta, most)).mean()

    def _shaped(self, delta: Tensor, references: Tensor) -> Tensor:
        margin, distance = self.settings.gamma * references, delta.abs()
        if self.settings.shape == "hinge":
            return torch.relu(distance - margin).square()
        return torch.where(distance > margin, delta.square(), 0.0)

    def _check(self, entropy: Tensor) -> None:
        if entropy.ndim != 4 or entropy.shape[1:3] != (self.n_layer, self.n_head) or entropy.shape[3] < 2:
            raise ValueError(
                f"entropy must have shape (batch, {self.n_layer} layers, {self.n_head} heads, 2 or more positions), "
                f"got {tuple(entropy.shape)}"
            )
        if bool(entropy.isnan().any()):
            raise ValueError(
                "entropy must not contain NaN: the run has diverged; go back to the last finite step and lower the learning rate"
            )


def row_references(entropy: Tensor, reference: RowReference) -> Tensor:
    """Return R_i of the rows of entropies (..., T), shape (T,)."""
    T = entropy.shape[-1]
    if reference == "logT":
        return torch.full((T,), math.log(T), dtype=entropy.dtype, device=entropy.device)
    exact = torch.promote_types(entropy.dtype, torch.float32)  # half precision holds no odd number above 2048
    return torch.arange(1, T + 1, dtype=exact, device=entropy.device).log().to(entropy.dtype)


def _theta(theta_init: ArrayLike | Tensor, n_layer: int, n_head: int) -> Tensor:
    theta = torch.as_tensor(cast(float, theta_init), dtype=torch.float64).detach()
    if theta.ndim and theta.shape != (n_layer, n_head):
        raise ValueError(f"theta_init must be one number or have shape ({n_layer}, {n_head}), got {tuple(theta.shape)}")
    if not bool(((theta > 0) & (theta < 1)).all()):
        raise ValueError("theta_init must be in (0, 1); to hold a head near its largest entropy use 0.99")
    return theta.expand(n_layer, n_head).clone()
