"""Correlated noise for the gradients of a training run: its design, its guarantee, its error. All of it is public.

Step t releases G_t + C m y_t: G_t the sum of clipped gradients (norm at most C a record), m the noise multiplier, y = R^{-1} z with z
independent and standard normal, R = diag(a) F diag(1/n) lower triangular. The weights after t steps of plain SGD are

    theta_t = theta_0 - sum_{s<=t} eta_s (G_s + C m y_s) / N        their noise: L z, L = A diag(eta) R^{-1}, A prefix sums

and y cancels over time: ||L_t|| grows like a logarithm of t, with independent noise like its root.

Guarantee. R is invertible and lower triangular, so releases 1 to t tell what those of R G + C m z tell. Given the same releases so far,
both worlds have the same model, and G differs by one record's contributions D: (R D)_t is fixed before z_t is drawn. This is an adaptive
sequence of Gaussian mechanisms with sum_t ||(R D)_t||^2 <= (Delta_2 C)^2 whatever the adversary does; pad it by one step to equality. The
privacy loss is then mu^2/2 plus a stochastic integral of quadratic variation mu^2, mu = Delta_2 / m, which is N(mu^2/2, mu^2) exactly
(Dambis, Dubins, Schwarz): the run is mu-GDP. No sampling is amplified, and nothing depends on learning rates, momentum or the optimizer,
which only process releases: noise enters the gradient, before the learning rate. (Noise added to weights and scaled by the rate of the
first step would be too small once the rate rises.)

Which R is best does depend on the learning rates, so a declared schedule goes into the design and into its error.

Symbols: T steps, C max_grad_norm, m noise_multiplier (base noise / C, as in Opacus), Delta_2 sensitivity for contributions of norm 1,
doubled for REPLACE. Cost: that of `fitted_filter`.

References
----------
Kairouz, McMahan, Song, Thakkar, Thakurta, Xu, Practical and Private (Deep) Learning without Sampling or Shuffling, ICML 2021. Denisov et
al., NeurIPS 2022 (theorem 2.1). Smith, Thakurta, Fully Adaptive Composition for Gaussian Differential Privacy, 2022. Pillutla et al.,
Correlated Noise Mechanisms for Differentially Private Learning, 2025.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from mechanisms.accounting.gaussian import gaussian_epsilon, gaussian_mu
from mechanisms.continual.factorization import MOST_DENSE, Floats
from mechanisms.continual.training.fitted_filter import MAKERS
from mechanisms.continual.training.noise_filter import NoiseFilter
from mechanisms.continual.training.schedule import FixedOrder, Participation, Schedule, schedule_sensitivity
from mechanisms.guarantee import Neighboring, PrivacyGuarantee, valid_neighboring
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import in_range, one_dimensional, one_of, positive, whole_number

MECHANISMS = ("auto", *MAKERS)
ASSUMPTIONS = (
    "each record's contribution to a step is clipped to max_grad_norm, and one record changes only its own contribution",
    "a record that is left out leaves its place in the order of batches: nobody else's steps change",
    "the normalizer of the noisy sum is fixed without looking at the data set",
    "gradients and noise are floats: the guarantee is that of real arithmetic, as with every float DP-SGD",
    "nothing else depends on the data: preprocessing, early stopping and hyperparameter choice cost extra",
)
_SLACK = 1 + 2.0**-36  # more than the float errors of sensitivities and tables
_LONG = 2048  # beyond it "auto" leaves out the scaled mechanism, which takes minutes to fit


@dataclass(frozen=True, slots=True, eq=False)
class TrainingNoise:
    """The design of a run's noise; made by `design_training_noise`.

    Parameters
    ----------
    name : of the mechanism.
    noise_filter : F and its inverse.
    scale, gain : (T,) a and n of R = diag(a) F diag(1/n).
    participation : which steps a record may take part in.
    learning_rate : (T,) as declared; None if it was not.
    sensitivity : Delta_2 of R for contributions of norm at most 1.
    """

    name: str
    noise_filter: NoiseFilter
    scale: Floats
    gain: Floats
    participation: Schedule
    learning_rate: Floats | None
    sensitivity: float

    def __post_init__(self) -> None:
        for name in ("scale", "gain", "learning_rate"):
            value = getattr(self, name)
            if value is not None:
                table = np.array(value, dtype=np.float64)
                table.flags.writeable = False
                object.__setattr__(self, name, table)

    @property
    def n_steps(self) -> int:
        """T."""
        return len(self.scale)

    @property
    def n_state(self) -> int:
        """Floats of state per parameter of the model."""
        return self.noise_filter.n_state

    def mu(self, noise_multiplier: float, neighboring: Neighboring = Neighboring.ZERO_OUT) -> float:
        """Return the Gaussian-DP parameter of the whole run."""
        return self.sensitivity * _change(neighboring) / positive(noise_multiplier=noise_multiplier) * _SLACK

    def noise_multiplier(self, *, epsilon: float, delta: float, neighboring: Neighboring = Neighboring.ZERO_OUT) -> float:
        """Return the noise multiplier of a guarantee: standard deviation of the base noise over max_grad_norm."""
        mu = gaussian_mu(positive(epsilon=epsilon), in_range(0, 1, delta=delta))
        return self.sensitivity * _change(neighboring) / mu * _SLACK**2

    def guarantee(self, noise_multiplier: float, delta: float, neighboring: Neighboring = Neighboring.ZERO_OUT) -> PrivacyGuarantee:
        """Return the guarantee of all T steps, also where fewer are taken.

        Parameters
        ----------
        noise_multiplier : standard deviation of the base noise over max_grad_norm.
        delta : in (0, 1).
        neighboring : ZERO_OUT (a record's contribution becomes zero) or REPLACE, which doubles the sensitivity.

        Raises
        ------
        ValueError : a parameter out of its range, or ADD_REMOVE: adding a record moves all later batches.

        Guarantee
        ---------
        The proof stands in the head of this file; `assumptions` says what it takes for granted.
        """
        mu = self.mu(noise_multiplier, neighboring)
        return PrivacyGuarantee(
            epsilon=gaussian_epsilon(mu, in_range(0, 1, delta=delta)),
            delta=delta,
            neighboring=neighboring,
            mechanism=f"{self.name} noise, {self.n_steps} steps, {self.participation}, noise multiplier {noise_multiplier:.6g}",
            assumptions=ASSUMPTIONS,
        )

    def weight_variances(self, learning_rate: ArrayLike | None = None) -> Floats:
        """Return ||L_t||^2 for t = 1 to T: variance per weight after t steps of plain SGD, in units of (C m / N)^2.

        Parameters
        ----------
        learning_rate : (T,) that is in force; None takes the declared one, or ones.
        """
        return self.noise_filter.variances(self.scale, self.gain * self._rates(learning_rate))

    def mean_error(self, learning_rate: ArrayLike | None = None) -> float:
        """Return Delta_2^2 mean_t ||L_t||^2: comparable between mechanisms, at equal privacy."""
        return self.sensitivity**2 * float(self.weight_variances(learning_rate).mean())

    def right_matrix(self) -> Floats:
        """Return R (T, T).

        Raises
        ------
        ValueError : more than 2,048 steps.
        """
        if self.n_steps > MOST_DENSE:
            raise ValueError(f"matrices are made up to {MOST_DENSE:,} steps, got {self.n_steps:,}")
        F = np.tril(linalg.toeplitz(self.noise_filter.coefficients(self.n_steps)))
        return np.asarray(self.scale[:, None] * F / self.gain)

    def config_hash(self) -> str:
        """Return a hash of everything that the noise and the guarantee depend on."""
        parts = [self.noise_filter.inverse_coefficients(self.n_steps), self.scale, self.gain, self._rates(None)]
        digest = hashlib.sha256(repr((self.name, self.participation, self.learning_rate is None)).encode())
        for part in parts:
            digest.update(part.tobytes())
        return digest.hexdigest()

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready summary."""
        names = ("name", "n_steps", "n_state", "sensitivity")
        summary: dict[str, object] = {"schema_version": 1, **{name: getattr(self, name) for name in names}}
        return json_record(summary | {"participation": str(self.participation), "mean_error": self.mean_error()})

    def _rates(self, learning_rate: ArrayLike | None) -> Floats:
        if learning_rate is None:
            return np.ones(self.n_steps) if self.learning_rate is None else self.learning_rate
        return _valid_rates(learning_rate, self.n_steps)


def design_training_noise(
    n_steps: int,
    *,
    participation: Schedule,
    mechanism: str = "auto",
    learning_rate: ArrayLike | None = None,
    max_state: int = 16,
) -> TrainingNoise:
    """Return the noise of a training run.

    Parameters
    ----------
    n_steps : T, optimizer steps.
    participation : FixedOrder or Participation, which steps a record may take part in.
    mechanism : "identity" (independent noise: DP-SGD without sampling), "square_root" (keeps all draws), "banded_inverse",
        "buffered_toeplitz", "scaled_square_root", or "auto", the least predicted error within `max_state`.
    learning_rate : (T,) of each step if it is known up front; the noise is then fitted to it.
    max_state : floats of state per parameter that "auto" and "banded_inverse" may use.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range.

    Examples
    --------
    >>> noise = design_training_noise(140, participation=FixedOrder(10, 14), mechanism="banded_inverse")
    >>> round(noise.sensitivity, 3), round(noise.mean_error()), round(noise.guarantee(10.0, 1e-5).epsilon, 3)
    (5.102, 107, 2.038)
    """
    T, state = whole_number(1, n_steps=n_steps), whole_number(0, max_state=max_state)
    one_of(MECHANISMS, mechanism=mechanism)
    if not isinstance(participation, FixedOrder | Participation):
        raise TypeError(f"participation must be a FixedOrder or a Participation, got {type(participation).__name__}")
    rates = None if learning_rate is None else _valid_rates(learning_rate, T)
    if mechanism != "auto":
        return _designed(mechanism, T, participation, rates, state)
    return plan_training_noise(T, participation=participation, learning_rate=rates, max_state=state)[0]


def plan_training_noise(
    n_steps: int, *, participation: Schedule, learning_rate: ArrayLike | None = None, max_state: int = 16
) -> tuple[TrainingNoise, ...]:
    """Return the mechanisms whose state fits, the least `mean_error` first; parameters and errors as `design_training_noise`.

    Examples
    --------
    >>> [noise.name for noise in plan_training_noise(60, participation=FixedOrder(4, 15))]
    ['banded_inverse', 'scaled_square_root', 'buffered_toeplitz', 'identity']
    """
    T, state = whole_number(1, n_steps=n_steps), whole_number(0, max_state=max_state)
    rates = None if learning_rate is None else _valid_rates(learning_rate, T)
    names = [name for name in MAKERS if name != "square_root" and (name != "scaled_square_root" or T <= _LONG)]
    made = [_designed(name, T, participation, rates, state) for name in names]
    return tuple(sorted((noise for noise in made if noise.n_state <= state), key=TrainingNoise.mean_error))


def _designed(name: str, T: int, participation: Schedule, rates: Floats | None, max_state: int) -> TrainingNoise:
    noise_filter, scale, gain = MAKERS[name](np.ones(T) if rates is None else rates, participation, max_state)
    sensitivity = schedule_sensitivity(noise_filter, scale, gain, participation)
    return TrainingNoise(name, noise_filter, scale, gain, participation, rates, sensitivity)


def _valid_rates(learning_rate: ArrayLike, T: int) -> Floats:
    rates = np.asarray(one_dimensional(learning_rate=learning_rate), dtype=np.float64)
    if len(rates) != T or not np.isfinite(rates).all() or (rates < 0).any() or not (rates > 0).any():
        raise ValueError(f"learning_rate must be {T} finite numbers >= 0, one for each step and not all 0, got {len(rates)} numbers")
    return rates


def _change(neighboring: Neighboring) -> float:
    if valid_neighboring(neighboring) is Neighboring.ADD_REMOVE:
        raise ValueError("neighboring must be ZERO_OUT or REPLACE, got add_remove: one more record would move all later batches")
    return 2.0 if neighboring is Neighboring.REPLACE else 1.0
