"""Train models on samples of worlds and keep only what the adversary sees of them.

    a `ShadowTrainer`                 all models in lock-step; black or white box
    train(inputs, labels, rng)        a user's own code, one model after the other: a torch module, or a classifier with `predict_proba`

Everything random about model number j is a function of (seed, j). A user's code gets a generator; white-box views need torch modules of
one architecture. Cost: the trainings, and one forward pass per model over the queries.

References
----------
Shokri et al., Membership Inference Attacks Against Machine Learning Models, S&P 2017. Suri, Evans, Formalizing and Estimating Distribution
Inference Risks, PETS 2022 (MLPs of 32, 16 and 8 units).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attacks.distribution.samples import Array, TrainingSamples, pooled
from attacks.distribution.views import Floats, ModelViews, QueryLabels, joined_views
from attacks.shadow.ensemble import ShadowTrainer
from attacks.shadow.read_out import class_probabilities, module_logits
from attacks.shadow.shadow_models import ShadowModels
from attacks.signals import SMALLEST_PROBABILITY

Labels = NDArray[np.int64]
TrainFunction = Callable[[Array, Labels, np.random.Generator], object]
Trainer = ShadowTrainer | TrainFunction
Progress = Callable[[int, int, str], None]

HIDDEN_UNITS = (32, 16, 8)
MODELS_AT_ONCE = 128  # models whose membership of the pool is held together


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the attacks of a game ask to see beside the answers: weights, and outputs of hidden layers."""

    weights: bool = False
    activations: bool = False

    @property
    def white_box(self) -> bool:
        """Whether the models must be torch modules."""
        return self.weights or self.activations


BLACK_BOX = Sight()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Queries:
    """The records that every model is asked about, and what is known about them."""

    inputs: Array
    labels: QueryLabels
    n_classes: int


def train_views(
    train: Trainer,
    samples: TrainingSamples,
    queries: Queries,
    *,
    seed: int,
    first_model: int = 0,
    sight: Sight = BLACK_BOX,
    on_model: Callable[[object], None] | None = None,
    progress: Progress | None = None,
) -> ModelViews:
    """Train one model per sample and return what the adversary sees of them.

    Parameters
    ----------
    train : a `ShadowTrainer` (its own seed is mixed with `seed`) or a function train(inputs, labels, rng) -> model.
    samples : what each model is trained on; samples may differ in size.
    seed, first_model : sample k is model number first_model + k; its randomness depends on the seed and this number only.
    on_model : called with every model that a user's code returns, before it is thrown away.
    progress : called with (models done, models in all, "models").

    Returns
    -------
    Views of the models in the order of the samples.

    Raises
    ------
    TypeError : a model of another kind.
    ValueError : white-box views of something else than torch modules of one architecture, or answers that don't fit the labels.
    """
    parts = []
    for start in range(0, len(samples), MODELS_AT_ONCE):
        part = replace(samples, ids=samples.ids[start : start + MODELS_AT_ONCE])
        onward = None if progress is None else partial(_report, progress, start, len(samples))
        options = part, queries, seed, first_model + start, sight
        if isinstance(train, ShadowTrainer):
            parts.append(_in_lock_step(train, *options, onward))
        else:
            parts.append(_one_by_one(train, *options, on_model, onward))
    return joined_views(*parts)


