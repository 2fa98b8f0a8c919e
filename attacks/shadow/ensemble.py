"""Shadow models trained in lock-step: K trainings by (DP-)SGD or (DP-)Adam for little more than the arithmetic of one batched training.

`ShadowTrainer` says how; `.train` takes one pool of records and, for each model, who of the pool is a member. Everything random about
model number j is a function of (seed, j): training it alone or beside others gives the same weights up to rounding.
Symbols: q = sample_rate, sigma = noise_multiplier, C = max_grad_norm, E = expected_batch_size, b = batch_size, N = records in the pool,
K = models.
Cost: as `lockstep` for a module it has a form for; otherwise one training after the other, which the log says.

References
----------
Shokri et al., Membership Inference Attacks Against Machine Learning Models, S&P 2017. Carlini et al., Membership Inference Attacks From
First Principles, S&P 2022. Abadi et al., Deep Learning with Differential Privacy, CCS 2016.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from attacks.shadow.batch_rules import BatchRule, batch_rule
from attacks.shadow.groups import Ensemble, train_in_lock_step, train_one_by_one
from attacks.shadow.layers.recognize import obstacle_of
from attacks.shadow.losses import LOSSES
from attacks.shadow.pool import Pool, as_pool
from attacks.shadow.settings import OPTIMIZERS, TrainingSettings
from attacks.shadow.shadow_models import ShadowModels
from attacks.shadow.streams import model_streams, new_module
from mechanisms.validation import in_range, non_negative, one_of, positive, whole_number

Progress = Callable[[int, int, str], None]
_LARGEST_ID = 2**31 - 1
_OWN_SIZE = "a shuffled batch is divided by its own size"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShadowTrainer:
    """How to train shadow models: by SGD or Adam, and differentially private if they clip and add noise to Poisson batches.

    Parameters
    ----------
    make_model : returns a fresh module; its first weights are drawn from the model's own stream, whatever draws them through torch.
    lr : step size, constant.
    batches : "poisson", independent coins, which takes `steps` and `sample_rate`; or "shuffled", epochs of minibatches as torch and
        scikit-learn train, which takes `epochs` and `batch_size` and no noise.
    steps : number of updates.
    sample_rate : probability q of every member in every batch, in (0, 1].
    epochs : passes over a model's members, each in a fresh order.
    batch_size : b, members of a batch; the last one of an epoch is short if b does not divide them. Sums are divided by its own size.
    noise_multiplier : sigma >= 0; noise of standard deviation sigma C is added to every sum of clipped gradients.
    max_grad_norm : C > 0; inf does not clip.
    expected_batch_size : E, the constant that sums are divided by; None means q N / 2, for designs where half of the pool trains each
        model. It must not be computed from who is a member: a divisor that tells n from n - 1 members is a leak of its own.
    loss : "cross_entropy", "binary_cross_entropy" (one logit) or "squared_error" (mean over outputs).
    optimizer : "sgd", or "adam" with torch's betas 0.9 and 0.999 and epsilon 1e-8. Under DP both get the noisy sum over E, as in Opacus.
    momentum : of torch's SGD, in [0, 1).
    weight_decay : w >= 0; w theta is added to the gradient after its noise: the L2 form of torch.optim.SGD and Adam, not AdamW.
    seed : of the whole ensemble; with a model's number it fixes all that is random about the model.
    models_at_once : size of the groups that go in lock-step; None chooses by memory. It does not change the result beyond rounding.

    Raises
    ------
    ValueError : a value out of its range, one that the batches need or do not take, noise without clipping or on shuffled batches.
    TypeError : a value of another type.

    Notes
    -----
    The noise is pseudo-random and repeatable: these models are references for an attack, never a private release. (Nested) Sequential of
    Linear, Conv2d, Embedding, LayerNorm, GroupNorm, activations, pooling, Flatten goes in lock-step. Anything else is trained one by one,
    by Opacus if clipped and by torch if not, with the same batches and noise; a warning in the log names the layer.

    Examples
    --------
    >>> trainer = ShadowTrainer(lambda: nn.Linear(2, 2), lr=0.5, steps=20, sample_rate=0.5, max_grad_norm=1.0, noise_multiplier=1.0, seed=7)
    >>> inputs, targets = np.eye(2)[[0, 1] * 4], np.array([0, 1] * 4)
    >>> member = np.array([[1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]])
    >>> trainer.train(inputs, targets, member).logits(inputs).shape
    (2, 8, 2)
    >>> trainer = ShadowTrainer(lambda: nn.Linear(2, 2), lr=0.01, optimizer="adam", batches="shuffled", epochs=20, batch_size=3, seed=7)
    >>> trainer.train(inputs, targets, member).model_ids
    (0, 1)
    """

    make_model: Callable[[], nn.Module]
    _: KW_ONLY
    lr: float
    steps: int | None = None
    sample_rate: float | None = None
    noise_multiplier: float = 0.0
    max_grad_norm: float = math.inf
    expected_batch_size: float | None = None
    loss: str = "cross_entropy"
    momentum: float = 0.0
    seed: int
    models_at_once: int | None = None
    optimizer: str = "sgd"
    weight_decay: float = 0.0
    batches: str = "poisson"
    batch_size: int | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.make_model):
            raise TypeError(f"make_model must be callable, got {type(self.make_model).__name__}")
        checked = {
            "lr": positive(lr=self.lr),
            "noise_multiplier": non_negative(noise_multiplier=self.noise_multiplier),
            "max_grad_norm": in_range(0, math.inf, closed="right", max_grad_norm=self.max_grad_norm),
            "loss": one_of(tuple(LOSSES), loss=self.loss),
            "momentum": in_range(0, 1, closed="left", momentum=self.momentum),
            "seed": whole_number(seed=self.seed),
            "optimizer": one_of(OPTIMIZERS, optimizer=self.optimizer),
            "weight_decay": non_negative(weight_decay=self.weight_decay),
        }
        if self.expected_batch_size is not None:
            checked["expected_batch_size"] = positive(expected_batch_size=self.expected_batch_size)
        if self.models_at_once is not None:
            checked["models_at_once"] = whole_number(1, models_at_once=self.models_at_once)
        rule = self.rule
        checked |= {name: getattr(rule, name) for name in rule.__slots__}
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._refuse_what_does_not_go_together()

    def _refuse_what_does_not_go_together(self) -> None:
        if self.noise_multiplier and self.batches == "shuffled":
            raise ValueError(
                f"noise_multiplier must be 0 with batches='shuffled', got {self.noise_multiplier}; accounting for Poisson batches does not "
                "cover shuffled ones, so take batches='poisson'"
            )
        if self.expected_batch_size is not None and self.batches == "shuffled":
            raise ValueError(f"expected_batch_size must be None with batches='shuffled', got {self.expected_batch_size}; {_OWN_SIZE}")
        if self.momentum and self.optimizer == "adam":
            raise ValueError(f"momentum must be 0 with optimizer='adam', got {self.momentum}; Adam has its own running means")
        if self.noise_multiplier and math.isinf(self.max_grad_norm):
            raise ValueError(f"noise_multiplier must be 0 without clipping, got {self.noise_multiplier}; give a finite max_grad_norm")

    def train(
        self,
        inputs: ArrayLike | Tensor,
        targets: ArrayLike | Tensor,
        member: ArrayLike,
        *,
        model_ids: Sequence[int] | None = None,
        expected_batch_size: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> ShadowModels:
        """Train one model per row of `member`.

        Parameters
        ----------
        inputs : (N, ...) records of the pool; floats, or whole numbers for a module that starts with an embedding.
        targets : (N,) classes, or (N,) or (N, C) floats for the other losses.
        member : (K, N) bool, or 0 and 1; row k says who trains model k. Models may have different numbers of members.
        model_ids : K distinct numbers >= 0 that choose the models' random streams; None means 0 to K - 1.
        expected_batch_size : (K,) constants E_k in place of the trainer's one, for Poisson batches.
        progress : called with (models done, K, "shadow models").

        Returns
        -------
        The trained models, in the order of the rows.

        Raises
        ------
        ValueError : shapes that do not fit, NaN or infinite values, labels or tokens out of range, membership other than 0 and 1, repeated
            model numbers, or no E given while a model's members are far from half of the pool.

        Guarantee
        ---------
        Neighbors: add or remove one member of a model. A step changes a sum by at most C in L2 norm and adds Gaussian noise of standard
        deviation sigma C, on batches of independent coins q: `steps` compositions of the Poisson-subsampled Gaussian mechanism, the one
        that Opacus's hooks mode runs (`mechanisms.dp_sgd_epsilon`). Dividing by E is post-processing as E does not depend on members.
        Momentum, weight decay and Adam are post-processing too. It holds for Poisson batches and ideal noise; this noise is seeded, and
        models that share records compose.
        """
        template = new_module(self.make_model, model_streams(self.seed, 0).module)
        pool = as_pool(inputs, targets, member, module=template, loss=LOSSES[self.loss])
        ids = _as_model_ids(model_ids, len(pool.member))
        sizes = self._expected_batch_sizes(pool, expected_batch_size)
        ensemble = Ensemble(self.make_model, self.seed, ids, pool, sizes, self.settings, self.rule)
        order = np.argsort(ensemble.n_steps(), kind="stable")  # models of one group should end together
        ensemble = ensemble.in_order(order.tolist())
        obstacle = obstacle_of(template)
        if obstacle is None:
            states = train_in_lock_step(ensemble, template, self.models_at_once)
        else:
            by = "Opacus" if self.settings.clips else "torch"
            text = "training %d shadow models one by one (%s), not in lock-step: %s at %s %s"
            _logger.warning(text, len(ids), by, obstacle.layer, obstacle.place, obstacle.reason)
            states = train_one_by_one(ensemble)
        parts = []
        for done, state in states:
            parts.append(state)
            if progress is not None:
                progress(done, len(ids), "shadow models")
        back = torch.from_numpy(np.argsort(order))
        weights = {name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}
        return ShadowModels(weights, tuple(ids), template.eval())

    @property
    def settings(self) -> TrainingSettings:
        """How all models are updated."""
        return TrainingSettings(
            lr=self.lr,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.max_grad_norm,
            momentum=self.momentum,
            loss=self.loss,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
        )

    @property
    def rule(self) -> BatchRule:
        """How all models draw their batches."""
        return batch_rule(self.batches, sample_rate=self.sample_rate, steps=self.steps, batch_size=self.batch_size, epochs=self.epochs)

    def _expected_batch_sizes(self, pool: Pool, given: ArrayLike | None) -> list[float]:
        models, records = pool.member.shape
        counts = pool.member.sum(axis=1)
        if self.sample_rate is None:
            if given is not None:
                raise ValueError(f"expected_batch_size must be None with batches='shuffled', got one per model; {_OWN_SIZE}")
            if not counts.all():
                raise ValueError(f"member must give every model a record with batches='shuffled', got {np.sum(counts == 0)} models without")
            return [1.0] * models
        if given is not None:
            sizes = np.asarray(given, dtype=np.float64)
            if sizes.shape != (models,) or not np.all((sizes > 0) & np.isfinite(sizes)):
                raise ValueError(f"expected_batch_size must hold {models} positive numbers, one per model, got shape {sizes.shape}")
            return [float(size) for size in sizes]
        if self.expected_batch_size is not None:
            return [self.expected_batch_size] * models
        if np.any(np.abs(counts - records / 2) > max(records / 4, 3 * math.sqrt(records))):  # six standard deviations of fair coins
            raise ValueError(
                f"expected_batch_size must be given when members are not about half of the pool, got {counts.min()} to {counts.max()} "
                f"members of {records}; take sample_rate times the nominal number of members"
            )
        return [self.sample_rate * records / 2] * models


def _as_model_ids(model_ids: Sequence[int] | None, models: int) -> list[int]:
    if model_ids is None:
        return list(range(models))
    ids = [whole_number(model_ids=number) for number in model_ids]
    if len(ids) != models or len(set(ids)) != models or max(ids) > _LARGEST_ID:
        raise ValueError(f"model_ids must be {models} distinct numbers from 0 to {_LARGEST_ID}, one per row of member, got {len(ids)}")
    return ids
