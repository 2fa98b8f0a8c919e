"""Shadow models that are language models: what one of them is, and how it is trained and read at several steps of its training.

A record is one sequence of T + 1 tokens. Signals of a record at a step: the logit of exp(-mean loss), then its heads' entropies.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from attacks.shadow.fingerprints import fingerprint, library_versions, source_fingerprint
from attacks.shadow.group import ShadowGroup
from attacks.shadow.run import ShadowTask
from attacks.signals import logit_of_loss
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.json_ready import JsonValue
from mechanisms.noise.source import SeededNoise
from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT
from private_inference.heads.penalty import EntropyPenalty
from private_inference.training.plan import TrainingPlan
from private_inference.training.private_training import train_private
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.run import TrainingRun
from private_inference.training.sequence_signals import head_entropies, sequence_losses
from private_inference.training.tokenized_corpus import TokenizedCorpus

DELTA = 1e-5


@dataclass(frozen=True, slots=True)
class Arm:
    """One kind of model: variant, entropy penalty, whether its thresholds are learned, and the claim of DP-SGD where that trains it."""

    name: str
    variant: str
    penalty: Mapping[str, object] | None = None
    thresholds_learned: bool = True
    epsilon: float | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """Of all models and of their training; the rate is constant, so that a step's model is what a run that stops there would give."""

    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 64
    block_size: int = 32
    vocab_size: int = 512
    steps: int = 300
    batch_size: int = 16
    learning_rate: float = 3e-3
    read_every: int = 30
    first_read: int = 60

    @property
    def n_heads(self) -> int:
        """Heads of all layers."""
        return self.n_layer * self.n_head


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Sequences (N + P, T + 1), of which the last P train no model, and who trains each of K models, (K, N + P)."""

    sequences: NDArray[np.int32]
    n_records: int
    member: NDArray[np.bool_] = field(repr=False)


def shadow_tasks(arm: Arm, shape: Shape, pool: Pool, seed: int) -> list[ShadowTask]:
    """Return one task a model; model k starts and is shuffled alike in every arm."""
    return [ShadowTask(k, partial(train_and_read, arm, shape, pool, seed, k), (k,)) for k in range(len(pool.member))]


def experiment_of(arm: Arm, shape: Shape, pool: Pool, seed: int) -> dict[str, JsonValue]:
    """Return all that the signals depend on, for the store."""
    return {
        "arm": {name: fingerprint(value) for name, value in asdict(arm).items() if name != "name"},
        "shape": {name: fingerprint(value) for name, value in asdict(shape).items()},
        "sequences": fingerprint(pool.sequences),
        "design": fingerprint(pool.member),
        "seed": seed,
        "code": [source_fingerprint(function) for function in (train_and_read, signals_of, _openly, _privately, _plan)],
        "libraries": dict(library_versions()),
    }


def train_and_read(arm: Arm, shape: Shape, pool: Pool, seed: int, model: int) -> ShadowGroup:
    """Train model number `model` on its members; return signals (1, N + P, reads * (1 + L H)), of a private run those of its end."""
    member = pool.member[model]
    plan, rng = _plan(arm, shape, pool, member), np.random.default_rng([seed, model])
    reads = _privately(plan, arm, pool, rng) if arm.epsilon is not None else _openly(plan, shape, pool, rng)
    return ShadowGroup(model_id=[model], member=member[None], signals=np.concatenate(reads, axis=1)[None])


def _openly(plan: TrainingPlan, shape: Shape, pool: Pool, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    run = TrainingRun(plan, int(rng.integers(2**63)))
    reads = []
    while not run.is_over:
        run.step()
        if run.n_steps >= shape.first_read and run.n_steps % shape.read_every == 0:
            reads.append(signals_of(run.model, pool.sequences))
    if run.status == "diverged":
        raise FloatingPointError(f"a training diverged at step {run.n_steps}")
    return reads


def _privately(plan: TrainingPlan, arm: Arm, pool: Pool, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)  # a simulation that can be repeated, no release
        noise = SeededNoise(int(rng.integers(2**63)))
        found = train_private(
            plan.config,
            plan.corpus,
            plan.recipe,
            delta=DELTA,
            epsilon=arm.epsilon,
            sample_rate=2 * plan.recipe.batch_size / pool.n_records,  # half of the records are members on average
            penalty=plan.penalty,
            noise=noise,
            rng=rng,
        )
    return [signals_of(found.training.model, pool.sequences)]


def signals_of(model: PIGPT, sequences: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return each sequence's logit signal and head entropies, (n, 1 + L H)."""
    return np.column_stack([logit_of_loss(sequence_losses(model, sequences)), head_entropies(model, sequences)])


def _plan(arm: Arm, shape: Shape, pool: Pool, member: NDArray[np.bool_]) -> TrainingPlan:
    config = PIGPTConfig(
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_embd=shape.n_embd,
        block_size=shape.block_size,
        vocab_size=shape.vocab_size,
        variant=arm.variant,
        init_std=0.05,
    )
    recipe = TrainingRecipe(
        steps=shape.steps,
        batch_size=shape.batch_size,
        learning_rate=shape.learning_rate,
        decay="none",
        threshold_rate=1.0 if arm.thresholds_learned else 0.0,
        eval_every=shape.steps,
        track_every=shape.steps,
    )
    penalty = None if arm.penalty is None else EntropyPenalty(shape.n_layer, shape.n_head, **arm.penalty)
    corpus = TokenizedCorpus("members", pool.sequences[member].ravel(), pool.sequences[pool.n_records :].ravel(), shape.vocab_size)
    return TrainingPlan(config, corpus, recipe, penalty)