def default_trainer(inputs: Array, n_classes: int, n_train: int, *, seed: int = 0) -> ShadowTrainer:
    """Return the trainer of a multi-layer perceptron with hidden layers of 32, 16 and 8 units: Adam, 20 epochs, batches of at most 100."""
    make = partial(_perceptron, math.prod(inputs.shape[1:]), n_classes, flatten=inputs.ndim != 2)
    size = max(1, min(100, n_train // 10))
    return ShadowTrainer(make, lr=5e-3, optimizer="adam", batches="shuffled", epochs=20, batch_size=size, seed=seed)


def answers_of(model: object, queries: Queries) -> Floats:
    """Return a model's logits for the queries, (Q, C); of a classifier the logarithms of its probabilities, at least those of 1e-12.

    Raises
    ------
    TypeError : neither a torch module nor a classifier with `predict_proba` and `classes_`.
    ValueError : a number of outputs that doesn't fit the classes.
    """
    if isinstance(model, nn.Module):
        return _two_columns(module_logits(model, queries.inputs), queries.n_classes)
    if callable(getattr(model, "predict_proba", None)):
        every = np.union1d(np.arange(queries.n_classes), np.asarray(model.classes_))  # type: ignore[attr-defined]
        found = class_probabilities(model, queries.inputs, every)
        return _two_columns(np.log(np.clip(found, SMALLEST_PROBABILITY, None)), queries.n_classes)
    raise TypeError(f"a model must be a torch module or have predict_proba, got {type(model).__name__}")


def _in_lock_step(
    train: ShadowTrainer, samples: TrainingSamples, queries: Queries, seed: int, first: int, sight: Sight, progress: Progress | None
) -> ModelViews:
    pool = pooled(samples.ids, len(samples.labels))
    targets = samples.labels[pool.rows]
    models = replace(train, seed=_mixed(train.seed, seed)).train(
        samples.inputs[pool.rows],
        targets if train.loss == "cross_entropy" else targets.astype(np.float64),
        pool.member,
        model_ids=range(first, first + len(samples)),
        expected_batch_size=None if train.sample_rate is None else train.sample_rate * samples.sizes,
        progress=progress,
    )
    return _seen(models, queries, sight)


def _one_by_one(
    train: TrainFunction,
    samples: TrainingSamples,
    queries: Queries,
    seed: int,
    first: int,
    sight: Sight,
    on_model: Callable[[object], None] | None,
    progress: Progress | None,
) -> ModelViews:
    answers, modules = [], []
    for k in range(len(samples)):
        model = train(*samples.of(k), np.random.default_rng([seed, first + k]))
        if on_model is not None:
            on_model(model)
        if not sight.white_box:
            answers.append(answers_of(model, queries))
        elif isinstance(model, nn.Module):
            modules.append(model)
        else:
            raise ValueError(
                f"a white-box attack needs the weights of torch modules, the training code returned {type(model).__name__}; "
                "leave the white-box attacks out or train a torch module"
            )
        if progress is not None:
            progress(k + 1, len(samples), "models")
    if not sight.white_box:
        return ModelViews(np.stack(answers), queries.labels)
    return _seen(_stacked(modules, range(first, first + len(modules))), queries, sight)


def _seen(models: ShadowModels, queries: Queries, sight: Sight) -> ModelViews:
    logits = _two_columns(np.asarray(models.logits(queries.inputs), dtype=np.float64), queries.n_classes)
    weights: Mapping[str, NDArray[np.floating]] = {}
    if sight.white_box:
        trained = dict(models.architecture.named_parameters())
        weights = {name: stack.numpy() for name, stack in models.weights.items() if name in trained}
    hidden = models.activations(queries.inputs)[:-1] if sight.activations else ()
    return ModelViews(logits, queries.labels, weights, hidden)


def _stacked(modules: list[nn.Module], ids: range) -> ShadowModels:
    states: list[dict[str, Tensor]] = [module.state_dict() for module in modules]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("a white-box attack needs models of one architecture, the training code returned modules of different shapes")
    weights = {name: torch.stack([state[name].detach().cpu() for state in states]) for name in states[0]}
    return ShadowModels(weights, tuple(ids), modules[0].eval())


def _two_columns(outputs: Floats, n_classes: int) -> Floats:
    """Outputs (..., Q, C), one column of logits of class 1 put beside zeros."""
    if outputs.ndim >= 2 and outputs.shape[-1] == n_classes:
        return outputs
    single = outputs[..., 0] if outputs.ndim >= 2 and outputs.shape[-1] == 1 else outputs
    if n_classes != 2:
        raise ValueError(f"a model must give {n_classes} outputs per record, one per class, got shape {outputs.shape}")
    return np.stack([np.zeros_like(single), single], axis=-1)


def _perceptron(n_features: int, n_classes: int, *, flatten: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()] if flatten else []
    for n_in, n_out in zip((n_features, *HIDDEN_UNITS[:-1]), HIDDEN_UNITS, strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN_UNITS[-1], n_classes))


def _mixed(trainer_seed: int, seed: int) -> int:
    return int(np.random.SeedSequence([trainer_seed, seed]).generate_state(1, np.uint32)[0])


def _report(progress: Progress, offset: int, total: int, done: int, _part: int, _label: str) -> None:
    progress(offset + done, total, "models")
