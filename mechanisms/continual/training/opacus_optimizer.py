"""Correlated noise in an Opacus run (DP-FTRL): one call after `make_private`.

    net, optimizer, loader = engine.make_private(..., poisson_sampling=False)
    optimizer, loader = correlated_noise(engine, optimizer, loader, n_steps=140, epsilon=3.0, delta=1e-5)
    ... train as usual; engine.get_epsilon(1e-5) tells the epsilon of the whole run ...

Noise enters the gradient, before the learning rate, momentum or Adam see it. Any schedule of learning rates is private; one that is
declared (`learning_rate=`) makes the noise fit it, and a step at another rate is refused, because the predicted error would be wrong. Also
refused: a step beyond the plan, a record that takes part too often or too soon, a changed clipping norm or noise multiplier.

Saving. `noise_state()` holds the noise that later steps cancel: it is SECRET, never part of a published checkpoint.
`optimizer.state_dict()` only says how many steps were taken; an optimizer that loads it takes no step until `load_noise_state` brought the
noise of the same step. A crash between two saves loses the steps since the last one, and taking them again draws new noise for them. If
nobody saw their weights or gradients (they never left the machine), the guarantee holds for what is seen in the end. If somebody did,
those steps were released twice and the guarantee is void: save the noise with every checkpoint that leaves the machine. A state may be
gone on from once.

Cost: see `noise_tensors`. Guarantee: `training_noise`, whose proof this file's checks serve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from numpy.typing import ArrayLike
from opacus.optimizers import DPOptimizer
from opacus.optimizers.optimizer import _check_processed_flag, _mark_as_processed
from torch import Tensor
from torch.utils.data import DataLoader

from mechanisms.continual.training.ledger import ParticipationLedger
from mechanisms.continual.training.noise_tensors import NoiseState, NoiseTensors
from mechanisms.continual.training.opacus_accountant import CorrelatedNoiseAccountant, silence
from mechanisms.continual.training.participation_loader import ParticipationLoader, require_schedule
from mechanisms.continual.training.schedule import Schedule
from mechanisms.continual.training.training_noise import TrainingNoise, design_training_noise
from mechanisms.errors import PrivacyAuditError, StateError, UnsupportedClaimError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, noise_source
from mechanisms.validation import positive, whole_number

if TYPE_CHECKING:
    from opacus import PrivacyEngine

_MARK = "correlated_noise"
_SAME_RATE = 1e-6


class CorrelatedNoiseOptimizer(DPOptimizer):  # type: ignore[misc]  # opacus has no types
    """Opacus's optimizer with correlated noise; made by `correlated_noise`.

    Attributes
    ----------
    noise : the stream, with its design.
    ledger : who took part in which step.
    """

    def __init__(self, optimizer: DPOptimizer, noise: NoiseTensors, noise_multiplier: float, ledger: ParticipationLedger) -> None:
        super().__init__(
            optimizer.original_optimizer,
            noise_multiplier=noise_multiplier,
            max_grad_norm=optimizer.max_grad_norm,
            expected_batch_size=optimizer.expected_batch_size,
            loss_reduction=optimizer.loss_reduction,
        )
        self.noise, self.ledger = noise, ledger
        self._planned = (noise_multiplier, float(optimizer.max_grad_norm))
        self._trained = list(self.params)
        self._needs_noise_of: int | None = None
        self._n_gradients = 0  # clipped into the sum of the coming step

    @property
    def design(self) -> TrainingNoise:
        """The public design of the noise."""
        return self.noise.design

    @property
    def n_taken(self) -> int:
        """Steps taken."""
        return self.noise.n_taken

    def clip_and_accumulate(self) -> None:
        """Clip as Opacus does, and count the gradients."""
        super().clip_and_accumulate()
        self._n_gradients += len(self.grad_samples[0])

    def add_noise(self) -> None:
        """Add this step's noise to the clipped sums, if the step keeps what the guarantee assumes."""
        self._require_planned()
        self.ledger.take(self.n_taken, self._n_gradients)
        self._n_gradients = 0
        with self.noise.step() as noises:
            for p, noise in zip(self.params, noises, strict=True):
                _check_processed_flag(p.summed_grad)
                p.grad = (p.summed_grad + noise.to(p.summed_grad.dtype).mul_(math.prod(self._planned))).view_as(p)
                _mark_as_processed(p.summed_grad)

    def noise_state(self) -> NoiseState:
        """Return what a resumed run needs beside `state_dict()`: tensors, text and numbers. SECRET: it undoes noise.

        Raises
        ------
        StateError : a step was interrupted halfway.
        """
        participations = [torch.from_numpy(self.ledger.last_step.copy()), torch.from_numpy(self.ledger.n_taken.copy())]
        return self.noise.state() | {"participations": participations}

    def load_noise_state(self, state: Mapping[str, Tensor | list[Tensor] | str | int]) -> None:
        """Go on from a saved state, once.

        Raises
        ------
        StateError : it is of another design, model, data set or source, or of a step before the ones taken here.
        """
        participations = state.get("participations")
        if not isinstance(participations, list) or len(participations) != 2:
            raise StateError("this is no state of an optimizer with correlated noise")
        if self._needs_noise_of is not None and state.get("n_taken") != self._needs_noise_of:
            raise StateError(f"the noise is of step {state.get('n_taken')}, the optimizer's state of step {self._needs_noise_of:,}")
        last_step, n_taken = (item.numpy() for item in participations)
        self.ledger.require_fit(last_step, n_taken)
        self.noise.restore(state)
        self.ledger.restore(last_step, n_taken)
        self._needs_noise_of = None

    def state_dict(self) -> dict[str, object]:
        """Return the inner optimizer's state and, without its noise, which step it is of."""
        return {**super().state_dict(), _MARK: {"n_taken": self.n_taken, "design": self.design.config_hash()}}

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Load the inner optimizer's state; steps are refused until `load_noise_state` brought the noise of the same step.

        Raises
        ------
        StateError : the state is of an optimizer with other noise.
        """
        mark = state_dict.get(_MARK)
        if not isinstance(mark, Mapping) or mark.get("design") != self.design.config_hash():
            raise StateError("the state is of an optimizer with other noise, or without; make the run anew with the same plan")
        super().load_state_dict({name: value for name, value in state_dict.items() if name != _MARK})
        self._needs_noise_of = None if mark["n_taken"] == self.n_taken else int(mark["n_taken"])

    def _require_planned(self) -> None:
        """Refuse a step that isn't the planned one, before anything is drawn."""
        self.noise.require_step()
        if self._needs_noise_of is not None:
            raise StateError(
                f"the optimizer's state is of step {self._needs_noise_of:,}; call load_noise_state with the noise of that step"
            )
        if (self.noise_multiplier, float(self.max_grad_norm)) != self._planned:
            raise UnsupportedClaimError("noise_multiplier and max_grad_norm must not change during a run with correlated noise")
        if [id(p) for p in self.params] != [id(p) for p in self._trained]:
            raise UnsupportedClaimError("the trained parameters must not change during a run with correlated noise")
        if self.design.learning_rate is not None:
            self._require_rate(float(self.design.learning_rate[self.n_taken]))

    def _require_rate(self, declared: float) -> None:
        for group in self.param_groups:
            rate = float(group["lr"])
            if not math.isclose(rate, declared, rel_tol=_SAME_RATE, abs_tol=1e-300):
                raise UnsupportedClaimError(
                    f"learning rate of step {self.n_taken + 1:,} was declared as {declared:g}, but {rate:g} is in force; "
                    "the noise was fitted to the declared rates: make the run anew, or declare none"
                )


