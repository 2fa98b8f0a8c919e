"""Synthetic membership games with known answers, for the tests of attacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attacks import MembershipScores


@dataclass(frozen=True)
class Game:
    """Signals of references, one target and a population."""

    ref_signals: np.ndarray
    ref_member: np.ndarray
    target: np.ndarray
    member: np.ndarray
    ref_population: np.ndarray
    population: np.ndarray

    def scores(self, values: np.ndarray) -> MembershipScores:
        return MembershipScores(values, self.member)


def gaussian_game(*, rng: np.random.Generator, n: int = 20_000, n_ref: int = 200, mu: float = 1.5, spread: float = 3.0) -> Game:
    """Level of each record N(0, spread^2); a member's signal is mu higher; noise N(0, 1) in every model."""
    level = spread * rng.normal(size=n)
    ref_member = rng.random((n_ref, n)) < 0.5
    ref_member[0], ref_member[1] = True, False  # every record has both sides
    member = rng.random(n) < 0.5
    ref_signals = level + mu * ref_member + rng.normal(size=(n_ref, n))
    target = level + mu * member + rng.normal(size=n)
    others = spread * rng.normal(size=500)
    return Game(ref_signals, ref_member, target, member, others + rng.normal(size=(n_ref, 500)), others + rng.normal(size=500))


def realistic_game(*, rng: np.random.Generator, n: int = 1500, n_ref: int = 8) -> Game:
    """Badly fitted records have a larger gap and scatter more, as in trained networks; half-split pairs."""
    level = 3 + 3 * rng.standard_normal(n) * np.where(rng.random(n) < 0.15, 2, 0.6)
    gap = np.log1p(np.exp(2 - level)) * np.exp(0.3 * rng.standard_normal(n))

    def models(k: int) -> tuple[np.ndarray, np.ndarray]:
        half = rng.permuted(np.tile(np.arange(n) < n // 2, (k // 2, 1)), axis=1)
        member = np.stack([half, ~half], axis=1).reshape(k, n)
        return level + gap * (member - 0.5) + (1.2 + 0.15 * np.abs(level - 2) * ~member) * rng.standard_normal((k, n)), member

    signals, member = models(n_ref + 2)
    others = 3 + 2 * rng.standard_normal(300)
    noise = rng.standard_normal((n_ref + 1, 300))
    return Game(signals[:-2], member[:-2], signals[-1], member[-1], others + 1.2 * noise[1:], others + 1.2 * noise[0])
