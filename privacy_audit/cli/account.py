"""`privacy-audit account`: what a DP-SGD run costs, before or after it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from mechanisms.accounting.dp_sgd import Accountant


def account(
    sample_rate: Annotated[float, typer.Option(help="Probability that a record enters a batch (Poisson sampling), in (0, 1].")],
    noise_multiplier: Annotated[float, typer.Option(help="Noise standard deviation / clipping norm.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps.")],
    delta: Annotated[float, typer.Option(help="Probability in (0, 1), for example 1e-5.")],
    accountant: Annotated[str, typer.Option(help="pld (tightest), prv or rdp.")] = "pld",
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")] = False,
) -> None:
    """Upper bound of epsilon for DP-SGD, adding or removing one record."""
    from mechanisms.accounting.dp_sgd import dp_sgd_epsilon
    from privacy_audit.cli.output import print_json, print_rows, print_sentences

    guarantee = dp_sgd_epsilon(
        sample_rate=sample_rate,
        noise_multiplier=noise_multiplier,
        steps=steps,
        delta=delta,
        accountant=cast("Accountant", accountant),  # any other word is refused there, with the reason
    )
    if json:
        print_json(guarantee.to_dict())
        return
    print_rows(
        ("epsilon", f"{guarantee.epsilon:.4f}"),
        ("delta", f"{guarantee.delta:g}"),
        ("neighbors", f"{guarantee.neighboring.value}, privacy unit: {guarantee.privacy_unit}"),
        ("mechanism", guarantee.mechanism),
    )
    print_sentences("An upper bound, if all of this is true:", guarantee.assumptions)
