"""When to stop a sequence of trials: whatever takes trials and says "rejected" can be a stop rule of a training loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from numpy.typing import ArrayLike

from mechanisms.validation import whole_number


class StopRule(Protocol):
    """What a training loop needs to stop early; `SequentialAuditor` is one."""

    def update(self, bit: ArrayLike, guess: ArrayLike) -> None:
        """Take one trial or a batch."""

    @property
    def rejected(self) -> bool:
        """Whether to stop."""


def run_until_rejected(rule: StopRule, trials: Iterable[tuple[bool, bool]], *, most: int) -> int:
    """Draw trials until the rule rejects, `most` trials were drawn, or none are left.

    Parameters
    ----------
    rule : takes every trial; must be anytime-valid, since it is asked after each.
    trials : (bit, guess) of one trial after the other, drawn only as long as needed.
    most : positive number of trials.

    Returns
    -------
    The number of trials drawn.

    Raises
    ------
    ValueError : `most` is not a positive whole number.

    Examples
    --------
    >>> from privacy_audit.estimate.sequential import SequentialAuditor
    >>> run_until_rejected(SequentialAuditor(epsilon=1.0, delta=0.0), iter(lambda: (True, True), None), most=1000)
    20
    """
    most, drawn = whole_number(1, most=most), 0
    for bit, guess in trials:
        rule.update(bit, guess)
        drawn += 1
        if rule.rejected or drawn == most:
            break
    return drawn
