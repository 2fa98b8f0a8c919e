"""The synthesizer as a user meets it: one spend a fit, nothing told but noisy answers, tables as they came in."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from attacks.scores import AttackCounts
from mechanisms.errors import InsufficientEvidenceError, LooseGuaranteeWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, SeededNoise
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from synth.adaptive.measure_pairs import AdaptiveRecipe
from synth.constraints import Forbidden
from synth.counts import EncodedCounts
from synth.domain.open_schema import BuyBounds, BuyCategories, BuyEdges, OpenSchema
from synth.encode import encode
from synth.evaluate import workload_error
from synth.private_gsd import PrivateGSDSynthesizer
from synth.queries.binary_tree import BinaryTreeMarginals
from synth.queries.halfspace import Halfspace
from synth.queries.marginals import Marginals
from synth.queries.prefix import Prefix
from synth.schema import Categorical, Continuous, Datetime, Ordinal, Schema
from tests.synth.naive_source import HalvedNoise, QuarteredNoise

pytestmark = pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")
ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE
SCHEMA = Schema(
    (
        Categorical("smokes", ("no", "yes"), nullable=True),
        Ordinal("age", 0, 79, step=10),
        Continuous("dose", 0.0, 1.0, bins=4),
        Datetime("seen", "2024-01-01", "2024-12-31", step=61),
    )
)


def patients(rng: np.random.Generator, n: int = 2000) -> pd.DataFrame:
    age = rng.integers(0, 80, n)
    smokes = np.where(rng.random(n) < age / 100, "yes", "no").astype(object)
    smokes[rng.random(n) < 0.1] = None
    dose = np.clip(age / 80 + rng.normal(0, 0.1, n), 0, 1)
    seen = np.datetime64("2024-01-01") + (age * 4).astype("timedelta64[D]")
    return pd.DataFrame({"smokes": smokes, "age": age, "dose": dose, "seen": seen})


def fitted(table: object, **options: object) -> PrivateGSDSynthesizer:
    return PrivateGSDSynthesizer(**{"epsilon": 1.0, "schema": SCHEMA, "random_state": 3, "noise": SeededNoise(5), **options}).fit(table)


def test_the_table_comes_back_as_it_went_in(rng, tmp_path):
    table = patients(rng)
    for given, kind in ((table, pd.DataFrame), (pl.from_pandas(table), pl.DataFrame), (pa.Table.from_pandas(table), pa.Table)):
        sample = fitted(given).sample(50)
        assert isinstance(sample, kind)
        assert sample.shape == (50, 4)
    path = tmp_path / "patients.parquet"
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    from_file, from_memory = fitted(path), fitted(table)
    assert np.array_equal(from_file.encoded_.codes, from_memory.encoded_.codes)
    assert from_file.sample(7).shape == (7, 4)


def test_more_rows_than_were_fitted_are_whole_copies(rng):
    synthesizer = fitted(patients(rng, 30), n_synthetic=10)
    codes = encode(synthesizer.sample(25), SCHEMA).codes
    distinct, counts = np.unique(codes, axis=0, return_counts=True)
    assert len(distinct) <= 10
    assert counts.min() >= 2


def test_it_beats_independent_columns(rng):
    table = patients(rng, 5000)
    shuffled = pd.DataFrame({name: table[name].to_numpy()[rng.permutation(len(table))] for name in table})
    error = workload_error(table, fitted(table, epsilon=4.0).sample(), schema=SCHEMA).avg_tv
    assert error < 0.5 * workload_error(table, shuffled, schema=SCHEMA).avg_tv


@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
@pytest.mark.parametrize("mode", ["one_shot", "adaptive", "auto"])
def test_the_ledger_is_the_budget(rng, neighboring, mode):
    synthesizer = fitted(patients(rng, 300), neighboring=neighboring, mode=mode, delta=1e-6)
    spent = sum(entry.rho for entry in synthesizer.ledger_)
    assert spent == pytest.approx(synthesizer.rho_, rel=1e-6)
    assert spent <= synthesizer.rho_ * (1 + 1e-9)
    assert synthesizer.privacy_.neighboring is neighboring
    assert (synthesizer.privacy_.epsilon, synthesizer.privacy_.delta) == (1.0, 1e-6)
    assert synthesizer.guarantee_ is synthesizer.privacy_


def test_each_branch_of_the_rule_has_half_of_delta(rng):
    """The branch depends on noisy data: what it leads to must be paid at delta / 2, whichever it is."""
    table = patients(rng, 1000)
    for epsilon, mode, threshold in ((1.0, "one_shot", 1e9), (1.0, "adaptive", 0.0)):
        by_rule = fitted(table, epsilon=epsilon, delta=1e-6, mode="auto", mode_threshold=threshold)
        halved, whole = (fitted(table, epsilon=epsilon, delta=delta, mode=mode) for delta in (5e-7, 1e-6))
        assert by_rule.mode_ == mode
        assert by_rule.rho_ == pytest.approx(halved.rho_, rel=5e-3)
        assert by_rule.rho_ < 0.985 * whole.rho_


@pytest.mark.parametrize(("epsilon", "times"), [(20.0, 1), (0.1, 2)])
def test_noisy_one_ways_are_bought_twice(rng, epsilon, times):
    synthesizer = fitted(patients(rng, 5000), epsilon=epsilon, delta=1e-6, mode="adaptive", recipe=AdaptiveRecipe(n_pairs=2, n_rounds=1))
    columns = [len(answer.columns) for answer in synthesizer.measurements_]
    assert columns.count(1) == 4 * times
    one_ways = [entry.rho for entry in synthesizer.ledger_[: 4 * times]]
    assert one_ways == pytest.approx([0.3 * synthesizer.rho_ / 4] * (4 * times))
    assert sum(entry.rho for entry in synthesizer.ledger_) == pytest.approx(synthesizer.rho_, rel=1e-6)


@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
def test_the_ledger_of_queries_is_the_budget(rng, neighboring):
    synthesizer = fitted(patients(rng, 300), neighboring=neighboring, delta=1e-6, workload=[Prefix(30, seed=1), Marginals(k=1)])
    assert sum(entry.rho for entry in synthesizer.ledger_) == pytest.approx(synthesizer.rho_, rel=1e-6)
    noise = synthesizer.measurements_[4].sigma  # of the prefixes; 2 c - n under add/remove
    assert noise**2 == pytest.approx(30 / (2 * synthesizer.ledger_[4].rho), rel=1e-6)
    assert synthesizer.measurements_[4].centered == (neighboring is ADD)


@pytest.mark.parametrize("workload", [None, [Prefix(20, seed=1), Halfspace(20, seed=2)]])
def test_what_is_told_beside_noisy_answers_is_the_same_for_neighbors(rng, workload):
    table = patients(rng, 200)

    def told(rows: pd.DataFrame) -> str:
        synthesizer = fitted(rows, neighboring=ADD, delta=1e-6, mode="one_shot", workload=workload)
        ledger = [entry.to_dict() for entry in synthesizer.ledger_]
        shapes = [(answer.answer.shape, answer.sigma) for answer in synthesizer.measurements_]
        return json.dumps([ledger, shapes, synthesizer.privacy_.to_dict(), synthesizer.rho_, synthesizer.mode_])

    assert told(table) == told(table[1:])


def test_under_add_remove_the_number_of_rows_is_noisy(rng):
    table = patients(rng, 500)
    counted = [fitted(table, neighboring=ADD, delta=1e-6, noise=SeededNoise(seed)).n_rows_ for seed in range(3)]
    assert len(set(counted)) == 3
    assert all(n != 500 for n in counted)
    assert fitted(table).n_rows_ == 500  # public under replacement


def test_random_state_seeds_the_fit_and_not_the_noise(rng):
    table = patients(rng, 300)
    first, again = (fitted(table, noise=SeededNoise(5)) for _ in range(2))
    assert np.array_equal(first.encoded_.codes, again.encoded_.codes)
    assert first.sample(20).equals(again.sample(20))
    secure = [fitted(table, noise=None) for _ in range(2)]
    assert not np.array_equal(secure[0].measurements_[0].answer, secure[1].measurements_[0].answer)
    assert secure[0].privacy_.assumptions == ()
    assert "seed" in first.privacy_.assumptions[0]


def test_forbidden_rows_never_appear(rng):
    rule = Forbidden({"smokes": ["yes"], "age": (0, 19)})
    for workload in (None, Halfspace(30, seed=4)):
        sample = fitted(patients(rng, 400), forbidden=[rule], workload=workload).sample()
        assert not ((sample["smokes"] == "yes") & (sample["age"] < 20)).any()
        assert (sample["smokes"] == "yes").any()


def test_a_wide_table_with_little_budget_is_measured_adaptively(rng):
    wide = Schema(tuple(Ordinal(f"c{i}", 0, 14) for i in range(12)))
    table = {name: rng.integers(0, 15, 8000) for name in wide.names}
    poor = PrivateGSDSynthesizer(epsilon=0.1, schema=wide, random_state=1, noise=SeededNoise(1)).fit(table)
    rich = PrivateGSDSynthesizer(epsilon=20.0, schema=wide, random_state=1, noise=SeededNoise(1)).fit(table)
    assert (poor.mode_, rich.mode_) == ("adaptive", "one_shot")
    assert poor.noise_ratio_ > 0.15 > rich.noise_ratio_


@pytest.mark.parametrize("workload", [Marginals(k=1), Marginals(k=3), [Marginals(k=1), Marginals(k=2, columns=("age", "dose"))]])
def test_marginals_of_other_orders(rng, workload):
    table = patients(rng, 2000)
    synthesizer = fitted(table, workload=workload, epsilon=8.0)
    assert synthesizer.mode_ == "one_shot"
    for part in workload if isinstance(workload, list) else [workload]:  # independent columns: 0.3 and more for pairs and triples
        assert workload_error(table, synthesizer.sample(), part, schema=SCHEMA).max_tv < 0.1


@pytest.mark.parametrize("workload", [Prefix(40, seed=1), BinaryTreeMarginals(k=1, depth=3), [Halfspace(40, seed=2), Marginals(k=2)]])
def test_other_families(rng, workload):
    table = patients(rng, 1500)
    synthesizer = fitted(table, workload=workload, epsilon=8.0, n_synthetic=400)
    for part in workload if isinstance(workload, list) else [workload]:
        assert workload_error(table, synthesizer.sample(), part, schema=SCHEMA).avg_cell < 0.03


class Parity:
    """A family of one's own: whether two columns' codes have an even sum."""

    is_partition = False
    needs_positions = False
    n_queries = 6

    def bind(self, schema: Schema) -> Parity:
        assert len(schema) == 4
        return self

    def sensitivity(self, neighboring: Neighboring) -> float:
        return 6**0.5

    def row_answers(self, codes: np.ndarray, positions: np.ndarray | None) -> np.ndarray:
        return np.stack([(codes[:, i] + codes[:, j]) % 2 == 0 for i, j in combinations(range(4), 2)], axis=1)

    def answers(self, table: object) -> np.ndarray:
        return self.row_answers(table.codes, None).sum(axis=0).astype(np.float64)


def test_a_family_of_ones_own(rng):
    table = patients(rng, 1500)
    synthesizer = fitted(table, workload=Parity(), epsilon=8.0, n_synthetic=200)
    assert workload_error(table, synthesizer.sample(), Parity(), schema=SCHEMA).max_cell < 0.1


BAD = [
    ({"epsilon": 0.0}, ValueError, "epsilon must be positive"),
    ({"epsilon": float("nan")}, ValueError, "epsilon"),
    ({"delta": 1.0}, ValueError, r"delta must be in \(0, 1\)"),
    ({"mode": "best"}, ValueError, "mode must be one of"),
    ({"budget": "all"}, ValueError, "budget must be one of"),
    ({"neighboring": ADD}, ValueError, "delta must be given under add_remove"),
    ({"neighboring": Neighboring.ZERO_OUT}, ValueError, "zero_out"),
    ({"neighboring": "replace"}, TypeError, "neighboring must be a Neighboring"),
    ({"n_synthetic": 0}, ValueError, "n_synthetic"),
    ({"min_gain": -1.0}, ValueError, "min_gain"),
    ({"schema": None}, TypeError, "schema must be a Schema"),
    ({"noise": 7}, TypeError, "noise must be a NoiseSource"),
    ({"workload": Marginals(k=9)}, ValueError, "k must be at most the number of columns"),
    ({"workload": Marginals(k=2, columns=("age", "dose"))}, ValueError, "column 'smokes' is in no marginal"),
    ({"mode": "adaptive", "workload": Marginals(k=3)}, ValueError, "mode 'adaptive' chooses among pairs"),
    ({"mode": "adaptive", "workload": Prefix(3, seed=1)}, ValueError, "mode 'adaptive' chooses among pairs"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), BAD)
def test_bad_parameters_are_refused_before_anything_is_drawn(rng, wrong, error, message):
    noise = SeededNoise(5)
    before = noise.state()
    with pytest.raises(error, match=message):
        fitted(patients(rng, 20), **{"noise": noise, **wrong})
    assert noise.state() == before


def test_bad_tables_are_refused_without_a_value(rng):
    table = patients(rng, 50)
    with pytest.raises(ValueError, match="'smokes'") as refused:
        fitted(table.assign(smokes="a secret"))
    assert "a secret" not in str(refused.value)
    with pytest.raises(ValueError, match="'dose'"):
        fitted(table.drop(columns="dose"))
    with pytest.raises(ValueError, match="row"):
        fitted(table[:0])


def test_scikit_learn_manners(rng):
    synthesizer = PrivateGSDSynthesizer(epsilon=2.0, schema=SCHEMA, recipe=AdaptiveRecipe(n_pairs=3))
    assert clone(synthesizer).get_params() == synthesizer.get_params()
    with pytest.raises(NotFittedError, match="not fitted"):
        synthesizer.sample()


def test_a_count_source_serves_marginals_only(rng):
    table = patients(rng, 200)
    source = EncodedCounts(encode(table, SCHEMA), SCHEMA)
    assert np.array_equal(fitted(source).encoded_.codes, fitted(table).encoded_.codes)
    with pytest.raises(TypeError, match="need a table in memory"):
        fitted(source, workload=Prefix(3, seed=1))


def test_a_large_delta_is_named(rng):
    with pytest.warns(LooseGuaranteeWarning, match="above 1 / n"):
        fitted(patients(rng, 100), delta=0.05)


def test_a_domain_is_bought_from_the_same_budget(rng):
    table = patients(rng, 4000)
    bought = OpenSchema(
        (BuyCategories("smokes", nullable=True), BuyBounds("age", kind="ordinal"), BuyEdges("dose", 0.0, 1.0, bins=4), SCHEMA.columns[3])
    )
    synthesizer = fitted(table, schema=bought, epsilon=5.0)
    assert set(synthesizer.schema_.columns[0].categories) == {"no", "yes"}
    assert sum(entry.rho for entry in synthesizer.ledger_) <= synthesizer.rho_ * (1 + 1e-9)
    assert synthesizer.privacy_.epsilon == 5.0
    assert synthesizer.sample(10).shape == (10, 4)
    assert workload_error(table, synthesizer.sample(), schema=synthesizer.schema_).avg_tv < 0.1
    with pytest.raises(ValueError, match="delta must be given under add_remove"):
        fitted(table, schema=bought, neighboring=ADD)


def test_too_small_a_budget_for_the_number_of_rows_is_said(rng):
    wide = Schema(tuple(Ordinal(f"c{i}", 0, 199) for i in range(3)))
    table = {name: rng.integers(0, 200, 20) for name in wide.names}
    options = {"schema": wide, "epsilon": 0.01, "delta": 1e-9, "neighboring": ADD, "mode": "one_shot"}
    said = []
    for seed in range(8):  # half of the estimates are below 1
        try:
            fitted(table, **options, n_synthetic=5, noise=SeededNoise(seed))
        except InsufficientEvidenceError as error:
            said.append(str(error))
    assert said
    assert all("the budget is too small for this workload" in message for message in said)


def test_rare_codes_are_merged_and_told_apart_again(rng):
    """Two columns of 300 codes of which 5 are common, little budget: merging halves the error at least."""
    sparse = Schema((Ordinal("a", 0, 299), Ordinal("b", 0, 299)))
    common = rng.integers(0, 300, 5)
    a = np.where(rng.random(5000) < 0.98, rng.choice(common, 5000), rng.integers(0, 300, 5000))
    table = {"a": a, "b": (a + 7) % 300}
    options = {"schema": sparse, "epsilon": 0.5, "mode": "one_shot"}
    merged, plain = (fitted(table, merge_below=below, **options) for below in (3.0, None))
    error = [workload_error(table, synthesizer.sample(), schema=sparse).avg_tv for synthesizer in (merged, plain)]
    assert error[0] < 0.5 * error[1]
    assert sum(entry.rho for entry in merged.ledger_) == pytest.approx(merged.rho_, rel=1e-6)
    with pytest.raises(ValueError, match="merge_below"):
        fitted(table, merge_below=3.0, workload=Prefix(4, seed=1), schema=sparse)
    with pytest.raises(ValueError, match="forbidden rows can't be kept out"):
        fitted(table, merge_below=3.0, forbidden=[Forbidden({"a": (0, 3)})], schema=sparse)


def test_progress_is_told(rng):
    told: list[tuple[int, int, str]] = []
    fitted(patients(rng, 200), progress=lambda *step: told.append(step))
    assert told
    assert told[-1][0] <= told[-1][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "threshold", "broken"), [("one_shot", 1.0, HalvedNoise), ("adaptive", 0.5, HalvedNoise), ("auto", 0.5, QuarteredNoise)]
)
def test_audit(mode, threshold, broken, rng):
    """Whole fits on two neighboring tables against the likelihood ratio of their answers; false alarm 1e-6.

    Half of the noise is caught. The rule pays half of delta for each branch and a selection that the score doesn't see, so its honest
    answers show half of its claim at most, and a quarter of the noise is what 4,000 runs can tell.
    """
    epsilon, delta, n_runs = 2.0, 0.01, 4000
    schema = Schema((Ordinal("a", 0, 1), Ordinal("b", 0, 1), Ordinal("c", 0, 1)))
    tables = [{name: [0] * 20 + [extra] for name in "abc"} for extra in (0, 1)]
    groups = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    exact = [dict(zip(groups, EncodedCounts(encode(t, schema), schema).marginals(groups), strict=True)) for t in tables]

    def score(table: object, noise: NoiseSource) -> float:
        options = {"epsilon": epsilon, "delta": delta, "mode": mode, "n_synthetic": 1, "recipe": AdaptiveRecipe(n_pairs=2, n_rounds=1)}
        run = PrivateGSDSynthesizer(schema=schema, noise=noise, random_state=1, **options).fit(table)
        middle = {group: (exact[0][group] + exact[1][group]) / 2 for group in groups}
        moved = {group: exact[1][group] - exact[0][group] for group in groups}
        return float(sum(((a.answer - middle[a.columns]) * moved[a.columns]).sum() / a.sigma**2 for a in run.measurements_))

    def bound(noise: NoiseSource) -> float:
        scores = np.array([[score(table, noise) for _ in range(n_runs)] for table in tables])
        counts = AttackCounts.from_predictions(np.arange(2 * n_runs) >= n_runs, scores.ravel() >= threshold)
        return epsilon_lower_bound(counts, delta=delta, level=1 - 1e-6).epsilon

    seed = int(rng.integers(2**32))
    assert bound(SeededNoise(seed)) <= epsilon
    assert bound(broken(seed)) > epsilon


def test_cells_of_a_marginal_are_limited_by_a_parameter(rng):
    with pytest.raises(ValueError, match=r"max_cells = 20; take coarser columns, or raise max_cells"):
        fitted(patients(rng, 100), max_cells=20)
