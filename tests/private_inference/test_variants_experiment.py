"""The parts of the experiment on all variants that decide something: what is run again, what is drawn, and which points are met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import e_pi_variants
from experiments.figures_pi_variants import held_to, variants
from experiments.pi_variant_cases import BASELINE, CASES, GUIDED, KINDS, QUICK, TUNED, TUNED_GUIDED, UNGUIDED, digest_of, kinds_of, plan_of
from experiments.pi_variants_picture import mean_perplexities, pareto_front, spread
from experiments.results_file import write_results
from private_inference.config import VARIANTS
from private_inference.training.tokenized_corpus import TokenizedCorpus

Row = dict[str, object]
PLACES = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=12)
POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20)


def corpus(seed: int = 0) -> TokenizedCorpus:
    ids = np.random.default_rng(seed).integers(0, QUICK.vocab_size, size=(2, 400)).astype(np.int32)
    return TokenizedCorpus("drawn", ids[0], ids[1], QUICK.vocab_size)


def test_every_variant_is_a_case():
    assert {case.how.variant for case in CASES} == set(VARIANTS)
    assert len({case.name for case in CASES}) == len(CASES)
    assert {BASELINE, UNGUIDED, GUIDED, TUNED, TUNED_GUIDED} <= {case.name for case in CASES}


def test_a_case_is_the_run_it_names():
    guided = next(case for case in CASES if case.name == GUIDED)
    plan = plan_of(QUICK, guided, corpus())
    assert plan.config.temperature_kind == "head"
    assert plan.penalty is not None
    assert plan.penalty.settings == guided.how.penalty
    assert kinds_of(QUICK, guided, QUICK.seeds[0]) == QUICK.kinds
    assert kinds_of(QUICK, guided, QUICK.seeds[1]) == QUICK.kinds[-2:]


def test_rows_made_with_other_numbers_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(e_pi_variants, "RESULTS", tmp_path)
    monkeypatch.setattr("experiments.results_file.RESULTS", tmp_path)
    tasks = e_pi_variants.tasks_of(QUICK, corpus())
    write_results(e_pi_variants.NAME, [{"digest": task.digest} for task in tasks], seed=0, tools=())
    assert len(e_pi_variants.kept_rows(tasks)) == len(tasks) == len({task.digest for task in tasks})
    how = [replace(case.how, recipe=replace(case.how.recipe, steps=31)) for case in QUICK.cases]
    longer = replace(QUICK, cases=tuple(replace(case, how=one) for case, one in zip(QUICK.cases, how, strict=True)))
    assert e_pi_variants.kept_rows(e_pi_variants.tasks_of(longer, corpus())) == []
    assert e_pi_variants.kept_rows(e_pi_variants.tasks_of(QUICK, corpus(1))) == []


def test_a_folds_limit_belongs_to_what_a_run_is():
    first, second = (digest_of(config, CASES[0], 0, corpus()) for config in (QUICK, replace(QUICK, max_condition=1e4)))
    assert first != second


@given(POINTS)
def test_front_is_what_nothing_beats(points: list[tuple[int, int]]):
    beaten = {p for p in points for q in points if q != p and q[0] <= p[0] and q[1] <= p[1]}
    assert pareto_front(points) == sorted(set(points) - beaten)


@given(PLACES)
def test_spread_names_dont_touch_and_keep_their_order(places: list[float]):
    moved = spread(places, 0.05, 0.0, 1.0)
    order = sorted(range(len(places)), key=lambda i: places[i])
    assert np.all(np.diff([moved[i] for i in order]) >= 0.05 - 1e-9)
    assert -1e-9 <= min(moved) <= max(moved) <= 1 + 1e-9


def test_spread_moves_no_more_than_it_must():
    assert spread([0.5, 0.0, 1.0], 0.25, 0.0, 1.0) == [0.5, 0.0, 1.0]
    assert spread([0.4, 0.5, 0.9], 0.2, 0.0, 1.0) == pytest.approx([0.35, 0.55, 0.9])
    assert spread([0.0, 0.1], 0.2, 0.0, 1.0) == pytest.approx([0.0, 0.2])


def trained(case: str, seed: int, perplexity: float, top: float = 0.5, near_uniform: float = 0.0, status: str = "finished") -> Row:
    return {
        "part": "training",
        "case": case,
        "seed": seed,
        "status": status,
        "steps": 7,
        "perplexity": perplexity,
        "bits_per_byte": 1.5,
        "characters_per_token": 1.5,
        "bands": [0.5 - top / 2, 0.25 - top / 4, 0.25 - top / 4, top],
        "near_uniform": near_uniform,
        "near_zero": 0.0,
    }


def good_rows() -> list[Row]:
    free = ("SM+G", "SM+R", "SM", "SM, weight norm", "SM, spectral norm", "SM+ScFFN", UNGUIDED)
    rows = [trained(name, seed, 50.0) for name in free for seed in range(3)]
    rows += [trained(BASELINE, seed, 45.0, top=0.1) for seed in range(3)]
    rows += [trained(name, seed, 48.0, top=0.0) for name in (GUIDED, TUNED_GUIDED) for seed in range(3)]
    rows += [trained(TUNED, seed, 50.0) for seed in range(3)]
    for kind in KINDS:
        cost = {"part": "cost", "case": UNGUIDED, "seed": 0, "softmax": kind.softmax, "folded": kind.folded, "source": "an engine"}
        rows.append(cost | {"bytes": 2_000_000, "messages": 1234, "logit_error": 1e-3, "fold_error": 1e-6})
    return rows


def verdicts(rows: list[Row]) -> list[bool]:
    return [line.startswith("- Met") for line in held_to(rows).splitlines()]


def test_points_that_are_met():
    assert verdicts(good_rows()) == [True] * 7


@pytest.mark.parametrize(
    ("point", "case", "change"),
    [
        (0, "SM+R", {"bands": [0.5, 0.4, 0.05, 0.05]}),
        (1, GUIDED, {"near_uniform": 0.0625}),
        (1, TUNED_GUIDED, {"near_uniform": 0.0625}),
        (2, GUIDED, {"perplexity": 49.5}),
        (3, TUNED_GUIDED, {"perplexity": 49.5}),
        (4, GUIDED, {"perplexity": 52.0}),
        (5, TUNED_GUIDED, {"perplexity": 52.0}),
    ],
)
def test_points_that_are_not_met(point: int, case: str, change: Row):
    rows = [row | change if row["case"] == case else row for row in good_rows()]
    assert verdicts(rows)[point] is False
    assert all(met for number, met in enumerate(verdicts(rows)) if number not in (point, point - 2))  # a gap may take a gain with it


def test_logits_that_are_off_or_were_not_computed():
    off = [row | {"logit_error": 0.02} if "logit_error" in row else row for row in good_rows()]
    none = [{name: value for name, value in row.items() if name != "logit_error"} for row in good_rows()]
    for rows in (off, none):
        assert verdicts(rows) == [True] * 6 + [False]


def test_two_seeds_are_too_few_for_a_gain():
    assert verdicts([row for row in good_rows() if row["seed"] != 2])[2] is False


def test_table_says_which_runs_broke_and_leaves_them_out_of_the_mean():
    rows = [row for row in good_rows() if not (row["case"] == "SM" and row["seed"] == 1)]
    rows.append(trained("SM", 1, 900.0, status="diverged"))
    (line,) = [line for line in variants(rows).splitlines() if line.startswith("| SM |")]
    assert "2 of 3, diverged after step 7" in line
    assert "900" not in line
    assert "SM" not in mean_perplexities(rows)
    assert "2.0 / 2.0 / 2.0" in variants(rows)
