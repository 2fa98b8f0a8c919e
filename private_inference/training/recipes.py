"""Named ways to train: a variant, how its weights start, numbers of the optimizer and, where it is guided, of the penalty.

    toy           the numbers of the papers' recipe scaled down: AdamW at 3e-3, for every variant
    toy_baseline  the same, SM+LN+G
    toy_fused     SM+ScFuFFN alone, at the rate that suits it
    toy_guided    SM+ScFuFFN with a temperature a head and the entropy penalty, at the same rate

EVIDENCE

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mechanisms.json_ready import JsonValue
from private_inference.config import PIGPTConfig
from private_inference.heads.penalty import EntropyPenalty, PenaltySettings
from private_inference.training.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True)
class NamedRecipe:
    """One way to train a model of any shape.

    Parameters
    ----------
    variant, temperature_init, init_std : as in `PIGPTConfig`.
    recipe : numbers of the optimizer.
    penalty : what guides the heads; None for nothing.
    theta_init : where the penalty's thresholds start.
    """

    variant: str
    recipe: TrainingRecipe = field(default_factory=TrainingRecipe)
    penalty: PenaltySettings | None = None
    theta_init: float = 0.5
    temperature_init: float = 0.1
    init_std: float = 0.05

    def config(self, *, n_layer: int, n_head: int, n_embd: int, block_size: int, vocab_size: int) -> PIGPTConfig:
        """Return the config of a model of this shape."""
        return PIGPTConfig(
            n_layer,
            n_head,
            n_embd,
            block_size,
            vocab_size,
            self.variant,
            temperature_init=self.temperature_init,
            init_std=self.init_std,
        )

    def entropy_penalty(self, config: PIGPTConfig) -> EntropyPenalty | None:
        """Return a new penalty for a model, None where the recipe has none."""
        if self.penalty is None:
            return None
        return EntropyPenalty(
            config.n_layer,
            config.n_head,
            gamma=self.penalty.gamma,
            weight=self.penalty.weight,
            reference=self.penalty.reference,
            mode=self.penalty.mode,
            shape=self.penalty.shape,
            reduction=self.penalty.reduction,
            theta_init=self.theta_init,
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": 1,
            "variant": self.variant,
            "recipe": self.recipe.to_dict(),
            "penalty": None if self.penalty is None else self.penalty.to_dict(),
            "theta_init": self.theta_init,
            "temperature_init": self.temperature_init,
            "init_std": self.init_std,
        }


GUIDANCE = PenaltySettings(gamma=0.1, weight=0.1, reference="logT", mode="position", shape="hinge", reduction="mean")

RECIPES: Mapping[str, NamedRecipe] = {
    "toy_baseline": NamedRecipe("sm_ln_gelu"),
    "toy_fused": NamedRecipe("sm_scfuffn", TrainingRecipe(learning_rate=1.2e-2), init_std=0.1),
    "toy_guided": NamedRecipe("sm_t_scfuffn", TrainingRecipe(learning_rate=8e-3), GUIDANCE, init_std=0.1),
}
