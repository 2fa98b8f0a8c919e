"""From an open schema to a schema: each gap is bought with its share of rho, categories with a share of delta as well.

    exact counts of one column -> noisy histogram -> bounds, edges, categories
    secret                        the ledger         post-processing

The least, the largest or the list of values of a column is never looked at by itself. The purchase is paid from the budget of the whole
synthesis (`synth.domain.plan`); nothing is converted to epsilon in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mechanisms.accounting.ledger import Ledger, LedgerEntry
from mechanisms.errors import BudgetExhaustedError
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.source import NoiseSource, noise_source
from mechanisms.validation import in_range, positive
from synth.domain.bounds import bounded_column, bounds_of
from synth.domain.categories import buy_categories
from synth.domain.edges import Measure, buy_edges
from synth.domain.noisy_histogram import NoisyHistogram, histogram_sigma, noisy_histogram
from synth.domain.open_schema import BuyBounds, BuyCategories, BuyEdges, OpenSchema, Placeholder
from synth.domain.source import ColumnSource, column_source
from synth.schema import Column, Schema
from synth.schema_file import schema_to_dict

if TYPE_CHECKING:
    from synth.domain.source import OpenTable

_SUM_OF_SHARES = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Purchase:
    """One bought column; everything here may be published.

    Parameters
    ----------
    column : as it was bought.
    rho, delta : what it cost; rho is less than its share where edges needed fewer levels.
    answers : the noisy histograms, in order; of categories, only the counts of those that were kept.
    """

    column: Column
    rho: float
    delta: float
    answers: tuple[NoisyHistogram, ...]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        column = schema_to_dict(Schema((self.column,)))["columns"]
        return json_record({"columns": column, "rho": self.rho, "delta": self.delta, "answers": self.answers})


@dataclass(frozen=True, slots=True, eq=False)
class BoughtDomain:
    """A schema without gaps, and what it cost.

    Parameters
    ----------
    schema : now as public as the purchase's guarantee makes it.
    purchases : of each placeholder, in order.
    entries : of the ledger, for the purchases alone.
    delta : what was spent of delta beside rho.
    """

    schema: Schema
    purchases: tuple[Purchase, ...]
    entries: tuple[LedgerEntry, ...]
    delta: float

    @property
    def rho(self) -> float:
        """Return what was spent of rho."""
        return sum(entry.rho for entry in self.entries)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        own = {name: getattr(self, name) for name in ("purchases", "entries", "rho", "delta")}
        return json_record({"schema_version": 1, "schema": schema_to_dict(self.schema), **own})


def buy_domain(
    table: OpenTable,
    open_schema: OpenSchema,
    *,
    rho: float,
    neighboring: Neighboring,
    delta: float = 0.0,
    shares: Mapping[str, float] | None = None,
    noise: NoiseSource | None = None,
    ledger: Ledger | None = None,
) -> BoughtDomain:
    """Buy what an open schema lacks.

    Parameters
    ----------
    table : the sensitive rows: in memory, a file, a DuckDB relation, an ibis table, or a `ColumnSource`.
    open_schema : declared columns and placeholders.
    rho : > 0, for all purchases together.
    neighboring : `ADD_REMOVE` or `REPLACE`.
    delta : what the categories may cost together, each the same; > 0 if there are any, else 0.
    shares : name of each bought column -> its share of rho, with sum 1; None: equal shares. They must not depend on the data.
    noise : operating-system entropy by default.
    ledger : of the whole synthesis; gets an entry per histogram. None: one of its own.

    Returns
    -------
    The schema and the costs. Given the noise it is the same for any order of the rows.

    Raises
    ------
    ValueError, TypeError : a bad parameter, before anything is counted; or a column that can't be counted as it is declared (the column is
        named, no value is shown): purchases before it are spent then.
    BudgetExhaustedError : the ledger has less than rho left; nothing is counted then.
    InsufficientEvidenceError : no magnitude of a `BuyBounds` stands out of its noise; the ledger says what is spent.

    Guarantee
    ---------
    delta-approximate rho-zCDP under `neighboring`, everything returned included: adaptive composition of noisy histograms, each
    (rho of its entry)-zCDP, and of thresholds on labels (`synth.domain.categories`). Together with releases of rho', zCDP, all is
    (epsilon, delta + delta')-DP for rho + rho' = zcdp_rho(epsilon, delta').

    Examples
    --------
    >>> table = {"income": [30.0, 45.0, 70.0, 100.0] * 500, "city": ["Bern", "Basel"] * 999 + ["Chur", "Zug"]}
    >>> schema = OpenSchema((BuyBounds("income", bins=8), BuyCategories("city")))
    >>> bought = buy_domain(table, schema, rho=0.1, delta=1e-9, neighboring=Neighboring.REPLACE)
    >>> bought.schema.columns[0]
    Continuous(name='income', lower=16.0, upper=128.0, bins=8, edges=None, nullable=False)
    >>> bought.schema.columns[1].labels, round(bought.rho, 6)
    (('Basel', 'Bern', 'other'), 0.1)
    """
    parts = _valid(open_schema, rho, delta, shares, neighboring)
    each_delta = delta / max(1, sum(isinstance(column, BuyCategories) for column in open_schema.to_buy))
    source, drawn_from = column_source(table, open_schema), noise_source(noise)
    own = Ledger(rho) if ledger is None else ledger
    if rho > own.left * (1 + _SUM_OF_SHARES):
        raise BudgetExhaustedError(f"the domain costs rho {rho:.6g}, but only {own.left:.6g} of {own.rho:.6g} is left")
    first = len(own.entries)
    till = _Till(neighboring, drawn_from, own)
    purchases = []
    for placeholder in open_schema.to_buy:
        before = own.spent
        column, answers = _bought(placeholder, source, parts[placeholder.name], each_delta, till)
        cost = each_delta if isinstance(placeholder, BuyCategories) else 0.0
        purchases.append(Purchase(column, own.spent - before, cost, answers))
    schema = open_schema.close({purchase.column.name: purchase.column for purchase in purchases})
    return BoughtDomain(schema, tuple(purchases), own.entries[first:], float(delta))


@dataclass(frozen=True, slots=True)
class _Till:
    """Where histograms are drawn and charged."""

    neighboring: Neighboring
    noise: NoiseSource
    ledger: Ledger

    def measure(self, rho: float) -> Measure:
        """Return what draws histograms of this cost."""

        def draw(step: str, counts: NDArray[np.int64]) -> NoisyHistogram:
            return noisy_histogram(step, counts, rho=rho, neighboring=self.neighboring, noise=self.noise, ledger=self.ledger)

        return draw


def _valid(
    open_schema: OpenSchema, rho: float, delta: float, shares: Mapping[str, float] | None, neighboring: Neighboring
) -> dict[str, float]:
    """Return the rho of each placeholder, or refuse."""
    if not isinstance(open_schema, OpenSchema):
        raise TypeError(f"open_schema must be an OpenSchema, got {type(open_schema).__name__}")
    if open_schema.needs_delta:
        in_range(0, 1, delta=delta)
    elif delta != 0:
        raise ValueError(f"delta must be 0 where no categories are bought, got {delta}; leave it to the other releases")
    names = [column.name for column in open_schema.to_buy]
    given = valid_shares(shares, names)
    parts = {name: positive(rho=rho) * given[name] for name in names}
    for column in open_schema.to_buy:  # noise must be drawable before anything is spent
        n_levels = 1 if isinstance(column, BuyCategories) else column.levels + 1
        halves = 2 if isinstance(column, BuyBounds) and column.levels else 1
        histogram_sigma(parts[column.name] / (n_levels * halves), neighboring)
    return parts


def valid_shares(shares: Mapping[str, float] | None, names: list[str]) -> dict[str, float]:
    """Return each bought column's share of rho, equal ones by default.

    Raises
    ------
    ValueError : names that don't agree, a share that isn't positive, or a sum other than 1.
    """
    if shares is None:
        return dict.fromkeys(names, 1 / len(names))
    if set(shares) != set(names):
        raise ValueError(f"shares must name the columns to buy, {', '.join(map(repr, names))}, and no others")
    parts = {name: positive(share=shares[name]) for name in names}
    if abs(sum(parts.values()) - 1) > _SUM_OF_SHARES:
        raise ValueError(f"shares must sum to 1, got {sum(parts.values()):.12g}")
    return parts


def _bought(
    placeholder: Placeholder, source: ColumnSource, rho: float, delta: float, till: _Till
) -> tuple[Column, tuple[NoisyHistogram, ...]]:
    if isinstance(placeholder, BuyCategories):
        counts = source.labels(placeholder.name, type(placeholder.other))
        column, answer = buy_categories(placeholder, counts, till.measure(rho), delta=delta)
        return column, (answer,)
    if isinstance(placeholder, BuyEdges):
        return buy_edges(placeholder, _cells(source, placeholder.grid), till.measure(rho / (placeholder.levels + 1)))
    part = rho / 2 if placeholder.levels else rho
    answer = till.measure(part)(f"bounds of {placeholder.name}", _cells(source, placeholder.magnitudes))
    lower, upper = bounds_of(placeholder, answer)
    if not placeholder.levels:
        return bounded_column(placeholder, lower, upper), (answer,)
    inside = BuyEdges(placeholder.name, lower, upper, placeholder.bins, placeholder.levels, placeholder.nullable)
    edged, answers = _bought(inside, source, rho - part, delta, till)
    return edged, (answer, *answers)


def _cells(source: ColumnSource, column: Column) -> NDArray[np.int64]:
    """Return exact counts of a column's cells without "missing": secret."""
    counts = np.asarray(source.cells(column), dtype=np.int64)
    if counts.shape != (column.size,):
        raise ValueError(f"column {column.name!r}: the source must count its {column.size} codes")
    return counts[int(column.nullable) :]