def correlated_noise(
    engine: PrivacyEngine,
    optimizer: DPOptimizer,
    loader: DataLoader[object],
    *,
    n_steps: int,
    mechanism: str | TrainingNoise = "auto",
    noise_multiplier: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    participation: Schedule | None = None,
    learning_rate: ArrayLike | None = None,
    neighboring: Neighboring = Neighboring.ZERO_OUT,
    max_state: int = 16,
    noise: NoiseSource | None = None,
) -> tuple[CorrelatedNoiseOptimizer, ParticipationLoader]:
    """Return the optimizer with correlated noise and the loader to train with; the engine's accountant is replaced.

    Parameters
    ----------
    engine, optimizer, loader : of `make_private(..., poisson_sampling=False)`, before the first step. Its noise multiplier is not used.
    n_steps : T, all optimizer steps of the run.
    mechanism : as `design_training_noise`, or a design that it returned, with its own participation and learning rates.
    noise_multiplier : base noise / max_grad_norm; or
    epsilon, delta : the guarantee it is computed from.
    participation : FixedOrder or Participation; None takes the loader's own fixed order.
    learning_rate : (T,) of each step, if the noise shall fit it.
    neighboring : ZERO_OUT, or REPLACE, which takes twice the noise.
    max_state : floats of state per parameter.
    noise : source of the noise; None is the operating system.

    Raises
    ------
    UnsupportedClaimError : Poisson batches, shuffling with a claimed gap, per-layer, adaptive, ghost or distributed clipping.
    PrivacyAuditError : training has begun.
    ValueError, TypeError : a parameter out of its range.

    Warns
    -----
    InsecureNoiseWarning : the source is seeded.

    Guarantee
    ---------
    `engine.accountant.guarantee(delta)`: mu-GDP for all T steps, mu = Delta_2 / noise_multiplier, as proved in `training_noise`. Its
    assumptions on participation, horizon, clipping norm and noise are checked at every step.
    """
    _require_flat(engine, optimizer)
    source, T = noise_source(noise), whole_number(1, n_steps=n_steps)
    if isinstance(mechanism, TrainingNoise):
        design = _made_before(mechanism, T, participation, learning_rate)
        require_schedule(loader, design.participation, T)
    else:
        schedule = require_schedule(loader, participation, T)
        design = design_training_noise(T, participation=schedule, mechanism=mechanism, learning_rate=learning_rate, max_state=max_state)
    multiplier = _multiplier(design, noise_multiplier, epsilon, delta, neighboring)
    ledger = ParticipationLedger(len(loader.dataset), design.participation)  # type: ignore[arg-type]
    made = CorrelatedNoiseOptimizer(optimizer, NoiseTensors(design, optimizer.params, source), multiplier, ledger)
    accountant = CorrelatedNoiseAccountant(design, multiplier, neighboring, source)
    made.attach_step_hook(accountant.get_optimizer_hook_fn(sample_rate=1.0))
    optimizer.attach_step_hook(_refuse_step)
    silence(engine.accountant)
    engine.accountant = accountant
    return made, ParticipationLoader(loader, ledger)


