"""Canaries in a run with correlated noise (DP-FTRL): what each step shows, whitened, and its likelihood ratio.

Canary j with clipped gradient C e_j takes part in the steps of its pattern pi. Its signals, in units of C, are (`likelihood`)

    O = B 1_pi + m y,   y = R^{-1} z     hence  R O = B u + m z,  u = R 1_pi,  z standard normal,  B = 1 if it is in the data, else 0
    LLR = <u, R O> / m^2 - ||u||^2 / (2 m^2)

the optimal test of one canary (Neyman and Pearson 1933), exactly mu-GDP with mu = ||u|| / m: where its pattern is the worst one, this is
the claim, so nothing is lost. Canaries that are out keep their places in the batches and contribute zero: neighbors by ZERO_OUT, as
claimed.

symbols: m noise_multiplier, R of the noise's design, T steps. Cost: O(T^2) a canary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from attacks.canaries.engine import correlated_design
from attacks.canaries.marks import CanaryDataset
from attacks.canaries.phantom import PhantomModule
from attacks.canaries.probe import CanaryProbe
from attacks.canaries.result import BatchLog, CanaryResult
from attacks.scores import MembershipScores
from mechanisms.continual.training.training_noise import TrainingNoise
from mechanisms.errors import UnsupportedClaimError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CorrelatedNoiseResult:
    """What a run with correlated noise showed of its canaries.

    Parameters
    ----------
    run : signals (steps, canaries), coins and settings; its own scores assume independent noise and are not for this run.
    took_part : (steps, canaries) which steps each canary had a place in, whether it was in the data or not.
    design : of the noise.
    noise_multiplier : as claimed.
    """

    run: CanaryResult
    took_part: NDArray[np.bool_]
    design: TrainingNoise
    noise_multiplier: float

    @property
    def member(self) -> NDArray[np.bool_]:
        """Which canaries were in the data, shape (canaries,)."""
        return self.run.member

    @property
    def scores(self) -> dict[str, MembershipScores]:
        """Scores of an attacker who sees every noisy gradient ("all_steps", exact LLR); at most 2,048 planned steps, else ValueError."""
        R = self.design.right_matrix()[: self.run.steps, : self.run.steps]
        llr = correlated_log_likelihood_ratio(self.run.signals, self.took_part, right=R, noise_multiplier=self.noise_multiplier)
        return {"all_steps": MembershipScores(llr, self.member)}


def correlated_log_likelihood_ratio(
    signals: NDArray[np.float64], took_part: NDArray[np.bool_], *, right: NDArray[np.float64], noise_multiplier: float
) -> NDArray[np.float64]:
    """Return the log-likelihood ratio of each canary, larger = more likely a member.

    Parameters
    ----------
    signals : (steps, canaries) array of O_t.
    took_part : (steps, canaries) each canary's pattern.
    right : (steps, steps) R, or its leading block where fewer steps were taken than planned.
    noise_multiplier : m as claimed.

    Returns
    -------
    (canaries,) array.
    """
    expected, whitened = right @ took_part, right @ signals
    ratio = (expected * (whitened - expected / 2)).sum(axis=0) / noise_multiplier**2
    return np.asarray(ratio, dtype=np.float64)


class CorrelatedNoiseProbe(CanaryProbe):
    """`CanaryProbe` for an optimizer that `correlated_noise` returned; use and parameters are the same.

    The data set gets a place for every canary, in the data or not, so that coins move nobody's batches.
    """

    def wrap(self, module: nn.Module, dataset: Dataset[Any]) -> tuple[PhantomModule, CanaryDataset]:
        """See `CanaryProbe.wrap`."""
        wrapped, _ = super().wrap(module, dataset)
        wrapped.present[:-1] = torch.from_numpy(self.member).to(wrapped.present.device)
        return wrapped, CanaryDataset(dataset, list(range(self.n_canaries)))

    def attach(self, optimizer: Any, loader: Any, *, readout: str = "auto") -> None:
        """See `CanaryProbe.attach`; attach it after `correlated_noise`, with what that returned."""
        super().attach(optimizer, loader, readout=readout)
        self._design = cast("TrainingNoise", correlated_design(optimizer))

    def correlated_result(self) -> CorrelatedNoiseResult:
        """Return the signals, scores and claim of the finished run.

        Raises
        ------
        InsufficientEvidenceError, UnsupportedClaimError : as `CanaryProbe.result`.
        """
        run = self.result()
        took_part = cast("BatchLog", run.batch_log).canary_in
        return CorrelatedNoiseResult(run=run, took_part=took_part, design=self._design, noise_multiplier=run.claimed.noise_multiplier)

    def _require_noise(self, optimizer: Any) -> None:
        if correlated_design(optimizer) is None:
            raise UnsupportedClaimError(
                "the optimizer adds independent noise; use CanaryProbe, or attach this probe after correlated_noise"
            )
