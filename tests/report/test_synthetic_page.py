"""The page of a table evaluation: says what the record says, that it isn't private, escapes everything, fits every window."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from privacy_audit.report.plain_text import number
from privacy_audit.report.synthetic_columns import MOST_BARS, MOST_STEPS, bars_of, column_picture, steps_of
from privacy_audit.report.synthetic_heat_map import (
    LIMITS,
    MOST_COLUMNS,
    NARROW,
    WIDE,
    _short,
    color_class,
    color_words,
    heat_map,
    heat_picture,
)
from privacy_audit.report.synthetic_page import MOST_PICTURES, NOT_CONCLUDED, error_rows, render_evaluation, shown_columns
from privacy_audit.report.synthetic_record import TableEvaluation
from synth.column_shares import ColumnShares
from synth.evaluate import NOT_PRIVATE
from synth.schema import Categorical, Ordinal
from tests.report.devtools import Browser
from tests.report.example_evaluations import HOSTILE, evaluation, evaluations
from tests.report.test_html import LOADING, Page, check_form, contrast

NAMES = tuple(evaluations())
PAPER = {False: "rgb(250, 249, 246)", True: "rgb(21, 23, 27)"}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_the_page_says_first_and_last_that_it_must_not_be_published(name: str) -> None:
    text = render_evaluation(evaluations()[name])
    page = Page(text)
    assert "Not private Not to be published." in page.text
    assert page.text.index("Not to be published.") < page.text.index("How far the answers are")
    assert page.text.rstrip().endswith("and no row.")
    assert "The real shares are exact: not private, not to be published." in page.text
    assert "<title>Not private: " in text
    assert not re.search(r"\bis private\b(?!:)", page.text)


def test_the_page_says_what_the_record_says() -> None:
    record = evaluation()
    facts, text = json.loads(json.dumps(record.to_dict())), Page(render_evaluation(record)).text
    assert (facts["private"], facts["note"]) == (False, NOT_PRIVATE)
    assert f"{facts['n_synthetic']:,} synthetic rows against {facts['n_real']:,} real ones, {len(facts['columns'])} columns" in text
    assert set(facts["errors"]) == {"1", "2", "3"}
    for error in [*facts["errors"].values(), facts["holdout"]]:
        row = " ".join(number(error[key]) for key in ("avg_tv", "max_tv", "avg_cell", "max_cell", "rmse"))
        assert row in text
    for yardstick in facts["yardsticks"]:
        assert f"{number(yardstick['avg_tv'])} {number(yardstick['max_tv'])} – – –" in text
    for column in facts["columns"]:
        assert f"{column['name']} TV {number(column['tv'])}" in text
    for scores in facts["training"]["scores"]:
        assert f"{scores['auc']:.3f} {scores['f1']:.3f} {scores['accuracy']:.3f}" in text
    worst = max(facts["errors"]["2"]["groups"], key=lambda group: group["tv"])
    assert f"Largest total variation {number(worst['tv'])} {' × '.join(worst['columns'])}" in text
    assert "200 real rows of the holdout, which the synthetic table was not made from" in re.sub("the same 200", "200", text)
    for sentence in NOT_CONCLUDED:
        assert sentence in text
    assert "real real.csv" in text
    assert "holdout none" in text
    assert "models 0" in text


def test_the_ledger_is_shown_with_its_dearest_releases_and_the_rest() -> None:
    record = evaluation()
    text = Page(render_evaluation(record)).text
    ledger = sorted(record.synthesis.ledger, key=lambda entry: -entry.rho)
    assert "epsilon 1 at delta 10⁻⁹ , replace (bounded) neighbors, one record" in text
    assert "in 20 releases" in text
    assert f"{ledger[0].step} discrete gaussian {number(1.41)} {number(50.0)} {number(1e-4)}" in text
    assert f"and 8 more {number(sum(entry.rho for entry in ledger[12:]))}" in text
    assert "no ledger was given" in Page(render_evaluation(evaluations()["split"])).text


def test_a_split_says_that_the_table_has_seen_the_test_rows() -> None:
    assert "its scores may be a little too good" in Page(render_evaluation(evaluations()["split"])).text
    assert "its scores may be" not in Page(render_evaluation(evaluation())).text
    assert "no target column was named" in Page(render_evaluation(evaluations()["equal"])).text


def test_a_page_needs_nothing_else(name: str) -> None:
    page = Page(render_evaluation(evaluations()[name]))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"})
    for tag, attributes in page.tags:
        assert not any(key.startswith("on") for key in attributes), tag
        for key in LOADING & set(attributes):
            assert attributes[key] == "data:,", (tag, key)
    assert "url(" not in page.styles
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_a_page_is_well_formed_and_can_be_heard(name: str) -> None:
    page = Page(render_evaluation(evaluations()[name]))
    check_form(page)
    pictures = [svg for svg in page.all("svg") if "aria-hidden" not in svg]
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in pictures)
    assert len(pictures) == 2 + min(len(evaluations()[name].columns), MOST_PICTURES) + (evaluations()[name].training is not None)


def test_hostile_names_are_escaped_everywhere() -> None:
    text = render_evaluation(evaluations()["hostile"])
    page = Page(text)
    assert page.all("script") == page.all("img") == []
    assert "<script" not in text
    assert HOSTILE in page.text
    assert "{{ 7*7 }}" in page.text
    assert "alert" not in evaluations()["hostile"]._repr_html_().replace("&lt;script&gt;alert", "")


def test_pages_stay_small() -> None:
    assert len(render_evaluation(evaluation()).encode()) < 120_000
    for wide in ("a hundred columns", "more columns than are drawn"):
        assert len(render_evaluation(evaluations()[wide]).encode()) < 800_000


def test_the_record_is_written_whole(tmp_path: Path) -> None:
    record = evaluation()
    page, file = record.to_html(tmp_path / "new" / "page.html"), record.to_json(tmp_path / "new" / "record.json")
    assert page.read_text(encoding="utf-8") == render_evaluation(record)
    assert json.loads(file.read_text()) == record.to_dict()
    assert record._repr_html_() == record.pairs._repr_html_()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["page.html", "record.json"]


def test_a_record_without_single_columns_is_refused() -> None:
    whole = evaluation()
    for errors in ({2: whole.errors[2]}, {1: whole.errors[1]}):
        with pytest.raises(ValueError, match="errors must hold"):
            TableEvaluation(n_real=1, n_synthetic=1, columns=whole.columns, errors=errors)


def test_equal_tables_have_no_error() -> None:
    record = evaluations()["equal"]
    assert record.pairs.max_tv == 0
    assert all(shares.tv == 0 for shares in record.columns)
    assert error_rows(record)[1].avg_tv == 0
    assert "Largest total variation 0" in Page(render_evaluation(record)).text


def test_one_column_has_no_pairs() -> None:
    record = evaluations()["one column"]
    assert record.pairs is record.errors[1]
    assert record.yardsticks == ()
    assert [row.name for row in error_rows(record)] == ["Synthetic, single columns"]


def test_the_heat_map_holds_every_pair_once() -> None:
    record = evaluation()
    shown = heat_map(record)
    assert shown.names == tuple(shares.name for shares in record.columns)
    assert np.array_equal(shown.tv, shown.tv.T)
    assert np.diag(shown.tv).tolist() == [shares.tv for shares in record.columns]
    for group in record.pairs.groups:
        assert shown.tv[shown.names.index(group.columns[0]), shown.names.index(group.columns[1])] == group.tv
    drawn = str(heat_picture(shown, WIDE))
    assert drawn.count('<rect x="') == 15
    for group in record.pairs.groups:
        assert f"<title>{' × '.join(group.columns)}: {number(group.tv)}</title>" in drawn
    assert drawn.count("heat-number") == 15
    assert "heat-number" not in str(heat_picture(heat_map(evaluations()["every kind"]), NARROW))


def test_the_heat_map_of_many_columns_is_a_path_a_color_and_the_worst_columns() -> None:
    drawn = str(heat_picture(heat_map(evaluations()["a hundred columns"]), NARROW))
    assert drawn.count("M") == 100 * 101 // 2
    assert drawn.count("<path") <= len(LIMITS) + 1
    record = evaluations()["more columns than are drawn"]
    shown = heat_map(record)
    assert len(shown.names) == MOST_COLUMNS
    everything = {shares.name: np.array([shares.tv]) for shares in record.columns}
    means = {name: np.mean([*everything[name], *(g.tv for g in record.pairs.groups if name in g.columns)]) for name in everything}
    left_out = set(everything) - set(shown.names)
    assert max(means[name] for name in left_out) <= min(means[name] for name in shown.names) + 1e-12
    assert "10 are left out" in Page(render_evaluation(record)).text


def test_colors_have_fixed_limits() -> None:
    assert [color_class(limit) for limit in (0.0, *LIMITS)] == list(range(8))
    assert [color_class(limit - 1e-9) for limit in LIMITS] == list(range(7))
    assert len(color_words()) == 8
    assert [_short(tv) for tv in (0.0, 0.0043, 0.0994, 0.0996, 0.123, 0.99, 0.9951, 1.0)] == [
        ".000", ".004", ".099", ".10", ".12", ".99", "1", "1",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_every_color(scheme: str) -> None:
    styles = Page(render_evaluation(evaluation())).styles
    blocks = re.findall(r":root \{([^}]*--paper[^}]*)\}", styles)
    colors = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", blocks[scheme == "dark"]))
    opacity = {int(k): float(text) for k, text in re.findall(r"\.heat-(\d) \{ fill-opacity: ([\d.]+);", styles)}
    assert sorted(opacity) == list(range(8))
    light_ink = {int(k) for k in re.findall(r"\.heat-number\.on-(\d)", styles)}
    for k, share in opacity.items():
        parts = [[int(colors[name][i : i + 2], 16) for i in (1, 3, 5)] for name in ("bound", "paper")]
        mixed = "#" + "".join(f"{round(share * front + (1 - share) * ground):02x}" for front, ground in zip(*parts, strict=True))
        assert contrast(colors["sheet" if k in light_ink else "ink"], mixed) >= 4.5, k


def test_pictures_of_columns_keep_every_share() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 9, 10, 11, 64, 65, 1000):
        real, made = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))
        bars = bars_of(ColumnShares(Categorical("c", tuple(range(n))), real, made))
        assert len(bars) == min(n, MOST_BARS)
        assert sum(bar.real for bar in bars) == pytest.approx(1)
        assert sum(bar.synthetic for bar in bars) == pytest.approx(1)
        if n > MOST_BARS:
            assert [bar.real for bar in bars[:-1]] == sorted(real, reverse=True)[: MOST_BARS - 1]
            assert bars[-1].name == f"{n - MOST_BARS + 1} others"
        if n > 1:
            steps = steps_of(ColumnShares(Ordinal("c", 1, n), real, made))
            assert len(steps[0]) <= MOST_STEPS
            assert [part.sum() for part in steps] == pytest.approx([1, 1])
    nullable = ColumnShares(Ordinal("c", 1, 2, nullable=True), [0.5, 0.25, 0.25], [0.1, 0.9, 0.0])
    assert [part.tolist() for part in steps_of(nullable)] == [[0.25, 0.25], [0.9, 0.0]]
    assert str(column_picture(nullable)).count("<rect") == 2  # missing, real and synthetic


def test_the_worst_columns_have_pictures() -> None:
    record = evaluations()["a hundred columns"]
    shown = shown_columns(record.columns)
    assert len(shown) == MOST_PICTURES
    assert min(shares.tv for shares in shown) >= max(shares.tv for shares in record.columns if shares not in shown)
    assert f"The {MOST_PICTURES} columns with the largest total variation of 100" in Page(render_evaluation(record)).text


@pytest.mark.parametrize(("width", "dark"), [(320, False), (400, True), (870, True), (1280, False)])
def test_the_page_is_quiet_and_fits(browser: Browser, tmp_path: Path, name: str, width: int, dark: bool) -> None:
    file = evaluations()[name].to_html(tmp_path / "page.html")
    seen = browser.visit(file, width=width, dark=dark)
    assert (seen.complaints, seen.requests, seen.overflow, seen.meeting_labels) == ([], [], [], [])
    assert seen.background == PAPER[dark]
