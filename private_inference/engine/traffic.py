"""What one party sent, read from the engine's log.

With both profiling switches on, the engine writes for each run one total and one line an operation; the first party alone has them on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.errors import EngineError

_TOTAL = re.compile(r"Link details: total send bytes (\d+), recv bytes (\d+), send actions (\d+)")
_SECONDS = re.compile(r"SPU execution .* total time ([0-9.e+-]+)s")
_OPERATION = re.compile(r"- pphlo\.(\w+), executed \d+ times, .* send bytes (\d+) recv bytes")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes and messages of the first party, and the run's seconds on this machine.

    Parameters
    ----------
    by_operation : bytes sent for each kind of operation, zeros left out; they add up to `bytes_sent`.
    """

    bytes_sent: int
    bytes_received: int
    messages: int
    seconds: float
    by_operation: Mapping[str, int]


def read_traffic(log: str) -> Traffic:
    """Return the traffic of the one run in a log.

    Raises
    ------
    EngineError : the log has no total, or several.

    Examples
    --------
    >>> text = '''[info] [Profiling] SPU execution model completed, input processing took 1e-06s, total time 0.25s.
    ... [info] - pphlo.dot, executed 1 times, duration 0.2s, send bytes 20480 recv bytes 20480, send actions 2, recv actions 2
    ... [info] Link details: total send bytes 20480, recv bytes 20480, send actions 2, recv actions 2'''
    >>> read_traffic(text)
    Traffic(bytes_sent=20480, bytes_received=20480, messages=2, seconds=0.25, by_operation={'dot': 20480})
    """
    totals, seconds = _TOTAL.findall(log), _SECONDS.findall(log)
    if len(totals) != 1 or len(seconds) != 1:
        raise EngineError(f"the engine's log must hold one run's statistics, got {len(totals)}; is its version another than 0.9.5?")
    sent, received, messages = map(int, totals[0])
    by_operation = {name: int(n_bytes) for name, n_bytes in _OPERATION.findall(log) if int(n_bytes)}
    return Traffic(sent, received, messages, float(seconds[0]), by_operation)
