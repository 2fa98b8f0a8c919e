"""What `e_pi_variants` trains and how it runs it: every variant, the temperatures, the penalties, and the kinds of softmax and folding."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Literal

from private_inference.config import PIGPTConfig, Score
from private_inference.heads.penalty import EntropyPenalty, PenaltySettings
from private_inference.training.plan import TrainingPlan
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.tokenized_corpus import TokenizedCorpus

TOY = TrainingRecipe(steps=800, batch_size=8, learning_rate=3e-3)
GUIDANCE = PenaltySettings(gamma=0.2, weight=0.1, reference="logT", mode="position", shape="hinge", reduction="mean")
CAUSAL_GUIDANCE = replace(GUIDANCE, reference="causal")
BASELINE, UNGUIDED, GUIDED = "SM+LN+G", "SM+ScFuFFN", "SM+T+ScFuFFN, penalty"


@dataclass(frozen=True, slots=True)
class Case:
    """One way to train a model.

    Parameters
    ----------
    name : what tables call it.
    variant, temperature : as in `PIGPTConfig`.
    penalty, conditioning : as in `train_model`, the penalty by its settings.
    n_layer, init_std, recipe : where they differ from the experiment's.
    costed : its private inference is measured too.
    """

    name: str
    variant: str
    temperature: Literal["auto", "position"] = "auto"
    penalty: PenaltySettings | None = None
    conditioning: float = 0.0
    n_layer: int | None = None
    init_std: float | None = None
    recipe: TrainingRecipe | None = None
    costed: bool = True


CASES = (
    Case(BASELINE, "sm_ln_gelu"),
    Case("SM+LN+R", "sm_ln_relu"),
    Case("SM+LN", "sm_ln"),
    Case("SM+G", "sm_gelu"),
    Case("SM+R", "sm_relu"),
    Case("SM", "sm"),
    Case("SM, weight norm", "sm_wn"),
    Case("SM, spectral norm", "sm_sn"),
    Case("SM+ScFFN", "sm_scffn"),
    Case(UNGUIDED, "sm_scfuffn"),
    Case("SM+T+ScFuFFN", "sm_t_scfuffn"),
    Case("SM+T+ScFuFFN, T by position", "sm_t_scfuffn", "position"),
    Case("SM+ScFuFFN, conditioning", "sm_scfuffn", conditioning=0.1),
    Case("SM+ScFuFFN, penalty", "sm_scfuffn", penalty=GUIDANCE),
    Case(GUIDED, "sm_t_scfuffn", penalty=GUIDANCE),
    Case("SM+T+ScFuFFN, T by position, penalty", "sm_t_scfuffn", "position", penalty=GUIDANCE),
    Case("SM+T+ScFuFFN, causal penalty", "sm_t_scfuffn", penalty=CAUSAL_GUIDANCE),
    Case("SM+T+ScFuFFN, penalty, conditioning", "sm_t_scfuffn", penalty=GUIDANCE, conditioning=0.1),
    Case("attention only", "sm_attention_only"),
    Case(
        "SM, 12 layers, rate 0.01",
        "sm",
        n_layer=12,
        init_std=0.1,
        recipe=TrainingRecipe(steps=200, learning_rate=1e-2),
        costed=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to run a trained model: which softmax, and folded or not."""

    softmax: str
    score: Score
    folded: bool
    packing: int = 1
    squarings: int = 8  # of the engine's exponential; the cost model prices 8


PACKED, FINER = "packed in 4", "packed in 4, finer exponential"


def _kinds(folded: bool) -> tuple[Kind, ...]:
    return (
        Kind("stock", "softmax", folded),
        Kind("row reciprocal", "softmax_rr", folded),
        Kind(PACKED, "softmax_rr", folded, 4),
    )


KINDS = (*_kinds(False), *_kinds(True), Kind(FINER, "softmax_rr", True, 4, squarings=10))


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run.

    Parameters
    ----------
    cases, kinds : what is trained, and how its private inference is run with the first seed's weights; the other seeds run the last two.
    seeds : of initial weights and order of sequences; equal in all cases.
    recipe : of every case without its own.
    max_condition : of folds; 64 is for a ring of 64 bits.
    """

    cases: tuple[Case, ...] = CASES
    kinds: tuple[Kind, ...] = KINDS
    seeds: tuple[int, ...] = (0, 1, 2)
    recipe: TrainingRecipe = TOY
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 64
    block_size: int = 64
    vocab_size: int = 512
    init_std: float = 0.05
    max_condition: float = 64.0
    workers: int = 2


QUICK = Config(
    cases=tuple(replace(case, n_layer=None, recipe=None) for case in (CASES[0], CASES[9], CASES[15], CASES[-1])),
    kinds=(KINDS[0], *KINDS[-2:]),
    seeds=(0, 1),
    recipe=TrainingRecipe(steps=30, n_evaluation=64),
    n_layer=2,
    n_head=2,
    n_embd=32,
    block_size=32,
    vocab_size=300,
)


def plan_of(config: Config, case: Case, corpus: TokenizedCorpus) -> TrainingPlan:
    """Return the run that a case is."""
    shape = PIGPTConfig(
        config.n_layer if case.n_layer is None else case.n_layer,
        config.n_head,
        config.n_embd,
        config.block_size,
        config.vocab_size,
        case.variant,
        case.temperature,
        init_std=config.init_std if case.init_std is None else case.init_std,
    )
    penalty = None if case.penalty is None else _penalty(shape, case.penalty)
    return TrainingPlan(shape, corpus, case.recipe or config.recipe, penalty, case.conditioning)


def kinds_of(config: Config, case: Case, seed: int) -> tuple[Kind, ...]:
    """Return how a case's model of one seed is run in private: bytes are equal for all seeds, so the others check errors only."""
    if not case.costed:
        return ()
    return config.kinds if seed == config.seeds[0] else config.kinds[-2:]


def digest_of(config: Config, case: Case, seed: int, corpus: TokenizedCorpus) -> str:
    """Return what tells a run's rows from those of the same name that were made with other numbers."""
    kinds = [[kind.softmax, kind.folded] for kind in kinds_of(config, case, seed)]
    run = [plan_of(config, case, corpus).identity(), seed, kinds, config.max_condition]
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]


def _penalty(shape: PIGPTConfig, settings: PenaltySettings) -> EntropyPenalty:
    return EntropyPenalty(
        shape.n_layer,
        shape.n_head,
        gamma=settings.gamma,
        weight=settings.weight,
        reference=settings.reference,
        mode=settings.mode,
        shape=settings.shape,
        reduction=settings.reduction,
    )
