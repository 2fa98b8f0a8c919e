"""Private-GSD: a synthetic table whose answers to a workload are close to the real table's, for a stated privacy budget.

    table -> exact counts -> noisy answers -> fit -> synthetic table
             secret          the ledger       post-processing

Marginals are fitted by an exact move engine (`synth.pairwise`, `synth.k_way`), halfspaces, prefixes and trees by moves over thresholds
(`synth.moves`), any other family of 0/1 queries by the published genetic algorithm (`synth.genetic`). Fits know the noise of their answers
and don't chase it.

References
----------
Liu, Tang, Vietri, Wu, Generating Private Synthetic Data with Genetic Algorithms, ICML 2023.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import LooseGuaranteeWarning
from mechanisms.guarantee import Neighboring, PrivacyGuarantee, valid_neighboring
from mechanisms.noise.source import NoiseSource, noise_source
from mechanisms.randomness import RngLike, as_generator
from synth.adaptive.measure_pairs import DEFAULT_RECIPE, AdaptiveRecipe
from synth.adaptive.mode import THRESHOLD
from synth.budget import default_delta
from synth.constraints import Forbidden, bind_all
from synth.decode import Backend, decode
from synth.domain.buy import buy_domain
from synth.domain.open_schema import OpenSchema
from synth.domain.plan import DomainPlan
from synth.domain.source import column_source, n_rows
from synth.encoded import EncodedTable
from synth.forbidden import Rule
from synth.marginal_fit import fit_marginal_workload
from synth.measure import MAX_CELLS
from synth.open_counts import count_source, table_in_memory
from synth.plan import FitPlan, FitTools, Progress, SynthesisRun
from synth.queries.family import QueryFamily, Workload
from synth.queries.marginals import Marginals, marginal_groups
from synth.query_workload import fit_query_workload
from synth.sampling import sample_rows
from synth.schema import Schema

DEFAULT_DOMAIN_PLAN = DomainPlan()

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from synth.open_counts import Countable

    Frame: TypeAlias = pd.DataFrame | pl.DataFrame | pa.Table


class PrivateGSDSynthesizer(BaseEstimator):  # type: ignore[misc]
    """Synthetic tables for a workload of statistical queries.

    Parameters
    ----------
    epsilon : > 0, nats, for one fit.
    delta : in (0, 1); None is 1 / n^2 under replacement. Under add/remove n is secret and delta must be given.
    schema : the public domain of every column; nothing of it is learned from the table. In an `OpenSchema` some columns are bought: their
        bounds, edges or categories cost a part of the same budget (`synth.domain`).
    workload : what shall be right: `Marginals`, `BinaryTreeMarginals`, `Prefix`, `Halfspace`, an object of your own with a method
        `bind(schema)`, or a list of them. None is all pairs of columns.
    neighboring : `REPLACE`: one row becomes another, the number of rows is public. `ADD_REMOVE`: one row more or less, and the number
        is secret.
    mode : "auto", "one_shot" or "adaptive", see `synth.marginal_fit`; other families than marginals are measured in one shot.
    budget : how one-shot rho is shared among marginals: "cube_root", "two_thirds" or "equal".
    n_synthetic : rows of the fitted table; None: as many as the real one has.
    min_gain : what a move must be worth, in standard deviations of its noise; 0 fits noisy answers to the end, None is the optimizer's
        own default (`synth.sweeps`).
    noise_floor : stop once the fitness is this share of the noise energy; None: never.
    max_sweeps : of the fit.
    max_cells : most cells of one marginal; each costs memory, and a table of mostly empty cells is mostly noise.
    merge_below : merge codes whose noisy count is below so many standard deviations of its noise before pairs are measured; for columns
        with many rare codes and small budgets, 3 is usual. None: keep all codes.
    forbidden : `Forbidden` combinations that no output row may have; public knowledge of the domain.
    recipe, mode_threshold : of the adaptive mode and of the rule of "auto".
    domain_plan : which part of the budget buys the domain of an `OpenSchema`.
    random_state : seeds the optimizer and `sample`, never the noise that protects data.
    noise : where protective noise comes from; None is the operating system.
    progress : called with (done, total, label) during the fit.

    Attributes
    ----------
    privacy_ : the guarantee of everything below together.
    ledger_ : entries (step, mechanism, sensitivity, scale, rho); their rhos sum to at most `rho_`.
    rho_ : the budget in zCDP.
    measurements_ : noisy answers.
    fitness_, noise_energy_, history_, stopped_ : of the fit.
    mode_, noise_ratio_ : which branch was taken, and why.
    n_rows_ : number of rows of the real table, public or a noisy estimate.
    encoded_ : the fitted table.
    schema_, domain_ : the schema, and what was bought of it (only with an `OpenSchema`).

    Guarantee
    ---------
    One call of `fit` is (epsilon, delta)-DP under `neighboring`, all attributes and samples included; each further call on the same rows
    spends the same again. See `synth.marginal_fit` and `synth.query_fit`.

    Examples
    --------
    >>> from synth.schema import Categorical, Ordinal
    >>> schema = Schema((Categorical("smokes", ("no", "yes")), Ordinal("age", 0, 99, step=10)))
    >>> table = {"smokes": ["no", "yes"] * 50, "age": list(range(100))}
    >>> synthesizer = PrivateGSDSynthesizer(epsilon=1.0, schema=schema, mode="one_shot", random_state=7).fit(table)
    >>> synthesizer.sample(5).shape, synthesizer.privacy_.delta
    ((5, 2), 0.0001)
    """

    def __init__(
        self,
        epsilon: float = 1.0,
        delta: float | None = None,
        schema: Schema | OpenSchema | None = None,
        *,
        workload: Workload | Sequence[Workload] | None = None,
        neighboring: Neighboring = Neighboring.REPLACE,
        mode: str = "auto",
        budget: str = "cube_root",
        n_synthetic: int | None = None,
        min_gain: float | None = None,
        noise_floor: float | None = None,
        max_sweeps: int = 60,
        max_cells: int = MAX_CELLS,
        merge_below: float | None = None,
        forbidden: Sequence[Forbidden] = (),
        recipe: AdaptiveRecipe = DEFAULT_RECIPE,
        mode_threshold: float = THRESHOLD,
        domain_plan: DomainPlan = DEFAULT_DOMAIN_PLAN,
        random_state: int | np.random.Generator | None = None,
        noise: NoiseSource | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.schema = schema
        self.workload = workload
        self.neighboring = neighboring
        self.mode = mode
        self.budget = budget
        self.n_synthetic = n_synthetic
        self.min_gain = min_gain
        self.noise_floor = noise_floor
        self.max_sweeps = max_sweeps
        self.max_cells = max_cells
        self.merge_below = merge_below
        self.forbidden = forbidden
        self.recipe = recipe
        self.mode_threshold = mode_threshold
        self.domain_plan = domain_plan
        self.random_state = random_state
        self.noise = noise
        self.progress = progress

    def fit(self, X: Countable, y: None = None) -> Self:  # noqa: ARG002
        """Spend the budget on a table and fit a synthetic one.

        Parameters
        ----------
        X : pandas, Polars or PyArrow table, dict of arrays, path of a CSV or Parquet file, DuckDB relation, ibis table, or any
            `CountSource`. Families that aren't marginals need a table in memory.
        y : ignored.

        Raises
        ------
        ValueError, TypeError : a bad parameter, or a table that doesn't fit the schema; messages name columns, never values.

        Warns
        -----
        LooseGuaranteeWarning : delta is above 1 / n.
        """
        noise, rng = noise_source(self.noise), as_generator(self.random_state)
        fit_rng, self._sample_rng = rng.spawn(2)
        tools = FitTools(noise, fit_rng, self.progress)
        self._check()
        schema, ledger, delta = self._domain(X, noise)
        families = [workload.bind(schema) for workload in self._workloads()]
        rules, groups = bind_all(self.forbidden, schema), _groups(families)
        if groups is not None:
            source = count_source(X, schema)
            run = fit_marginal_workload(source, groups, self._plan(delta or self._delta(source.n_rows), rules), tools, ledger)
        else:
            table = table_in_memory(X, schema, positions=any(family.needs_positions for family in families))
            run = fit_query_workload(table, schema, families, self._plan(delta or self._delta(table.n_rows), rules), tools, ledger)
        self._keep(run, X, schema)
        return self

    def sample(self, n_rows: int | None = None, *, rng: RngLike = None) -> Frame:
        """Return rows of the synthetic table, in the library of the table that was fitted (pandas for files and relations).

        Parameters
        ----------
        n_rows : m; None: as many as the fitted table has. Up to that many are drawn without replacement, beyond it whole copies are taken.
        rng : of the draw and of values inside their cells; None goes on with `random_state`.

        Raises
        ------
        NotFittedError : before `fit`.

        Guarantee
        ---------
        Post-processing.
        """
        if not hasattr(self, "encoded_"):
            raise NotFittedError("this synthesizer is not fitted yet; call fit(table) first")
        draw = self._sample_rng if rng is None else as_generator(rng)
        codes, positions = self.encoded_.codes, self.encoded_.positions
        places = sample_rows(np.arange(len(codes), dtype=np.int32)[:, np.newaxis], n_rows, draw)[:, 0]
        chosen = EncodedTable(codes[places], None if positions is None else positions[places])
        return decode(chosen, self.schema_, rng=draw, backend=self._backend)

    @property
    def guarantee_(self) -> PrivacyGuarantee:
        """Return `privacy_`, by the name that all mechanisms use."""
        return self.privacy_

    def _domain(self, X: Countable, noise: NoiseSource) -> tuple[Schema, Ledger | None, float | None]:
        """Return the schema; where parts of it are bought, the ledger that paid for them as well, and delta."""
        if isinstance(self.schema, Schema):
            return self.schema, None, None
        if not isinstance(self.schema, OpenSchema):
            raise TypeError(f"schema must be a Schema, got {type(self.schema).__name__}; declare the columns, or draft them: infer_schema")
        columns = column_source(X, self.schema)
        delta = self._delta(n_rows(columns, self.schema))
        split = self.domain_plan.budget(self.schema, epsilon=self.epsilon, delta=delta, neighboring=self.neighboring)
        ledger = split.ledger()
        self.domain_ = buy_domain(
            columns,
            self.schema,
            rho=split.rho,
            delta=split.delta,
            neighboring=self.neighboring,
            shares=self.domain_plan.shares,
            noise=noise,
            ledger=ledger,
        )
        return self.domain_.schema, ledger, delta

    def _workloads(self) -> list[Workload]:
        given = Marginals(k=2) if self.workload is None else self.workload
        return list(given) if isinstance(given, list | tuple) else [given]  # type: ignore[list-item]

    def _check(self) -> None:
        """Refuse bad parameters before anything is counted; workloads and rules bind here already if the whole schema is declared."""
        self._plan(self._delta(2), ())
        if isinstance(self.schema, Schema):
            bind_all(self.forbidden, self.schema)
            for workload in self._workloads():
                workload.bind(self.schema)

    def _delta(self, n_rows: int) -> float:
        valid_neighboring(self.neighboring)
        return default_delta(self.neighboring, n_rows=n_rows) if self.delta is None else self.delta

    def _plan(self, delta: float, rules: Sequence[Rule]) -> FitPlan:
        return FitPlan(
            epsilon=self.epsilon,
            delta=delta,
            neighboring=self.neighboring,
            mode=self.mode,
            budget=self.budget,
            n_synthetic=self.n_synthetic,
            min_gain=self.min_gain,
            noise_floor=self.noise_floor,
            max_sweeps=self.max_sweeps,
            max_cells=self.max_cells,
            merge_below=self.merge_below,
            recipe=self.recipe,
            mode_threshold=self.mode_threshold,
            forbidden=rules,
        )

    def _keep(self, run: SynthesisRun, X: Countable, schema: Schema) -> None:
        self.schema_, self.encoded_, self._backend = schema, run.table, backend_of(X)
        self.privacy_, self.ledger_, self.rho_ = run.guarantee, list(run.ledger.entries), run.ledger.rho
        self.measurements_, self.n_rows_ = list(run.measurements), run.total
        self.fitness_, self.noise_energy_ = run.fitness, run.noise_energy
        self.history_, self.stopped_ = list(run.history), run.stopped
        self.mode_, self.noise_ratio_ = run.mode, run.noise_ratio
        if run.guarantee.delta * run.total > 1:
            message = f"delta of {run.guarantee.delta:g} is above 1 / n: it would allow to publish a row now and then; take one far below"
            warnings.warn(message, LooseGuaranteeWarning, stacklevel=3)


def backend_of(X: object) -> Backend:
    """Return the library in which samples are handed back: the one of the table, pandas where it has none."""
    name = type(X).__module__.partition(".")[0]
    return "polars" if name == "polars" else "pyarrow" if name == "pyarrow" else "pandas"


def _groups(families: Sequence[QueryFamily]) -> list[tuple[int, ...]] | None:
    """Return the groups of columns if all families are marginals, each group once."""
    groups = [marginal_groups(family) for family in families]
    if any(found is None for found in groups):
        return None
    return list(dict.fromkeys(group for found in groups for group in found or ()))
