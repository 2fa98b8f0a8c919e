"""SequentialAuditor: an audit that may be looked at after every trial and stopped at any time.

A test with a fixed number of trials is wrong if one stops as soon as it rejects. Here the claim is bet against (`betting.py`): while it is
true, the wealth exceeds 1 / alpha at any time with probability at most alpha, so one may stop when it does.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.scores import as_membership
from mechanisms.guarantee import Neighboring, valid_neighboring
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import non_negative, probability_level, same_length, valid_delta, whole_number
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.streams.betting import FloatArray, LogBets, log_wealth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1
GRID_STEP = 0.01  # between tested epsilons, nats
GRID_END = 10.0  # the grid ends here, or five nats above the claim
_SHORTEST, _LONGEST = 128, 1024  # trials looked at together; short at first, when many claims are open
_MOST_CHECKPOINTS = 512

FAIR_BITS = "each trial's bit is a fair coin, independent of the past"
PAST_ONLY = "attack and threshold of a trial depend on earlier trials only"
ONE_MECHANISM = "every trial is a fresh run of a mechanism that obeys the same (epsilon, delta) given the past"


class SequentialAuditor:
    """Anytime-valid test of a claim, and a running lower bound of epsilon.

    Parameters
    ----------
    epsilon, delta : the claim; epsilon in nats, finite; delta in [0, 1).
    level : P(a true claim is ever rejected) is at most 1 - level.
    neighboring : the relation under which the two worlds of a trial differ.

    Raises
    ------
    ValueError, TypeError : a parameter out of range, or `neighboring` not a `Neighboring`.

    Guarantee
    ---------
    Let W_t = 1{g=in, b=1} - exp(epsilon) 1{g=in, b=0} - delta/2. With fair bits and a true claim E[W_t | past] = (TPR_t -
    exp(epsilon) FPR_t - delta) / 2 <= 0, and 1 + lambda W_t > 0, so the average E_t over fixed lambdas of prod(1 + lambda W_s) is a
    non-negative supermartingale from 1: P(E_t >= 1/alpha for some t) <= alpha (Ville 1939). Lower bound: the largest point of
    a fixed grid that was rejected at some time together with all points below. Let g* be the first grid point not below the true
    epsilon; a bound of g* or more needs the true claim g* to be rejected. So P(bound > epsilon at some time) <= alpha.

    Notes
    -----
    One direction is tested: many hits when the record is in. For the other one pass `~bit` with the guess "out"; to use both, run two
    auditors with half the error each. Trials of one training run (delta = 0) may be passed as bit = "guess was right", guess =
    "not abstained", canaries in an order fixed beforehand. Pooled points of one model that are correlated are no trials.

    References
    ----------
    Ville 1939. Gonzalez et al., Sequentially Auditing Differential Privacy, 2025.

    Examples
    --------
    >>> auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
    >>> auditor.update([True, False] * 20, [True, False] * 20)
    >>> auditor.rejected, auditor.rejected_at, auditor.lower_bound
    (True, 39, 1.0)
    """

    def __init__(self, *, epsilon: float, delta: float, level: float = 0.95, neighboring: Neighboring = Neighboring.ADD_REMOVE) -> None:
        self.epsilon, self.delta, self.level = non_negative(epsilon=epsilon), valid_delta(delta), probability_level(level)
        self.neighboring = valid_neighboring(neighboring)
        self._grid = _grid(self.epsilon)
        self._claim = int(np.flatnonzero(self._grid == self.epsilon)[0])
        self._bets = LogBets.against(self._grid, self.delta)
        self._n = self._n_hits = self._n_false_alarms = 0
        self._rejected_at = np.zeros(len(self._grid), dtype=np.int64)  # first trial at which a grid point was rejected; 0: not yet
        self._stride, self._checkpoints = 1, np.zeros((0, 3), dtype=np.int64)  # n, hits, false alarms

    def update(self, bit: ArrayLike, guess: ArrayLike) -> None:
        """Take one trial or many in their order.

        Parameters
        ----------
        bit : whether the record was in; bool (or 0 and 1), scalar or shape (n,).
        guess : whether the attack said "in"; False for "out" and for abstaining; the same shape.

        Raises
        ------
        ValueError : lengths differ, more than one axis, or values other than true and false.
        """
        truth, guessed = as_membership(bit=np.atleast_1d(bit)), as_membership(guess=np.atleast_1d(guess))
        start, n = 0, same_length(bit=truth, guess=guessed)
        while start < n:
            part = slice(start, start + min(_LONGEST, max(_SHORTEST, self._n // 8)))
            self._advance(truth[part] & guessed[part], ~truth[part] & guessed[part])
            start = part.stop

    @property
    def n(self) -> int:
        """Number of trials so far."""
        return self._n

    @property
    def rejected(self) -> bool:
        """Whether the claim was rejected at any time."""
        return bool(self._rejected_at[self._claim])

    @property
    def rejected_at(self) -> int | None:
        """The trial, counted from 1, at which the claim was rejected first."""
        return int(self._rejected_at[self._claim]) or None

    @property
    def log_e_value(self) -> float:
        """Natural logarithm of the e-value against the claim, now."""
        return float(log_wealth(self._bets.take(np.array([self._claim])), *self._counts())[0])

    @property
    def e_value(self) -> float:
        """The e-value against the claim, now: the bettor's wealth, which starts at 1; infinite beyond what a float holds."""
        return math.exp(self.log_e_value) if self.log_e_value < math.log(np.finfo(np.float64).max) else math.inf

    @property
    def lower_bound(self) -> float:
        """The running lower bound of epsilon, nats; it never falls."""
        return float(self._bound_path(np.array([self._n]))[0])

    @property
    def kind(self) -> Literal["bound"]:
        """The kind of statement: proved coverage, at all times at once."""
        return "bound"

    def bound(self) -> EpsilonBound:
        """Return the running lower bound as a record."""
        return EpsilonBound(
            epsilon=self.lower_bound,
            delta=self.delta,
            level=self.level,
            method="sequential",
            neighboring=self.neighboring,
            assumptions=(FAIR_BITS, PAST_ONLY, ONE_MECHANISM),
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready summary: claim, number of trials, e-value, bound."""
        return {
            **self.bound().to_dict(),
            "claim": self.epsilon,
            "n": self._n,
            "rejected": self.rejected,
            "rejected_at": self.rejected_at,
            "e_value": json_ready(self.e_value),
            "log_e_value": json_ready(self.log_e_value),
        }

    def state_dict(self) -> dict[str, JsonValue]:
        """Return all that the future depends on, JSON-ready: the claim, counts and first rejections, as whole numbers."""
        return {
            "schema_version": SCHEMA_VERSION,
            **self._settings(),
            "n": self._n,
            "n_hits": self._n_hits,
            "n_false_alarms": self._n_false_alarms,
            "rejected_at": json_ready(np.trim_zeros(self._rejected_at, "b")),
            "stride": self._stride,
            "checkpoints": json_ready(self._checkpoints),
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue where `state_dict` stood; on an error the auditor stays as it was.

        Raises
        ------
        ValueError : a state of another claim, level or version, or one that is damaged.
        """
        wanted = {"schema_version": SCHEMA_VERSION, **self._settings()}
        other = [name for name, value in wanted.items() if state.get(name) != value]
        if other:
            raise ValueError(f"state must be of an auditor with the same {', '.join(other)}; make one with the settings of the state")
        try:
            n, hits, alarms, stride = (whole_number(**{name: state[name]}) for name in ("n", "n_hits", "n_false_alarms", "stride"))
            first = np.array(state["rejected_at"], dtype=np.int64)
            checkpoints = np.array(state["checkpoints"], dtype=np.int64).reshape(-1, 3)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"state is damaged: {error}") from None
        if hits + alarms > n or first.ndim != 1 or len(first) > len(self._grid) or stride < 1 or not _within(first, checkpoints, n):
            raise ValueError("state is damaged: its counts contradict each other")
        self._n, self._n_hits, self._n_false_alarms, self._stride = n, hits, alarms, stride
        self._rejected_at = np.pad(first, (0, len(self._grid) - len(first)))
        self._checkpoints = checkpoints

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a JSON file; the file appears whole or not at all."""
        target = Path(path)
        partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        try:
            with partial.open("x", encoding="utf-8") as file:
                json.dump(self.state_dict(), file, allow_nan=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SequentialAuditor:
        """Return the auditor that `save` wrote.

        Raises
        ------
        ValueError : no JSON file of a state.
        """
        try:
            state = json.loads(Path(path).read_text(encoding="utf-8"))
            settings = {name: state[name] for name in ("epsilon", "delta", "level")}
            auditor = cls(**settings, neighboring=Neighboring(state["neighboring"]))
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{Path(path).name} holds no state of a SequentialAuditor") from None
        auditor.load_state_dict(state)
        return auditor

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the e-value against the claim over the trials, and the line at which it is rejected."""
        from privacy_audit.estimate.streams.sequential_plot import draw_monitor

        return draw_monitor(self, ax)

    def path(self) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
        """Return (trials, ln e-value of the claim, lower bound) at up to 513 times, the last one now."""
        now = np.array([[self._n, self._n_hits, self._n_false_alarms]])
        rows = self._checkpoints if len(self._checkpoints) and self._checkpoints[-1, 0] == self._n else np.vstack([self._checkpoints, now])
        n, hits, alarms = rows.T
        claim = self._bets.take(np.array([self._claim]))
        return n.copy(), log_wealth(claim, hits, alarms, n - hits - alarms), self._bound_path(n)

    def _advance(self, hit: NDArray[np.bool_], alarm: NDArray[np.bool_]) -> None:
        n = self._n + np.arange(1, len(hit) + 1)
        hits, alarms = self._n_hits + np.cumsum(hit), self._n_false_alarms + np.cumsum(alarm)
        peaks = np.flatnonzero(hit)
        if len(peaks):
            self._mark(n[peaks], hits[peaks], alarms[peaks])
        self._remember(np.stack([n, hits, alarms], axis=1))
        self._n, self._n_hits, self._n_false_alarms = int(n[-1]), int(hits[-1]), int(alarms[-1])

    def _mark(self, n: NDArray[np.int64], hits: NDArray[np.int64], alarms: NDArray[np.int64]) -> None:
        """Note the first time at which each open grid point is rejected; points that all these hits in a row can't reject are left out."""
        needed, _, *losses = -math.log(1 - self.level), *self._counts()
        candidates = np.flatnonzero(self._rejected_at == 0)
        candidates = candidates[log_wealth(self._bets.take(candidates), hits[-1], *losses) >= needed]
        if len(candidates):
            bets = self._bets.take(candidates)
            crossed = log_wealth(bets, hits[:, None], alarms[:, None], (n - hits - alarms)[:, None]) >= needed
            some = crossed.any(axis=0)
            self._rejected_at[candidates[some]] = n[crossed.argmax(axis=0)[some]]

    def _remember(self, rows: NDArray[np.int64]) -> None:
        """Keep every stride-th trial; when there are too many, every second of them."""
        self._checkpoints = np.vstack([self._checkpoints, rows[rows[:, 0] % self._stride == 0]])
        while len(self._checkpoints) > _MOST_CHECKPOINTS:
            self._stride *= 2
            self._checkpoints = self._checkpoints[self._checkpoints[:, 0] % self._stride == 0]

    def _bound_path(self, n: NDArray[np.int64]) -> FloatArray:
        """Return the lower bound after n trials: the last grid point up to which all were rejected by then, 0 if none was."""
        never = np.iinfo(np.int64).max
        all_below = np.maximum.accumulate(np.where(self._rejected_at == 0, never, self._rejected_at))
        index = np.searchsorted(all_below, n, side="right") - 1
        return np.where(index >= 0, self._grid[np.maximum(index, 0)], 0.0)

    def _counts(self) -> tuple[int, int, int]:
        return self._n_hits, self._n_false_alarms, self._n - self._n_hits - self._n_false_alarms

    def _settings(self) -> dict[str, JsonValue]:
        return {"epsilon": self.epsilon, "delta": self.delta, "level": self.level, "neighboring": self.neighboring.value}


def _grid(claim: float) -> FloatArray:
    """Return the tested epsilons, fixed by the claim alone; the claim is one of them."""
    steps = math.ceil(max(GRID_END, claim + 5) / GRID_STEP)
    return np.union1d(np.arange(steps + 1) / round(1 / GRID_STEP), [claim])


def _within(first: NDArray[np.int64], checkpoints: NDArray[np.int64], n: int) -> bool:
    return all(bool(((array >= 0) & (array <= n)).all()) for array in (first, checkpoints))
