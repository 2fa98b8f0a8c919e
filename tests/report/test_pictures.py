import math
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot

from attacks.scores import MembershipScores
from privacy_audit.report.curves import MOST_STEPS, largest_tpr, lowest_decade, posterior_density, roc_curve
from privacy_audit.report.plots import draw_ladder, draw_posterior, draw_roc
from privacy_audit.report.statements import statements
from privacy_audit.report.svg_axes import LinearScale, LogScale, element, shortened
from privacy_audit.report.svg_ladder import NARROW, WIDE, epsilon_axis
from privacy_audit.report.svg_roc import tick_text
from tests.report.example_reports import bare, by_verdict, claim, conformance, edges, report, scores

PAGES = {**by_verdict(), **edges()}


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("Agg")
    yield
    pyplot.close("all")


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60).filter(lambda rows: len({row[1] for row in rows}) == 2)
)
def test_a_short_roc_is_the_step_curve_itself(rows: list[tuple[int, bool]]) -> None:
    score, member = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows])
    curve = roc_curve(MembershipScores(score, member))
    for f, t in zip(curve.fpr, curve.tpr, strict=True):
        reachable = [0.0] + [(score[member] >= c).mean() for c in score if (score[~member] >= c).mean() <= f + 1e-12]
        assert t == pytest.approx(max(reachable))


def test_a_long_roc_keeps_the_largest_tpr_at_each_fpr() -> None:
    record = scores(40_000)
    curve = roc_curve(record)
    assert len(curve.fpr) <= MOST_STEPS
    assert curve.lowest == -5
    assert (np.diff(curve.fpr) > 0).all()
    assert (np.diff(curve.tpr) >= 0).all()
    assert curve.tpr[0] == record.tpr_at_fpr(0.0)
    for k in (100, 150, 178):
        assert curve.tpr[k] == pytest.approx(record.tpr_at_fpr(curve.fpr[k]), abs=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 3.0, 800.0])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.2])
def test_the_allowed_region_is_that_of_the_definition(epsilon: float, delta: float) -> None:
    guarantee = replace(claim(epsilon), delta=delta)
    fpr = np.linspace(0, 1, 41)
    edge = largest_tpr(guarantee, fpr)
    ratio = math.exp(min(epsilon, 700))

    def allowed(t: np.ndarray) -> np.ndarray:
        return (t <= ratio * fpr + delta + 1e-12) & (1 - fpr <= ratio * (1 - t) + delta + 1e-12)

    assert allowed(edge).all() or epsilon == 800.0  # rounding of 1 - t times exp(700)
    beyond = edge + 1e-6
    assert not (allowed(beyond) & (beyond <= 1)).any()


def test_an_infinite_claim_allows_everything() -> None:
    assert (largest_tpr(claim(math.inf), np.array([0.0, 0.5])) == 1).all()


def test_the_density_integrates_to_the_mass_it_shows() -> None:
    posterior = report().posterior
    curve = posterior_density(posterior, claim(2.0))
    assert float(np.trapezoid(curve.density, curve.epsilon)) + curve.at_zero == pytest.approx(1, abs=0.01)
    assert curve.epsilon[-1] >= 2.2
    assert posterior_density(posterior, claim(1e6)).epsilon[-1] < 10


def test_decades() -> None:
    assert [lowest_decade(5, 5), lowest_decade(500, 100), lowest_decade(1000, 10), lowest_decade(10**9, 5)] == [-2, -3, -3, -6]
    assert [tick_text(k) for k in (0, -1, -2, -3)] == ["1", "0.1", "0.01", "10⁻³"]
    scale = LogScale(-3, 0, 300, -20)
    np.testing.assert_allclose(scale([1, 0.1, 1e-3, 0, 1e-4]), [300, 200, 0, -20, -20])


@given(st.floats(1e-9, 1e9), st.integers(4, 8))
def test_ticks_are_few_and_within(high: float, most: int) -> None:
    ticks = LinearScale(high, 0, 100).ticks(most)
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= most + 1
    assert ticks[-1] <= high * (1 + 1e-6)


@pytest.mark.parametrize("layout", [WIDE, NARROW])
@pytest.mark.parametrize("name", PAGES)
def test_every_mark_lies_on_the_axis(name: str, layout) -> None:
    rows = statements(PAGES[name])
    axis = epsilon_axis(rows, layout)
    for row in rows:
        for value in (row.low, row.middle, row.high):
            if value is not None:
                assert layout.left <= axis(value) <= layout.right


@given(st.text(max_size=60), st.integers(1, 30))
def test_a_shortened_text_fits(text: str, columns: int) -> None:
    short = shortened(text, columns)
    assert len(short) <= columns
    assert short.endswith("…") or short == " ".join(text.split())


def test_attributes_and_children_are_escaped() -> None:
    assert str(element("text", "<b>", class_='"x"')) == '<text class="&#34;x&#34;">&lt;b&gt;</text>'


@pytest.mark.parametrize("name", PAGES)
def test_a_ladder_can_be_drawn_for_a_notebook(name: str) -> None:
    ax = draw_ladder(PAGES[name])
    ax.figure.canvas.draw()
    assert PAGES[name].verdict in ax.get_title()
    assert len(ax.get_yticks()) == min(len(statements(PAGES[name])), 11) - 1


def test_pictures_use_the_axes_they_are_given() -> None:
    _, axes = pyplot.subplots(1, 3)
    record = report()
    assert [draw_ladder(record, axes[0]), draw_posterior(record, axes[1]), draw_roc(record, axes[2])] == list(axes)
    assert record.plot(axes[0]) is axes[0]
    axes[0].figure.canvas.draw()


def test_what_is_withheld_or_missing_is_not_drawn() -> None:
    with pytest.raises(ValueError, match="shows no posterior"):
        draw_posterior(report(conformance=conformance("rate")))
    with pytest.raises(ValueError, match="shows no posterior"):
        draw_posterior(bare())
    with pytest.raises(ValueError, match="no scores"):
        draw_roc(bare())


def test_matplotlib_is_loaded_only_to_draw() -> None:
    import subprocess
    import sys

    code = "import sys, privacy_audit.report.plots, privacy_audit.report.html; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
