"""How many models a game trains."""

from __future__ import annotations

from dataclasses import dataclass

from attacks.distribution.attack import LEAST_SHADOWS
from mechanisms.validation import whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Numbers of models: per world and repeat for shadow models, per world in all for victims.

    Raises
    ------
    ValueError : fewer than 2 shadow models, no victim, or fewer victims than repeats.
    """

    n_shadow: int
    n_victim: int
    repeats: int = 1

    def __post_init__(self) -> None:
        for name, least in (("n_shadow", LEAST_SHADOWS), ("n_victim", 1), ("repeats", 1)):
            object.__setattr__(self, name, whole_number(least, **{name: getattr(self, name)}))
        if self.n_victim < self.repeats:
            raise ValueError(f"n_victim must be at least repeats ({self.repeats}), so that every repeat has a victim; got {self.n_victim}")

    @property
    def blocks(self) -> list[int]:
        """Victims per world of each repeat."""
        return [self.n_victim // self.repeats + (k < self.n_victim % self.repeats) for k in range(self.repeats)]

    def n_models(self, n_worlds: int) -> int:
        """Trainings in all."""
        return n_worlds * (self.repeats * self.n_shadow + self.n_victim)
