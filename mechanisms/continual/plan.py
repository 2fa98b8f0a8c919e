"""Predicted errors of all continual counters before any data is read, and what no linear counter can beat.

    error of step t = change^2 * unit * factor_t        unit 1 / (2 rho), for pure privacy 2 / epsilon^2
    factor          = Delta_2^2 ||L_t||^2 (pure: Delta_1^2 ||L_t||^2), its mean and its largest value over t
    floor           = (||A||_* / T)^2, or with `certificate` the dual value of the dense optimum (T <= 2,048), below which no factor lies

Everything is computed from public parameters. Cost: 50 ms at T = 2^10, 3 s at T = 2^20; the certificate takes a minute at T = 1,024.

References
----------
Denisov, McMahan, Rush, Smith, Thakurta, NeurIPS 2022. Henzinger, Upadhyay, Upadhyay, Almost Tight Error Bounds on Differentially Private
Continual Counting, SODA 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from mechanisms.continual.catalog import AUTOMATIC, LEAST_STATE, Objective, candidates, make_factorization, sensitivity_ratio
from mechanisms.continual.dense import Dense
from mechanisms.continual.factorization import Factorization
from mechanisms.continual.nuclear_bound import nuclear_bound
from mechanisms.continual.step_sensitivity import step_change
from mechanisms.continual.stream_budget import StreamBudget, stream_budget
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import one_of, positive, whole_number

SCHEMA_VERSION = 1
_HEADINGS = ("mechanism", "mean error", "max error", "mean factor", "max factor", "state", "")


@dataclass(frozen=True, slots=True)
class PlannedMechanism:
    """One counter's predicted errors.

    Parameters
    ----------
    name : what `mechanism=` of a counter takes.
    mean_error, max_error : variance of a release per coordinate, mean and largest over steps.
    mean_factor, max_factor : the same in the unit change^2 / (2 rho), pure: 2 change^2 / epsilon^2.
    n_state : numbers of changing state per coordinate, at most.
    whole : whether whole-number streams get exact whole-number noise (k_ary: only with Laplace noise, as it draws noise ahead).
    """

    name: str
    mean_error: float
    max_error: float
    mean_factor: float
    max_factor: float
    n_state: int
    whole: bool


@dataclass(frozen=True, slots=True)
class CounterPlan:
    """All counters for one horizon and budget, the best of the objective first.

    Parameters
    ----------
    horizon, dim, max_state : as given.
    change : L2 norm (pure: L1 norm) of the change of one step.
    budget, neighboring, objective : as given, checked.
    mechanisms : one row per counter, sorted by the error of the objective.
    lower_bound : no linear counter has a smaller error of the objective (variance per coordinate).
    lower_factor : the same in the unit of the factors.
    certified : whether the bound is the dense optimum's dual value (then it is sharp) or the nuclear one.
    chosen : name of the mechanism that "auto" takes.
    """

    horizon: int
    dim: int
    change: float
    max_state: int
    budget: StreamBudget
    neighboring: Neighboring
    objective: Objective
    mechanisms: tuple[PlannedMechanism, ...]
    lower_bound: float
    lower_factor: float
    certified: bool
    chosen: str

    def __getitem__(self, name: str) -> PlannedMechanism:
        """Return the row of a name; KeyError for an unknown one."""
        for row in self.mechanisms:
            if row.name == name:
                return row
        raise KeyError(f"no mechanism {name!r} in this plan; there are {', '.join(row.name for row in self.mechanisms)}")

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        rows = [{name: json_ready(getattr(row, name)) for name in PlannedMechanism.__dataclass_fields__} for row in self.mechanisms]
        budget = {"rho": self.budget.rho, "epsilon": self.budget.epsilon, "delta": self.budget.delta}
        names = ("horizon", "dim", "change", "max_state", "neighboring", "objective", "lower_bound", "lower_factor", "certified", "chosen")
        head: dict[str, JsonValue] = {"schema_version": SCHEMA_VERSION, **{name: json_ready(getattr(self, name)) for name in names}}
        return head | {"budget": json_ready(budget), "mechanisms": json_ready(rows)}

    def __str__(self) -> str:
        cells = [_HEADINGS, *self._cells()]
        widths = [max(len(row[i]) for row in cells) for i in range(len(_HEADINGS))]
        lines = ["  ".join(cell.ljust(w) if i in (0, 6) else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
                 for row in cells]  # fmt: skip
        return "\n".join([self._caption(), *(line.rstrip() for line in lines)])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in _HEADINGS)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self._cells())
        return f"<table><caption>{escape(self._caption())}</caption><tr>{head}</tr>{body}</table>"

    def _caption(self) -> str:
        b = self.budget
        spent = f"rho = {b.rho:.6g}" if b.epsilon is None else f"epsilon = {b.epsilon:.6g}, delta = {b.delta:.6g}"
        stream = f"{self.horizon:,} steps, dim {self.dim:,}, change {self.change:.6g}"
        return f"Continual counters: {stream}, {spent}, neighbors: {self.neighboring.value}; errors are variances"

    def _cells(self) -> list[tuple[str, ...]]:
        rows = [
            (
                row.name,
                *(f"{value:.6g}" for value in (row.mean_error, row.max_error, row.mean_factor, row.max_factor)),
                f"{row.n_state:,}",
                "chosen" if row.name == self.chosen else "" if row.n_state <= self.max_state else "too much state",
            )
            for row in self.mechanisms
        ]
        kind = "of the dense optimum" if self.certified else "nuclear norm"
        bounds = tuple("" if self.objective != which else f"{value:.6g}" for which, value in self._bounds())
        return [*rows, ("lower bound", *bounds, "", kind)]

    def _bounds(self) -> tuple[tuple[str, float], ...]:
        return (("mean", self.lower_bound), ("max", self.lower_bound), ("mean", self.lower_factor), ("max", self.lower_factor))


def plan_counter(
    horizon: int,
    *,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    neighboring: Neighboring,
    dim: int = 1,
    bound: float = 1.0,
    signed: bool = True,
    one_hot: bool = False,
    max_state: int = 64,
    objective: Objective = "mean",
    certificate: bool = False,
) -> CounterPlan:
    """Return the predicted errors of all continual counters.

    Parameters
    ----------
    horizon : T, number of releases.
    rho, epsilon, delta : the budget: rho, or epsilon and delta (Gaussian noise), or epsilon alone (Laplace noise).
    neighboring : ZERO_OUT or REPLACE of one step.
    dim : coordinates of a step.
    bound, signed, one_hot : what a step may hold, as for the counter: values in [-bound, bound], or [0, bound], or one-hot steps.
    max_state : numbers of state per coordinate that "auto" may use, at least 32.
    objective : "mean" or "max" error over steps.
    certificate : also make the dense optimum, and take its dual value as the lower bound; T up to 2,048, Gaussian noise.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range, or a certificate for a long horizon or pure privacy.

    Examples
    --------
    >>> plan = plan_counter(1024, rho=0.5, neighboring=Neighboring.ZERO_OUT)
    >>> plan.chosen, round(plan["tree"].mean_factor, 2), round(plan.lower_factor, 4)
    ('scaled_square_root', 55.01, 8.4657)
    """
    T, d, limit = whole_number(1, horizon=horizon), whole_number(1, dim=dim), whole_number(LEAST_STATE, max_state=max_state)
    one_of(("mean", "max"), objective=objective)
    budget = stream_budget(rho=rho, epsilon=epsilon, delta=delta)
    change = step_change(neighboring, dim=d, bound=positive(bound=bound), signed=signed, one_hot=one_hot)
    size = change.l1 if budget.pure else change.l2
    unit = budget.unit * size**2
    if certificate and budget.pure:
        raise ValueError("certificate must be False for pure privacy: the dense optimum is for Gaussian noise")
    made = [make_factorization(name, T, objective=objective) for name in candidates(pure=budget.pure)]
    dense = Dense(T, objective=objective) if certificate else None
    rows = sorted((_planned(item, unit, budget.pure) for item in [*made, *([dense] if dense else [])]), key=_error_of(objective))
    floor = dense.lower_bound if dense else nuclear_bound(T)
    return CounterPlan(
        horizon=T,
        dim=d,
        change=size,
        max_state=limit,
        budget=budget,
        neighboring=neighboring,
        objective=objective,
        mechanisms=tuple(rows),
        lower_bound=floor * unit,
        lower_factor=floor,
        certified=certificate,
        chosen=next(row.name for row in rows if row.name in AUTOMATIC and row.n_state <= limit),
    )


def _planned(made: Factorization, unit: float, pure: bool) -> PlannedMechanism:
    ratio = sensitivity_ratio(made, pure=pure)
    mean, largest = made.mean_error() * ratio, made.max_error() * ratio
    whole = made.whole and (pure or made.name != "k_ary")
    return PlannedMechanism(made.name, mean * unit, largest * unit, mean, largest, made.n_state, whole)


def _error_of(objective: Objective) -> Callable[[PlannedMechanism], float]:
    return (lambda row: row.mean_error) if objective == "mean" else (lambda row: row.max_error)
