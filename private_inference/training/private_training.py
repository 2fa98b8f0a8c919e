"""DP-SGD with an entropy penalty: each sequence's loss has a penalty of its own rows, so clipping bounds what the sequence can do.

The unit is one sequence of T + 1 tokens; a file is many of them. What is reported comes from held-out sequences: losses and entropies of
training sequences are not covered by the guarantee. There are no checkpoints, because a step that is taken again draws new noise for a
release that was made already. `recipe.clip` has no use here: `max_grad_norm` clips each sequence.

A sample rate of batch_size / n would change with the number n of training sequences, and with it the coins of all other sequences: at n =
5 and batch_size = 4, noise multiplier 1, delta = 0.01, one step, taking a sequence away shows epsilon 7.8 where 2.3 is what the accountant
says (tests/private_inference/training/test_private_audit.py). So add/remove needs a rate that was fixed without looking at n; with
batch_size / n the guarantee is that of a sequence that becomes a null one, zero-out, n public.

References
----------
Abadi et al., Deep Learning with Differential Privacy, CCS 2016. Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Literal, get_args

from mechanisms.accounting.dp_sgd import dp_sgd_epsilon, dp_sgd_noise_multiplier
from mechanisms.errors import UnsupportedClaimError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.json_ready import JsonValue
from mechanisms.noise.source import NoiseSource, noise_assumptions, noise_source
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_of, positive, valid_sample_rate, whole_number
from private_inference.config import PIGPTConfig
from private_inference.heads.penalty import EntropyPenalty
from private_inference.training.plan import TrainingPlan
from private_inference.training.private_run import PrivateRun, PrivateSettings
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.result import TrainingResult
from private_inference.training.run import Progress, take_steps
from private_inference.training.threads import torch_threads
from private_inference.training.tokenized_corpus import TokenizedCorpus

Watched = Literal["held_out", "training"]
ASSUMPTIONS = (
    "the tokenizer is public: one that was trained on the training texts is not covered",
    "gradients and noise are floats: the guarantee is that of real arithmetic, as with every float DP-SGD",
)
PUBLIC_NUMBER = "the number of training sequences is public: the sample rate hangs on it"
PUBLIC_RATE = "the sample rate was fixed without looking at the number of training sequences"
NOT_COVERED = "the entropies in the tracker were measured on training sequences and are not covered: they must stay unpublished"


@dataclass(frozen=True, slots=True, eq=False)
class PrivateTrainingResult:
    """What a private run leaves.

    Parameters
    ----------
    training : the run; its record has no training losses, counts or digest, which would not be covered.
    guarantee : of the weights and of all that was computed from them, per sequence.
    noise_multiplier, max_grad_norm, sample_rate : as they were used.
    """

    training: TrainingResult
    guarantee: PrivacyGuarantee
    noise_multiplier: float
    max_grad_norm: float
    sample_rate: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": 1,
            "training": self.training.to_dict(),
            "guarantee": self.guarantee.to_dict(),
            "noise_multiplier": self.noise_multiplier,
            "max_grad_norm": self.max_grad_norm,
            "sample_rate": self.sample_rate,
        }


def train_private(
    config: PIGPTConfig,
    corpus: TokenizedCorpus,
    recipe: TrainingRecipe | None = None,
    *,
    delta: float,
    epsilon: float | None = None,
    noise_multiplier: float | None = None,
    sample_rate: float | None = None,
    max_grad_norm: float = 1.0,
    penalty: EntropyPenalty | None = None,
    watched: Watched = "held_out",
    chunk: int = 64,
    noise: NoiseSource | None = None,
    rng: RngLike = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> PrivateTrainingResult:
    """Train a new model with differential privacy.

    Parameters
    ----------
    config, corpus, penalty, threads, progress : as in `train_model`; the penalty in position mode.
    recipe : its `batch_size` is what noisy sums are divided by.
    delta : of the guarantee, in (0, 1).
    epsilon, noise_multiplier : one of the two; for an epsilon the smallest noise is found.
    sample_rate : probability, in (0, 1], of each sequence to enter a step, known without the data, as batch_size / a public estimate of
        n; the guarantee is add/remove. None is batch_size / n, the guarantee zero-out and n public.
    max_grad_norm : clipping norm of a sequence's gradient.
    watched : whose entropies are tracked; "training" makes the tracker a record that must not be published, and says so.
    chunk : sequences whose gradients are in memory at once.
    noise : of noise and coins; None is the operating system's.
    rng : initial weights only.

    Raises
    ------
    ValueError, TypeError : a parameter out of range, both or none of epsilon and noise_multiplier, a batch larger than the corpus where
        no sample_rate is given, a penalty that fades out.
    UnsupportedClaimError : a penalty in head mode, which has no term of one sequence.

    Guarantee
    ---------
    Unit "sequence", add/remove or zero-out neighbors (see `sample_rate`): `private_gradient` gives each step, the accountant composes them,
    Adam, decay and schedules are post-processing of noisy gradients. Held-out sequences are not protected.
    """
    recipe = TrainingRecipe() if recipe is None else recipe
    _refuse_unfit(penalty, recipe)
    positive(max_grad_norm=max_grad_norm)
    in_range(0, 1, delta=delta)
    source = noise_source(noise)
    plan = TrainingPlan(config, corpus, recipe, penalty)
    rate = _rate_of_corpus(corpus, config, recipe) if sample_rate is None else valid_sample_rate(sample_rate)
    multiplier = _noise_multiplier(epsilon, noise_multiplier, delta, rate, recipe.steps)
    guarantee = dp_sgd_epsilon(sample_rate=rate, noise_multiplier=multiplier, steps=recipe.steps, delta=delta)
    neighboring, number = (Neighboring.ZERO_OUT, PUBLIC_NUMBER) if sample_rate is None else (Neighboring.ADD_REMOVE, PUBLIC_RATE)
    watches_training = one_of(get_args(Watched), watched=watched) == "training"
    more = (*ASSUMPTIONS, number, *noise_assumptions(source), *((NOT_COVERED,) if watches_training else ()))
    settings = PrivateSettings(rate, multiplier, max_grad_norm, whole_number(1, chunk=chunk), source, watches_training)
    with torch_threads(threads), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")  # torch, on the first layer under opacus
        with PrivateRun(plan, int(as_generator(rng).integers(2**63)), settings) as run:
            training = take_steps(run, None, progress)
    stated = replace(guarantee, neighboring=neighboring, privacy_unit="sequence", assumptions=(*guarantee.assumptions, *more))
    return PrivateTrainingResult(training, stated, multiplier, max_grad_norm, rate)


def _refuse_unfit(penalty: EntropyPenalty | None, recipe: TrainingRecipe) -> None:
    if penalty is None:
        return
    if penalty.settings.mode == "head":
        raise UnsupportedClaimError(
            "a penalty in mode 'head' averages entropies over the batch, so one sequence changes the gradients of others and clipping "
            "doesn't bound it; use mode='position'"
        )
    if recipe.penalty_until < 1:
        raise ValueError(f"penalty_until must be 1 in private training, got {recipe.penalty_until}; the penalty keeps its weight there")


def _rate_of_corpus(corpus: TokenizedCorpus, config: PIGPTConfig, recipe: TrainingRecipe) -> float:
    n = len(corpus.train_sequences(config.block_size))
    if recipe.batch_size > n:
        raise ValueError(f"batch_size must be at most the {n} training sequences, got {recipe.batch_size}; or give a sample_rate")
    return valid_sample_rate(recipe.batch_size / n)


def _noise_multiplier(epsilon: float | None, noise_multiplier: float | None, delta: float, sample_rate: float, steps: int) -> float:
    if (epsilon is None) == (noise_multiplier is None):
        raise ValueError("give either epsilon or noise_multiplier, not both and not neither")
    if noise_multiplier is not None:
        return positive(noise_multiplier=noise_multiplier)
    return dp_sgd_noise_multiplier(epsilon=positive(epsilon=epsilon), delta=delta, sample_rate=sample_rate, steps=steps)
