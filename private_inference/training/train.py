"""Train a model on next tokens, guided by the entropy of its heads if asked: AdamW, warm-up, decay, clipping, checkpoints.

    loss = cross-entropy + lambda(s) penalty(entropies) + conditioning * conditioning_penalty(weights)

Training only: every loss that is reported is the cross-entropy. Without a penalty the fused attention kernel runs. Head entropies are
tracked on held-out sequences, so the tracker never holds anything of the training records but what the weights say.

A run is a function of (model, recipe, penalty, corpus, rng) and of the machine's arithmetic: interrupted and resumed from its checkpoint it
ends with the same bits.

Cost, half of a busy core, 4 layers, d = 64, T = 64, batches of 8, evaluations included: 15 ms a step for `sm_scfuffn`, 25 for
`sm_ln_gelu`, 26 with a penalty.

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025. Loshchilov, Hutter, Decoupled Weight Decay Regularization,
ICLR 2019.
"""

from __future__ import annotations

import os
from contextlib import closing, nullcontext

from mechanisms.randomness import RngLike, as_generator
from private_inference.config import PIGPTConfig
from private_inference.heads.penalty import EntropyPenalty
from private_inference.training.checkpoint import Checkpoint
from private_inference.training.plan import TrainingPlan
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.result import TrainingResult
from private_inference.training.run import Progress, TrainingRun, take_steps
from private_inference.training.threads import torch_threads
from private_inference.training.tokenized_corpus import TokenizedCorpus


def train_model(
    config: PIGPTConfig,
    corpus: TokenizedCorpus,
    recipe: TrainingRecipe | None = None,
    *,
    penalty: EntropyPenalty | None = None,
    conditioning: float = 0.0,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    rng: RngLike = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a new model.

    Parameters
    ----------
    config : its shape and variant; `vocab_size` must be the corpus's.
    corpus : token ids of both sides.
    recipe : numbers of the optimizer; None is `TrainingRecipe()`.
    penalty : guides head entropies; a copy of it is trained, and returned in the result.
    conditioning : weight of `conditioning_penalty`, >= 0, which keeps linear FFNs easy to fold away; 0 leaves it out.
    checkpoint : an .npz file, written at every evaluation and at the end.
    resume : go on from the checkpoint where there is one; False begins anew and replaces it.
    rng : initial weights and order of sequences. With a checkpoint and None, the seed stored in it.
    threads : how many torch may use meanwhile; None leaves that alone.
    progress : called as (steps done, all steps, label).

    Raises
    ------
    ValueError : a vocabulary that isn't the corpus's, a side shorter than one sequence, or a penalty of another shape.
    StoreMismatch : the checkpoint is of another run.
    StateError : the checkpoint is damaged, or open in another live run.
    """
    plan = TrainingPlan(config, corpus, TrainingRecipe() if recipe is None else recipe, penalty, conditioning)
    seed = None if rng is None else int(as_generator(rng).integers(2**63))
    with torch_threads(threads), nullcontext() if checkpoint is None else closing(Checkpoint(checkpoint)) as file:
        return take_steps(_begun(plan, seed, file if resume else None), file, progress)


def _begun(plan: TrainingPlan, seed: int | None, file: Checkpoint | None) -> TrainingRun:
    """Return the run where the checkpoint left it, or at its beginning."""
    identity = plan.identity()
    saved = None if file is None else file.load(identity if seed is None else {**identity, "seed": str(seed)})
    if seed is None:
        seed = int(as_generator().integers(2**63)) if saved is None else int(str(saved.identity["seed"]))
    run = TrainingRun(plan, seed)
    if saved is not None:
        run.restore(saved)
    return run