def _require_flat(engine: PrivacyEngine, optimizer: DPOptimizer) -> None:
    if type(optimizer) is not DPOptimizer:
        raise UnsupportedClaimError(
            f"optimizer must be the DPOptimizer of make_private with flat clipping in one process, got {type(optimizer).__name__}; "
            "per-layer, adaptive, ghost and distributed clipping are not supported"
        )
    positive(max_grad_norm=optimizer.max_grad_norm)
    if len(engine.accountant) > 0:
        raise PrivacyAuditError("the engine's accountant has counted steps already; call correlated_noise before the first step")


def _made_before(design: TrainingNoise, n_steps: int, participation: Schedule | None, learning_rate: ArrayLike | None) -> TrainingNoise:
    if participation is not None or learning_rate is not None:
        raise ValueError("participation and learning_rate belong to the design that mechanism gives; leave them out")
    if design.n_steps != n_steps:
        raise ValueError(f"n_steps must be the design's {design.n_steps:,}, got {n_steps:,}")
    return design


def _multiplier(
    design: TrainingNoise, noise_multiplier: float | None, epsilon: float | None, delta: float | None, neighboring: Neighboring
) -> float:
    design.mu(1.0, neighboring)  # refuses a wrong relation
    if (noise_multiplier is None) == (epsilon is None) or (epsilon is None) != (delta is None):
        raise ValueError("give noise_multiplier, or epsilon and delta")
    if noise_multiplier is not None:
        return positive(noise_multiplier=noise_multiplier)
    return design.noise_multiplier(epsilon=epsilon or 0.0, delta=delta or 0.0, neighboring=neighboring)


def _refuse_step(_: object) -> None:
    raise UnsupportedClaimError("this optimizer adds independent noise that nobody counts; take steps with the one of correlated_noise")
