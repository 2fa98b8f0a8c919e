"""`privacy-audit leakage`: how many records tell as much as a distribution inference attack found out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from attacks.distribution.leakage import Method

SCHEMA_VERSION = 1
_MEANING = {
    "exact": "records that do tell as much",
    "renyi_inf": "published bound; no observer manages with fewer",
    "kl": "tighter bound of the same kind",
    "hellinger": "tightest of the three bounds",
    "gaussian": "approximates exact, within 3 % from 100 on",
}
_LIMITS = (
    "a lower limit of what the model tells about its training distribution: a stronger attack may show more, and an accuracy near 1/2 does "
    "not prove that nothing leaks",
    "no number of exposed people, no membership risk, and no contradiction of a differential privacy claim",
    "valid for these two ratios and this training size; numbers of different methods must not be compared",
)


def leakage(
    accuracy: Annotated[float, typer.Option(help="Balanced accuracy (TNR + TPR) / 2 of the attack, in [0, 1].")],
    ratios: Annotated[str, typer.Option(help="The two property rates, for example 0.5,0.2.", metavar="RATE,RATE")],
    method: Annotated[str | None, typer.Option(help="Only this one: exact, renyi_inf, kl, hellinger or gaussian.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")] = False,
) -> None:
    """Number of records from which an ideal observer tells two property rates apart as well as the attack did."""
    from attacks.distribution.leakage import METHODS, n_leaked
    from mechanisms.validation import in_range, one_of
    from privacy_audit.cli.output import print_json, print_rows, print_sentences

    accuracy, (first, second) = in_range(0, 1, closed="both", accuracy=accuracy), _two_rates(ratios)
    if method is not None:
        one_of(METHODS, method=method)
    methods = _MEANING if method is None else (method,)
    numbers = {name: float(n_leaked(accuracy, first, second, method=cast("Method", name))) for name in methods}
    if json:
        print_json({"schema_version": SCHEMA_VERSION, "accuracy": accuracy, "ratios": [first, second], "n_leaked": numbers})
        return
    print_rows(
        ("accuracy", f"{accuracy:g}, advantage {2 * accuracy - 1:.4g}"),
        ("ratios", f"{first:g} and {second:g}"),
        *((name, f"{_count(number):<10}{_MEANING[name]}") for name, number in numbers.items()),
    )
    print_sentences("What can't be concluded from it:", _LIMITS)


def _two_rates(text: str) -> tuple[float, float]:
    from mechanisms.validation import in_range

    parts = text.split(",")
    try:
        first, second = (float(part) for part in parts)
    except ValueError:
        raise ValueError(f"--ratios must be two rates with a comma, for example 0.5,0.2, got {text!r}") from None
    if first == second:
        raise ValueError(f"--ratios must differ, got {text!r}: no number of records tells equal rates apart")
    return in_range(0, 1, closed="both", ratios=first), in_range(0, 1, closed="both", ratios=second)


def _count(number: float) -> str:
    return f"{number:.0f}" if number.is_integer() else f"{number:.2f}"
