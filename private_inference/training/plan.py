"""What a training run is, before it has begun: model, corpus, recipe, penalty; checked to fit each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mechanisms.json_ready import JsonValue
from mechanisms.validation import non_negative
from private_inference.config import PIGPTConfig
from private_inference.heads.penalty import EntropyPenalty
from private_inference.training.checkpoint import module_arrays
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.tokenized_corpus import TokenizedCorpus


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPlan:
    """One run to be made; parameters as in `train_model`.

    Raises
    ------
    ValueError : a vocabulary that isn't the corpus's, or a penalty of another shape.
    """

    config: PIGPTConfig
    corpus: TokenizedCorpus
    recipe: TrainingRecipe
    penalty: EntropyPenalty | None = None
    conditioning: float = 0.0

    def __post_init__(self) -> None:
        non_negative(conditioning=self.conditioning)
        if self.config.vocab_size != self.corpus.vocab_size:
            raise ValueError(f"vocab_size of the model must be the corpus's {self.corpus.vocab_size}, got {self.config.vocab_size}")
        wanted = (self.config.n_layer, self.config.n_head)
        if self.penalty is not None and (got := (self.penalty.n_layer, self.penalty.n_head)) != wanted:
            raise ValueError(f"penalty must have the model's layers and heads, {wanted}, got {got}")

    def identity(self) -> dict[str, JsonValue]:
        """Return what the run is, by parts, without its seed."""
        return {
            "model": self.config.to_dict(),
            "recipe": self.recipe.to_dict(),
            "penalty": None if self.penalty is None else self.penalty.settings.to_dict(),
            "thresholds": None if self.penalty is None else _digest(self.penalty),
            "conditioning": self.conditioning,
            "corpus": self.corpus.digest,
        }


def _digest(penalty: EntropyPenalty) -> str:
    total = hashlib.sha256()
    for name, value in sorted(module_arrays("penalty", penalty).items()):
        total.update(name.encode() + value.tobytes())
    return total.hexdigest()[:16]
