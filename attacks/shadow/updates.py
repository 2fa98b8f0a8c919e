"""Updates of K models' weights, all in one flat buffer: SGD, SGD with momentum, Adam; elementwise, so models never meet.

Symbols: theta weights, w = weight_decay, h = (sum of gradients + noise) / divisor, which others add into `moved`; g = h + w theta is the L2
form of torch.optim.SGD and torch.optim.Adam (AdamW, which shrinks theta by itself, is another rule), m and v as in Kingma and Ba.
    SGD       theta -= lr g                             h lands in theta itself, so no buffer is needed
    momentum  u = mu u + g,  theta -= lr u              as torch's, which starts from u = g and has no (1 - mu)
    Adam      m, v: running means of g and g^2,  theta -= lr m^ / (sqrt(v^) + 1e-8), beta = (0.9, 0.999)
DP-SGD and DP-Adam differ from these by what h is: decay and running means come after the noise, as when Opacus wraps either optimizer.
Cost: one pass over the buffers.

References
----------
Kingma, Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, algorithm 1. Loshchilov, Hutter, Decoupled Weight Decay Regularization,
ICLR 2019 (why L2 and decay differ under Adam).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from attacks.shadow.settings import TrainingSettings

ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8


class Update(Protocol):
    """One step: `prepare`, then sign * pace * h is added to `moved`, then `finish`."""

    @property
    def moved(self) -> Tensor:
        """Where h goes, shaped like theta."""

    @property
    def pace(self) -> float:
        """What h is multiplied by on its way."""

    @property
    def sign(self) -> int:
        """Whether h is added or subtracted."""

    def prepare(self) -> None:
        """Make room for h; gradients have been taken, so theta may change."""

    def finish(self) -> None:
        """Move theta."""


def update_of(theta: Tensor, settings: TrainingSettings) -> Update:
    """Return the update that the settings ask for, of one flat buffer of weights."""
    if settings.optimizer == "adam":
        return AdamUpdate(theta, settings)
    return MomentumUpdate(theta, settings) if settings.momentum else SGDUpdate(theta, settings)


class SGDUpdate:
    """theta -= lr (h + w theta), h straight into theta."""

    sign = -1

    def __init__(self, theta: Tensor, settings: TrainingSettings) -> None:
        self.moved, self.pace = theta, settings.lr
        self._kept = 1 - settings.lr * settings.weight_decay

    def prepare(self) -> None:
        """Shrink the weights."""
        if self._kept != 1:
            self.moved.mul_(self._kept)

    def finish(self) -> None:
        """Do nothing: h is there already."""


class MomentumUpdate:
    """u = mu u + h + w theta, theta -= lr u."""

    sign, pace = 1, 1.0

    def __init__(self, theta: Tensor, settings: TrainingSettings) -> None:
        self.moved = torch.zeros_like(theta)
        self._theta, self._settings = theta, settings

    def prepare(self) -> None:
        """Slow down, and pull towards 0."""
        self.moved.mul_(self._settings.momentum)
        if self._settings.weight_decay:
            self.moved.add_(self._theta, alpha=self._settings.weight_decay)

    def finish(self) -> None:
        """Move by the velocity."""
        self._theta.sub_(self.moved, alpha=self._settings.lr)


class AdamUpdate:
    """torch's own fused Adam on the whole buffer."""

    sign, pace = 1, 1.0

    def __init__(self, theta: Tensor, settings: TrainingSettings) -> None:
        self.moved, self._mean, self._square = (torch.zeros_like(theta) for _ in range(3))
        self._theta, self._settings = theta, settings
        self._steps = torch.zeros(())

    def prepare(self) -> None:
        """Forget the last gradient."""
        self.moved.zero_()

    def finish(self) -> None:
        """Move by the running means."""
        self._steps.add_(1)
        torch._fused_adam_(
            [self._theta],
            [self.moved],
            [self._mean],
            [self._square],
            [],
            [self._steps],
            lr=self._settings.lr,
            beta1=ADAM_BETAS[0],
            beta2=ADAM_BETAS[1],
            weight_decay=self._settings.weight_decay,
            eps=ADAM_EPSILON,
            amsgrad=False,
            maximize=False,
        )
