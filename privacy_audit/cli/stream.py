"""`privacy-audit stream`: a continual release on the command line, one step a line, crash-safe.

counter       numbers on a line, their running sums              max_sum       0s and 1s on a line, the largest of the running counts
histogram     a bin on a line, the counts of all bins            sum_select    0s and 1s on a line, the index of the largest count
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mechanisms.continual.counter_options import BudgetOptions
    from mechanisms.continual.max_sum import MaxSum
    from mechanisms.continual.stored_release import StoredRelease
    from mechanisms.continual.sum_select import SumSelect
    from mechanisms.guarantee import Neighboring

Input = TypeVar("Input")
Answer = TypeVar("Answer")
_OWN_OPTIONS = {
    "counter": ("--bound", "--real", "--non-negative", "--clip"),
    "max_sum": ("--clip", "--largest"),
    "sum_select": ("--clip",),
    "histogram": (),
}


def stream(
    state: Annotated[str, typer.Argument(help="State file; made if it isn't there, else the stream goes on. Secret: it holds true sums.")],
    horizon: Annotated[int | None, typer.Option(help="Number of steps in all; leave it out if it isn't known.")] = None,
    rho: Annotated[float | None, typer.Option(help="zCDP budget of the whole stream.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Budget instead of rho; alone it gives pure privacy.")] = None,
    delta: Annotated[float | None, typer.Option(help="Goes with --epsilon.")] = None,
    statistic: Annotated[str, typer.Option(help="counter, max_sum, sum_select or histogram.")] = "counter",
    mechanism: Annotated[
        str,
        typer.Option(
            help="auto, tree, honaker, smooth, k_ary, square_root, scaled_square_root, ...; "
            "max_sum, sum_select: auto, recompute, per_coordinate, trivial, change_driven."
        ),
    ] = "auto",
    dim: Annotated[int, typer.Option(help="Numbers on a line; histogram: bins.")] = 1,
    bound: Annotated[float, typer.Option(help="Largest absolute value of a number.")] = 1.0,
    neighboring: Annotated[
        str | None,
        typer.Option(
            help="zero_out: a step becomes zero; replace: it becomes any other one. Default zero_out; max_sum, sum_select: replace."
        ),
    ] = None,
    real: Annotated[bool, typer.Option("--real", help="Numbers may have fractions; otherwise they are whole.")] = False,
    non_negative: Annotated[bool, typer.Option("--non-negative", help="Numbers are never negative: half the noise under replace.")] = False,
    clip: Annotated[bool, typer.Option("--clip", help="Move numbers outside of the bound inside instead of stopping.")] = False,
    largest: Annotated[int | None, typer.Option(help="max_sum: a public guess of the last maximum, for change_driven.")] = None,
    from_step: Annotated[int | None, typer.Option(help="Step of the first line; steps in the state give their stored release.")] = None,
) -> None:
    """Read one step a line from stdin, print the noisy statistic after each; every printed line is in the state file first."""
    from mechanisms.continual.state import open_counter
    from mechanisms.continual.stored_release import open_release

    _require_fitting(
        statistic, {"--bound": bound != 1, "--real": real, "--non-negative": non_negative, "--clip": clip, "--largest": largest is not None}
    )
    spend: BudgetOptions = {"rho": rho, "epsilon": epsilon, "delta": delta}
    if neighboring is not None:
        spend["neighboring"] = _relation(neighboring)
    if statistic == "counter":
        counter = open_counter(
            state,
            horizon,
            mechanism=mechanism,
            dim=dim,
            bound=bound,
            whole=not real,
            signed=not non_negative,
            on_violation="clip" if clip else "raise",
            **spend,
        )
        _run(counter, partial(_numbers, n=dim), from_step)
    elif statistic == "histogram":
        from mechanisms.continual.histogram import HistogramCounter

        _run(open_release(state, HistogramCounter(horizon, dim, mechanism=mechanism, **spend)), _bin, from_step)
    else:
        release = _of_counts(statistic, horizon, dim, mechanism, largest, clip, spend)
        _run(open_release(state, release), partial(_numbers, n=dim), from_step)


def _require_fitting(statistic: str, given: dict[str, bool]) -> None:
    from mechanisms.validation import one_of

    one_of(tuple(_OWN_OPTIONS), statistic=statistic)
    for option, is_given in given.items():
        if is_given and option not in _OWN_OPTIONS[statistic]:
            owners = " or ".join(name for name, options in _OWN_OPTIONS.items() if option in options)
            raise ValueError(f"{option} goes with --statistic {owners}, got --statistic {statistic}; leave it out")


def _of_counts(
    statistic: str, horizon: int | None, dim: int, method: str, largest: int | None, clip: bool, spend: BudgetOptions
) -> MaxSum | SumSelect:
    from mechanisms.continual.max_sum import MaxSum
    from mechanisms.continual.sum_select import SumSelect

    if horizon is None:
        raise ValueError(f"--statistic {statistic} needs --horizon, the number of steps in all")
    if statistic == "max_sum":
        return MaxSum(horizon, dim, largest=largest, method=method, on_violation="clip" if clip else "raise", **spend)
    return SumSelect(horizon, dim, method=method, on_violation="clip" if clip else "raise", **spend)


def _run(opened: StoredRelease[Input, Answer], read: Callable[[str, int], Input], from_step: int | None) -> None:
    """Answer every line of stdin; `read` takes the line and its number."""
    with opened as stored:
        step = stored.n_seen_ + 1 if from_step is None else from_step
        if stored.n_seen_:
            typer.echo(f"the state is at step {stored.n_seen_}, the first line is taken as step {step}", err=True)
        for number, line in enumerate(typer.get_text_stream("stdin"), start=1):
            typer.echo(_shown(stored.update(read(line, number), step=step)))
            step += 1


def _relation(name: str) -> Neighboring:
    from mechanisms.guarantee import Neighboring
    from mechanisms.validation import one_of

    return Neighboring(one_of(("zero_out", "replace"), neighboring=name))


def _numbers(line: str, number: int, *, n: int) -> list[float]:
    """Return the numbers of a line; messages never hold its text."""
    words = line.replace(",", " ").split()
    if len(words) != n:
        raise ValueError(f"line {number} must hold {n} number{'s' if n > 1 else ''}, got {len(words)}; it was not taken")
    try:
        return [float(word) for word in words]
    except ValueError:
        raise ValueError(f"line {number} must hold numbers only; it was not taken") from None


def _bin(line: str, number: int) -> int | None:
    """Return the bin of a line, None for -1; messages never hold its text."""
    try:
        bin_id = int(line)
    except ValueError:
        raise ValueError(f"line {number} must hold one bin, a whole number from 0, or -1 for none; it was not taken") from None
    return None if bin_id == -1 else bin_id


def _shown(answer: object) -> str:
    import numpy as np

    return " ".join(str(value) for value in np.ravel(np.asarray(answer)).tolist())
