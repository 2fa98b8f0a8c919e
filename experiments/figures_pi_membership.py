"""README tables of the membership audit of language models."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.markdown import table
from mechanisms.json_ready import number_from_json

Row = Mapping[str, object]

_ATTACKS = {"loss": "loss", "bayes_t": "bayes_t", "bayes_t, head entropies too": "and entropies"}


def kinds(rows: list[Row]) -> str:
    """Perplexities, attacks, bound and posterior of each kind, at its lowest held-out loss and at the last step."""
    cells = []
    for row in rows:
        if row["part"] == "kind":
            posterior = f"{_number(row, 'posterior'):.1f} ({_number(row, 'posterior_low'):.1f} to {_number(row, 'posterior_high'):.1f})"
            bound = f"{_number(row, 'bound'):.2f} of {_number(row, 'largest_bound'):.2f}"
            cells.append([row["kind"], f"{row['when']}, {row['step']}", *_common(row), bound, posterior])
    return table(["kind", "read at", *_HEADER, "bound, of at most", "posterior, 95 %"], cells)


def equal(rows: list[Row]) -> str:
    """The same attacks where all kinds have one perplexity on sequences that they weren't trained on, and AUC minus the baseline's."""
    cells = []
    for row in rows:
        if row["part"] == "equal":
            cells.append(
                [row["kind"], f"{_number(row, 'step'):.0f}", *_common(row), *(_difference(row, name) for name in ("loss", "bayes_t"))]
            )
    return table(["kind", "step", *_HEADER, "loss, AUC minus baseline", "bayes_t, AUC minus baseline"], cells)


def both(rows: list[Row]) -> str:
    """Kinds, then equal perplexity."""
    return f"{kinds(rows)}\n\n{equal(rows)}"


_HEADER = ["flatness", "perplexity of members", "of others", *(f"{shown}: AUC, TPR" for shown in _ATTACKS.values())]


def _common(row: Row) -> list[str]:
    perplexities = [f"{_number(row, f'perplexity_{side}'):.1f}" for side in ("members", "others")]
    attacks = [f"{_number(row, f'auc: {name}'):.3f}, {_number(row, f'tpr: {name}'):.3f}" for name in _ATTACKS]
    return [f"{_number(row, 'flatness'):.2f}", *perplexities, *attacks]


def _difference(row: Row, name: str) -> str:
    return f"{_number(row, f'auc minus baseline: {name}'):+.3f} +- {_number(row, f'its error: {name}'):.3f}"


def _number(row: Row, name: str) -> float:
    return number_from_json(row[name])


TABLES: dict[str, Callable[[list[Row]], str]] = {"e_pi_membership": both}
