"""What all shadow models of an ensemble have in common: the update rule and its constants."""

from __future__ import annotations

import math
from dataclasses import dataclass

from attacks.shadow.losses import LOSSES, Loss

CLIP_STABILIZER = 1e-6  # Opacus's own: factor min(1, C / (norm + 1e-6))
OPTIMIZERS = ("sgd", "adam")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Constants of an update, checked by `ShadowTrainer`; see there."""

    lr: float
    noise_multiplier: float
    max_grad_norm: float
    momentum: float
    loss: str
    optimizer: str = "sgd"
    weight_decay: float = 0.0

    @property
    def loss_function(self) -> Loss:
        """The loss by its name."""
        return LOSSES[self.loss]

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped at all."""
        return math.isfinite(self.max_grad_norm)

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise on the sum of clipped gradients."""
        return self.noise_multiplier * self.max_grad_norm if self.noise_multiplier else 0.0
