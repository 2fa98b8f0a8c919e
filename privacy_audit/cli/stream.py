"""`privacy-audit stream`: a continual counter on the command line, one step a line, crash-safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mechanisms.continual.counter import Release
    from mechanisms.guarantee import Neighboring


def stream(
    state: Annotated[str, typer.Argument(help="State file; made if it isn't there, else the stream goes on. Secret: it holds true sums.")],
    horizon: Annotated[int | None, typer.Option(help="Number of steps in all; leave it out if it isn't known.")] = None,
    rho: Annotated[float | None, typer.Option(help="zCDP budget of the whole stream.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Budget instead of rho; alone it gives pure privacy.")] = None,
    delta: Annotated[float | None, typer.Option(help="Goes with --epsilon.")] = None,
    mechanism: Annotated[str, typer.Option(help="auto, tree, honaker, smooth, k_ary, square_root, scaled_square_root, ...")] = "auto",
    dim: Annotated[int, typer.Option(help="Numbers on a line.")] = 1,
    bound: Annotated[float, typer.Option(help="Largest absolute value of a number.")] = 1.0,
    neighboring: Annotated[str, typer.Option(help="zero_out: a step becomes zero; replace: it becomes any other one.")] = "zero_out",
    real: Annotated[bool, typer.Option("--real", help="Numbers may have fractions; otherwise they are whole.")] = False,
    non_negative: Annotated[bool, typer.Option("--non-negative", help="Numbers are never negative: half the noise under replace.")] = False,
    clip: Annotated[bool, typer.Option("--clip", help="Move numbers outside of the bound inside instead of stopping.")] = False,
    from_step: Annotated[int | None, typer.Option(help="Step of the first line; steps in the state give their stored release.")] = None,
) -> None:
    """Read one step a line from stdin, print the noisy running sum after each; every printed line is in the state file first."""
    from mechanisms.continual.state import open_counter

    with open_counter(
        state,
        horizon,
        rho=rho,
        epsilon=epsilon,
        delta=delta,
        mechanism=mechanism,
        dim=dim,
        bound=bound,
        neighboring=_relation(neighboring),
        whole=not real,
        signed=not non_negative,
        on_violation="clip" if clip else "raise",
    ) as counter:
        step = counter.n_seen_ + 1 if from_step is None else from_step
        if counter.n_seen_:
            typer.echo(f"the state is at step {counter.n_seen_}, the first line is taken as step {step}", err=True)
        for number, line in enumerate(typer.get_text_stream("stdin"), start=1):
            typer.echo(_shown(counter.update(_parsed(line, number, dim), step=step)))
            step += 1


def _relation(name: str) -> Neighboring:
    from mechanisms.guarantee import Neighboring
    from mechanisms.validation import one_of

    return Neighboring(one_of(("zero_out", "replace"), neighboring=name))


def _parsed(line: str, number: int, dim: int) -> list[float]:
    """Return the numbers of a line; messages never hold its text."""
    words = line.replace(",", " ").split()
    if len(words) != dim:
        raise ValueError(f"line {number} must hold {dim} number{'s' if dim > 1 else ''}, got {len(words)}; it was not taken")
    try:
        return [float(word) for word in words]
    except ValueError:
        raise ValueError(f"line {number} must hold numbers only; it was not taken") from None


def _shown(release: Release) -> str:
    return str(release) if isinstance(release, int | float) else " ".join(str(value) for value in release.tolist())
