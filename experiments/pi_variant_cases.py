"""What `e_pi_variants` trains and how it runs it: every variant, the temperatures, the penalties, and the kinds of softmax and folding."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Literal

from private_inference.config import Score
from private_inference.heads.penalty import PenaltySettings
from private_inference.training.plan import TrainingPlan
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.recipes import RECIPES, NamedRecipe
from private_inference.training.tokenized_corpus import TokenizedCorpus

GUIDANCE = PenaltySettings(gamma=0.2, weight=0.1, reference="logT", mode="position", shape="hinge", reduction="mean")
CAUSAL_GUIDANCE = replace(GUIDANCE, reference="causal")
BASELINE, UNGUIDED, GUIDED = "SM+LN+G", "SM+ScFuFFN", "SM+T+ScFuFFN, penalty"
TUNED, TUNED_GUIDED = f"{UNGUIDED}, tuned", f"{GUIDED}, tuned"


@dataclass(frozen=True, slots=True)
class Case:
    """One way to train a model.

    Parameters
    ----------
    name : what tables call it.
    how : variant, optimizer and penalty; unless a case says "tuned" or tells its rate, all have one optimizer: AdamW at 3e-3, 800 steps of
        8 sequences, initial weights of 0.05.
    temperature : as in `PIGPTConfig`.
    conditioning : as in `train_model`.
    n_layer : where it differs from the experiment's.
    costed : its private inference is measured too.
    """

    name: str
    how: NamedRecipe
    temperature: Literal["auto", "position"] = "auto"
    conditioning: float = 0.0
    n_layer: int | None = None
    costed: bool = True


_GUIDED = NamedRecipe("sm_t_scfuffn", penalty=GUIDANCE)
CASES = (
    Case(BASELINE, RECIPES["toy_baseline"]),
    Case("SM+LN+R", NamedRecipe("sm_ln_relu")),
    Case("SM+LN", NamedRecipe("sm_ln")),
    Case("SM+G", NamedRecipe("sm_gelu")),
    Case("SM+R", NamedRecipe("sm_relu")),
    Case("SM", NamedRecipe("sm")),
    Case("SM, weight norm", NamedRecipe("sm_wn")),
    Case("SM, spectral norm", NamedRecipe("sm_sn")),
    Case("SM+ScFFN", NamedRecipe("sm_scffn")),
    Case(UNGUIDED, NamedRecipe("sm_scfuffn")),
    Case("SM+T+ScFuFFN", NamedRecipe("sm_t_scfuffn")),
    Case("SM+T+ScFuFFN, T by position", NamedRecipe("sm_t_scfuffn"), "position"),
    Case("SM+ScFuFFN, conditioning", NamedRecipe("sm_scfuffn"), conditioning=0.1),
    Case("SM+ScFuFFN, penalty", NamedRecipe("sm_scfuffn", penalty=GUIDANCE)),
    Case(GUIDED, _GUIDED),
    Case("SM+T+ScFuFFN, T by position, penalty", _GUIDED, "position"),
    Case("SM+T+ScFuFFN, causal penalty", NamedRecipe("sm_t_scfuffn", penalty=CAUSAL_GUIDANCE)),
    Case("SM+T+ScFuFFN, penalty, conditioning", _GUIDED, conditioning=0.1),
    Case("attention only", NamedRecipe("sm_attention_only")),
    Case(TUNED, RECIPES["toy_fused"]),
    Case(TUNED_GUIDED, RECIPES["toy_guided"]),
    Case(f"{TUNED_GUIDED}, conditioning", RECIPES["toy_guided"], conditioning=0.1),
    Case(
        "SM, 12 layers, rate 0.01",
        NamedRecipe("sm", TrainingRecipe(steps=200, learning_rate=1e-2), init_std=0.1),
        n_layer=12,
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
    max_condition : of folds; 64 is for a ring of 64 bits.
    """

    cases: tuple[Case, ...] = CASES
    kinds: tuple[Kind, ...] = KINDS
    seeds: tuple[int, ...] = (0, 1, 2)
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 64
    block_size: int = 64
    vocab_size: int = 512
    max_condition: float = 64.0
    workers: int = 2


def _quick(name: str) -> Case:
    case = next(case for case in CASES if case.name == name)
    return replace(case, how=replace(case.how, recipe=TrainingRecipe(steps=30, n_evaluation=64)), n_layer=None)


QUICK = Config(
    cases=tuple(map(_quick, (BASELINE, UNGUIDED, "SM+T+ScFuFFN, T by position, penalty", TUNED_GUIDED))),
    kinds=(KINDS[0], *KINDS[-2:]),
    seeds=(0, 1),
    n_layer=2,
    n_head=2,
    n_embd=32,
    block_size=32,
    vocab_size=300,
)


def plan_of(config: Config, case: Case, corpus: TokenizedCorpus) -> TrainingPlan:
    """Return the run that a case is."""
    made = case.how.config(
        n_layer=config.n_layer if case.n_layer is None else case.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        block_size=config.block_size,
        vocab_size=config.vocab_size,
    )
    shape = replace(made, temperature=case.temperature)
    return TrainingPlan(shape, corpus, case.how.recipe, case.how.entropy_penalty(shape), case.conditioning)


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
