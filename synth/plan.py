"""The public settings of one fit, checked before a row is read, and what a fit gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import NoiseSource
from mechanisms.validation import in_range, non_negative, one_of, positive, whole_number
from synth.adaptive.measure_pairs import DEFAULT_RECIPE, AdaptiveRecipe
from synth.adaptive.mode import THRESHOLD
from synth.budget import marginal_sensitivity
from synth.encoded import EncodedTable
from synth.forbidden import Rule
from synth.measure import MAX_CELLS, SHARES, MarginalAnswer
from synth.measure_family import FamilyAnswer

Mode = Literal["one_shot", "adaptive"]
MODES = ("auto", "one_shot", "adaptive")
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class FitPlan:
    """Settings of a fit; all public.

    Parameters
    ----------
    epsilon, delta : what the whole fit may spend.
    neighboring : `REPLACE` (the number of rows is public) or `ADD_REMOVE` (it is secret).
    mode : "one_shot" measures the whole workload at once, "adaptive" the pairs that a model gets most wrong, "auto" looks at 2 % of the
        budget first (`synth.adaptive.mode`).
    budget : how one-shot rho is shared, see `synth.measure`.
    n_synthetic : rows of the fitted table; None: as many as the real one has, as far as that is known.
    min_gain, noise_floor, max_sweeps : of the fit, see `synth.sweeps`; min_gain None is the optimizer's own default.
    max_cells : most cells that a marginal may have.
    recipe, mode_threshold : of the adaptive mode, and of the rule.
    forbidden : combinations of values that no output row may have.

    Raises
    ------
    ValueError, TypeError : a value out of range, by name.
    """

    epsilon: float
    delta: float
    neighboring: Neighboring
    mode: str = "auto"
    budget: str = "cube_root"
    n_synthetic: int | None = None
    min_gain: float | None = None
    noise_floor: float | None = None
    max_sweeps: int = 60
    max_cells: int = MAX_CELLS
    recipe: AdaptiveRecipe = DEFAULT_RECIPE
    mode_threshold: float = THRESHOLD
    forbidden: Sequence[Rule] = ()

    def __post_init__(self) -> None:
        positive(epsilon=self.epsilon)
        in_range(0, 1, delta=self.delta)
        marginal_sensitivity(self.neighboring)
        one_of(MODES, mode=self.mode)
        one_of(tuple(SHARES), budget=self.budget)
        non_negative(mode_threshold=self.mode_threshold)
        whole_number(1, max_sweeps=self.max_sweeps)
        whole_number(1, max_cells=self.max_cells)
        if self.n_synthetic is not None:
            whole_number(1, n_synthetic=self.n_synthetic)
        if self.min_gain is not None:
            non_negative(min_gain=self.min_gain)
        if self.noise_floor is not None:
            non_negative(noise_floor=self.noise_floor)


@dataclass(frozen=True, slots=True)
class FitTools:
    """What a fit works with: protective noise, the optimizer's own randomness, and who is told of progress."""

    noise: NoiseSource
    rng: np.random.Generator
    progress: Progress | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SynthesisRun:
    """A fitted table and how it came about; everything here may be published.

    Parameters
    ----------
    table : n' rows.
    total : the number of rows of the real table, public or a noisy estimate.
    mode : which branch was taken.
    measurements : noisy answers.
    ledger : what was spent, entry by entry.
    guarantee : of everything here together.
    fitness, noise_energy, history, stopped : see `synth.targets.Fit`.
    noise_ratio : R of the rule, None where an explicit mode skipped it.
    """

    table: EncodedTable
    total: float
    mode: Mode
    measurements: tuple[MarginalAnswer | FamilyAnswer, ...]
    ledger: Ledger
    guarantee: PrivacyGuarantee
    fitness: float
    noise_energy: float
    history: tuple[float, ...]
    stopped: str
    noise_ratio: float | None = None
