"""Where protective noise comes from: the operating system, or, for tests and audits only, a seed.

A `NoiseSource` has one source of randomness, `words`, and every draw is made from it by exact or certified algorithms:

- `discrete_gaussian`, `discrete_laplace`: whole numbers within a total variation of 2^-100 a draw (`discrete_gaussian_tv`, ...);
- `discrete_gaussian_each`: the same law, each draw with a scale of its own;
- `normal`: floats within a proved distance of ideal normal draws (`NORMAL_ERROR`), to be rounded before they are released;
- `uniform_below`: exactly uniform whole numbers.

`SecureNoise` asks the operating system at every call and keeps nothing: there is no buffer that a fork, a copy or a pickle could share,
and no word is used twice. `SeededNoise` is reproducible, hence not private: whoever knows the seed can take the noise away. A mechanism
gets its source through `noise_source`, which warns when the noise is seeded, and puts `noise_assumptions` into its guarantee.

Cost: 50 ns a word of entropy in bulk, 3 us for a single one.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.errors import InsecureNoiseWarning
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.bits import uniform_below
from mechanisms.noise.discrete_gaussian import sample_discrete_gaussian
from mechanisms.noise.discrete_laplace import sample_discrete_laplace
from mechanisms.noise.many_scales import sample_discrete_gaussian_each
from mechanisms.noise.normal import standard_normal
from mechanisms.validation import non_negative, whole_number

Shape = int | tuple[int, ...]

SEEDED_ASSUMPTION = "the noise came from a seed that nobody knows: without that, nothing is protected"
_BYTES_A_WORD = 8


class NoiseSource(ABC):
    """A source of protective noise; `secure` says whether it may protect data. A new one defines `secure` and `words`."""

    __slots__ = ()

    secure: bool

    @abstractmethod
    def words(self, n: int) -> NDArray[np.uint64]:
        """Return n fresh, independent, uniform 64-bit words, shape (n,)."""

    def uniform_below(self, n: int) -> int:
        """Return a whole number exactly uniform in [0, n), n >= 1 of any size."""
        return uniform_below(self.words, whole_number(1, n=n) if n < 2**53 else n)

    def normal(self, scale: ArrayLike = 1.0, shape: Shape = ()) -> NDArray[np.float64]:
        """Return normal floats of mean 0 and standard deviation `scale` (>= 0, a number or an array that broadcasts to `shape`).

        Each is within NORMAL_ERROR max(1, |z|) scale of an ideal draw z scale, up to one rounding. Round to a grid before a release.
        """
        factor = np.asarray(scale, dtype=np.float64)
        for extreme in (factor.min(initial=0.0), factor.max(initial=0.0)) if factor.ndim else (scale,):
            non_negative(scale=extreme)
        return np.asarray(standard_normal(_size(shape), self.words).reshape(shape) * factor, dtype=np.float64)

    def discrete_gaussian(self, sigma: float, shape: Shape = ()) -> NDArray[np.int64]:
        """Return whole numbers with P(x) proportional to exp(-x^2 / (2 sigma^2)), 0 < sigma <= 2^40; see `discrete_gaussian_tv`."""
        return sample_discrete_gaussian(sigma, _size(shape), self.words).reshape(shape)

    def discrete_gaussian_each(self, sigmas: ArrayLike) -> NDArray[np.int64]:
        """Return one whole number per sigma, shape (n,), with the law of `discrete_gaussian`; quick for many different sigmas."""
        return sample_discrete_gaussian_each(np.asarray(sigmas, dtype=np.float64), self.words)

    def discrete_laplace(self, scale: float, shape: Shape = ()) -> NDArray[np.int64]:
        """Return whole numbers with P(x) proportional to exp(-|x| / scale), 0 < scale <= 2^40; see `discrete_laplace_tv`."""
        return sample_discrete_laplace(scale, _size(shape), self.words).reshape(shape)


class SecureNoise(NoiseSource):
    """Noise from the operating system's generator, fresh at every call.

    Examples
    --------
    >>> SecureNoise().discrete_gaussian(4.0, (2, 3)).shape
    (2, 3)
    """

    __slots__ = ()

    secure = True

    def words(self, n: int) -> NDArray[np.uint64]:
        """Return n fresh words of operating-system entropy."""
        return np.frombuffer(bytearray(os.urandom(_BYTES_A_WORD * n)), dtype=np.uint64)

    def __repr__(self) -> str:
        return "SecureNoise()"


class SeededNoise(NoiseSource):
    """Reproducible noise for tests and audits; it protects nobody.

    A copy or a pickle carries the state along, as a numpy Generator does: it goes on with the same draws. Independent sources come
    from `spawn`.

    Parameters
    ----------
    seed : a whole number >= 0, or a `numpy.random.SeedSequence`.

    Examples
    --------
    >>> SeededNoise(7).discrete_laplace(3.0, 4).tolist() == SeededNoise(7).discrete_laplace(3.0, 4).tolist()
    True
    """

    __slots__ = ("_bits", "_seed")

    secure = False

    def __init__(self, seed: int | np.random.SeedSequence) -> None:
        if not isinstance(seed, np.random.SeedSequence):
            if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
                raise TypeError(f"seed must be a whole number or a SeedSequence, got {type(seed).__name__}")
            if seed < 0:
                raise ValueError(f"seed must be non-negative, got {seed}")
            seed = np.random.SeedSequence(int(seed))
        self._seed = seed
        self._bits = np.random.default_rng(seed).bit_generator

    def words(self, n: int) -> NDArray[np.uint64]:
        """Return the next n words of the seeded stream."""
        return np.asarray(self._bits.random_raw(n), dtype=np.uint64)

    def state(self) -> dict[str, JsonValue]:
        """Return the place in the stream, JSON-ready; as secret as the seed."""
        return json_record(dict(self._bits.state))

    def restore(self, state: Mapping[str, object]) -> None:
        """Go to a place that `state` returned.

        Raises
        ------
        ValueError : a state of another kind.
        """
        try:
            self._bits.state = dict(state)
        except (KeyError, TypeError, ValueError):
            raise ValueError("state is none of a SeededNoise") from None

    def spawn(self, n: int) -> list[SeededNoise]:
        """Return n independent sources; a second call returns others."""
        return [SeededNoise(child) for child in self._seed.spawn(whole_number(0, n=n))]

    def __repr__(self) -> str:
        return "SeededNoise(...)"


def noise_source(noise: NoiseSource | None, *, stacklevel: int = 3) -> NoiseSource:
    """Return the source a mechanism shall use: the given one, or operating-system entropy for None.

    `stacklevel` points the warning at the caller of the mechanism: 3 where the mechanism's constructor or function calls this.

    Raises
    ------
    TypeError : neither a NoiseSource nor None; a seed or a numpy Generator is not a source of protective noise.

    Warns
    -----
    InsecureNoiseWarning : the source is seeded.
    """
    if noise is None:
        return SecureNoise()
    if not isinstance(noise, NoiseSource):
        raise TypeError(f"noise must be a NoiseSource or None, got {type(noise).__name__}; for a reproducible run pass SeededNoise(7)")
    if not noise.secure:
        warnings.warn("noise comes from a seed: this release is reproducible, not private", InsecureNoiseWarning, stacklevel=stacklevel)
    return noise


def noise_assumptions(noise: NoiseSource) -> tuple[str, ...]:
    """Return what a guarantee must assume about its noise: nothing for a secure source."""
    return () if noise.secure else (SEEDED_ASSUMPTION,)


def _size(shape: Shape) -> int:
    return int(np.prod((shape,) if isinstance(shape, int) else shape, dtype=np.int64))
