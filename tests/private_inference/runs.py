"""Small corpora and models for the tests of training."""

from __future__ import annotations

import numpy as np

from private_inference.config import PIGPTConfig
from private_inference.heads.penalty import EntropyPenalty
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.tokenized_corpus import TokenizedCorpus

T, V = 8, 12
RECIPE = TrainingRecipe(steps=10, batch_size=4, learning_rate=1e-2, eval_every=4, track_every=5, n_evaluation=8)


def corpus(n=600, seed=0):
    """Tokens that mostly follow each other in a circle: learnable, not trivial."""
    rng = np.random.default_rng(seed)
    ids = np.cumsum(rng.choice([1, 2], size=n, p=[0.9, 0.1])) % V
    return TokenizedCorpus("circle", ids[: 4 * n // 5], ids[4 * n // 5 :], V, bytes_per_token=2.0)


def config(variant="sm_t_scfuffn", **changed):
    return PIGPTConfig(
        **{"n_layer": 2, "n_head": 2, "n_embd": 16, "block_size": T, "vocab_size": V, "init_std": 0.1} | changed, variant=variant
    )


def penalty(**changed):
    return EntropyPenalty(2, 2, **{"gamma": 0.05, "weight": 1.0, "reference": "logT"} | changed)
