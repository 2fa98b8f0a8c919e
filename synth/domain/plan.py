"""How much of a budget goes into the domain: one conversion, then rho is only ever subtracted.

    (epsilon, delta) -> delta' = delta_share delta for categories -> rho = zcdp_rho(epsilon, delta - delta')
    domain           share rho, delta'
    everything else  what is left in the ledger of rho

What is measured later depends on what was bought, so everything is charged in zCDP (`synth.budget.adaptive_budget`), never by the curve of
one-shot releases, and what the domain doesn't use of its rho stays for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring
from mechanisms.validation import in_range
from synth.budget import SynthesisBudget, adaptive_budget
from synth.domain.buy import valid_shares
from synth.domain.open_schema import OpenSchema


@dataclass(frozen=True, slots=True)
class DomainBudget:
    """What a fit with purchases may spend.

    Parameters
    ----------
    total : of everything together; its rho holds for delta less the domain's, its guarantee for the whole delta.
    rho : what the purchases may cost of it.
    delta : what they cost of delta.
    """

    total: SynthesisBudget
    rho: float
    delta: float

    def ledger(self) -> Ledger:
        """Return the one ledger of purchases and measurements."""
        return self.total.ledger()


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """Shares of the domain; public.

    Parameters
    ----------
    share : of rho, in (0, 1).
    delta_share : of delta, in (0, 1); 0 is taken where no categories are bought.
    shares : name of each bought column -> its share of the domain's rho; None: equal ones.

    Raises
    ------
    ValueError, TypeError : a share out of range.
    """

    share: float = 0.1
    delta_share: float = 0.1
    shares: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        in_range(0, 1, share=self.share)
        in_range(0, 1, delta_share=self.delta_share)

    def budget(self, schema: OpenSchema, *, epsilon: float, delta: float, neighboring: Neighboring) -> DomainBudget:
        """Return what may be spent on what.

        Parameters
        ----------
        schema : what is to be bought.
        epsilon, delta, neighboring : of the whole fit, as `adaptive_budget`.

        Raises
        ------
        ValueError, TypeError : as `adaptive_budget`, or shares that don't name the columns to buy or don't sum to 1.

        Guarantee
        ---------
        Purchases of at most `rho` and `delta`, and any releases for what is left in the ledger, chosen with all former outcomes known, are
        together (epsilon, delta)-DP: delta'-approximate rho-zCDP implies (epsilon, delta' + delta'')-DP for rho = zcdp_rho(epsilon,
        delta'') (Bun, Steinke 2016, section 8; Canonne, Kamath, Steinke 2020). That a purchase may stop early and leave rho for later steps
        is a privacy filter (Whitehouse, Ramdas, Rogers, Wu 2023): the ledger never exceeds a rho that was fixed in advance.

        Examples
        --------
        >>> from synth.domain.open_schema import BuyCategories
        >>> schema = OpenSchema((BuyCategories("city"),))
        >>> budget = DomainPlan().budget(schema, epsilon=1.0, delta=1e-9, neighboring=Neighboring.REPLACE)
        >>> round(budget.total.rho, 6), round(budget.rho, 6), round(budget.delta, 12)
        (0.014884, 0.001488, 1e-10)
        """
        valid_shares(self.shares, [column.name for column in schema.to_buy])
        own = self.delta_share * in_range(0, 1, delta=delta) if schema.needs_delta else 0.0
        rest = adaptive_budget(epsilon=epsilon, delta=delta - own, neighboring=neighboring)
        return DomainBudget(replace(rest, delta=float(delta)), self.share * rest.rho, own)
