"""An honest estimate of how long the rest of a run takes: nothing is said before two groups were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

MIN_MEASURED = 2


def seconds_left(seconds: Sequence[float], n_left: int, *, elapsed: float, n_workers: int | None) -> float | None:
    """Return the mean seconds of a group times the rounds that are left, or None before two groups were measured.

    Parameters
    ----------
    seconds : what each trained group took.
    n_left : groups still to train.
    elapsed : seconds since the run began.
    n_workers : how many groups are trained at once; None takes what was seen, all groups' seconds over the seconds elapsed.

    Examples
    --------
    >>> seconds_left([60.0, 60.0], 5, elapsed=60.0, n_workers=2)
    180.0
    """
    if len(seconds) < MIN_MEASURED:
        return None
    mean = sum(seconds) / len(seconds)
    if n_workers is None:
        return mean * n_left / max(1.0, sum(seconds) / max(elapsed, 1e-9))
    return mean * math.ceil(n_left / n_workers)


def in_words(seconds: float | None) -> str:
    """Return the estimate with as many digits as it deserves.

    Examples
    --------
    >>> in_words(172.0), in_words(8.2), in_words(9000.0), in_words(None)
    ('about 3 min left', 'about 10 s left', 'about 2.5 h left', 'time left unknown')
    """
    if seconds is None:
        return "time left unknown"
    if seconds < 90:
        return f"about {max(5, 5 * math.ceil(seconds / 5))} s left"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"
