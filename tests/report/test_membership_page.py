"""The section on membership inference, and pages without a finite claim: figures, words, curves, colors."""

from __future__ import annotations

import html
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from attacks.scores import MembershipScores
from privacy_audit.cli.summary import summary_lines
from privacy_audit.report.curves import MOST_STEPS, roc_curve
from privacy_audit.report.html import render, render_summary
from privacy_audit.report.plain_text import number
from privacy_audit.report.plots import draw_ladder, draw_roc
from privacy_audit.report.svg_roc import N_COLORS, N_DASHES, roc_family, series_class
from tests.report.example_reports import bare, bound, claim, conformance, membership, report, shadow_report, shadow_reports
from tests.report.test_html import Page, contrast


def rate(value: float) -> str:
    """A rate as the page writes it."""
    return "0" if value == 0 else "1" if value == 1 else f"{value:.3f}" if value >= 0.01 else number(value, 2)


def section(text: str) -> Page:
    return Page(re.search(r'<section aria-labelledby="membership">.*?</section>', text, re.DOTALL).group())


@pytest.mark.parametrize("name", shadow_reports())
def test_the_section_says_what_the_record_says(name: str) -> None:
    record = shadow_reports()[name]
    facts, text = record.to_dict()["membership"], section(render(record)).text
    for attack, metrics in facts["attacks"].items():
        for key in ("auc", "tpr_at_fpr_1e_2", "tpr_at_fpr_1e_3", "tpr_at_zero_fp"):
            metric = metrics[key]
            shown = metric if isinstance(metric, str) else f"{rate(metric['value'])} {rate(metric['low'])} to {rate(metric['high'])}"
            assert shown in text.split(attack, 1)[1]
    for exposed in facts["most_exposed"]:
        effect = number(float(exposed["effect_size"]))
        assert f"{exposed['record']} {effect} {exposed['n_in']:,} {exposed['n_out']:,}" in text
    for key in ("references_in", "references_out"):
        least, median, most = facts[key]
        assert f"{median:,g} ({least:,} to {most:,}) had" in text
    for sentence in facts["failed_groups"]:
        assert sentence in text
    assert ("No model failed to train." in text) == (not facts["failed_groups"])
    assert f"{facts['n_models']:,} models were trained and {facts['n_targets']:,} of them attacked" in text
    assert f"{facts['n_members']:,} about members, {facts['n_non_members']:,} about non-members" in text


def test_the_section_says_how_little_its_intervals_promise() -> None:
    text = section(render(shadow_report())).text
    assert "Threat model: black box, final model ." in text
    assert f"{shadow_report().membership.registered} fixed beforehand; gives the bound" in text
    assert text.count("fixed beforehand; gives the bound") == 1
    assert "Guesses about one model share its training randomness, and the guesses of 4 models are pooled here" in text
    assert "describe these guesses within these models and are no bounds on epsilon" in text
    assert "too large by selection" in text
    assert "are pooled" not in section(render(shadow_reports()["few guesses"])).text


def test_one_model_has_no_others() -> None:
    alone = membership(n_targets=1, n_models=1, most_exposed=(), references_in=(0, 0.0, 0), references_out=(0, 0.0, 0))
    assert "One model was trained and attacked. Each attack made 600 guesses" in section(render(shadow_report(membership=alone))).text


def test_reports_without_shadow_models_have_no_such_section() -> None:
    for record in (report(), bare()):
        assert "Membership inference" not in render(record)
        assert "legend" not in {attributes.get("class") for _, attributes in Page(render(record)).tags}


def test_no_score_is_printed_and_the_page_stays_small() -> None:
    n = 20_000
    rng = np.random.default_rng(8)
    member, model = rng.random(n) < 0.5, np.arange(n) % 2
    drawn = [rng.uniform(1111.1111, 9999.9999, n) for _ in range(12)]
    scores = {f"attack {k}": MembershipScores(values, member, model, np.arange(n)) for k, values in enumerate(drawn)}
    record = shadow_report(membership=membership(("attack 0",), scores=scores, n_targets=2))
    page = render(record)
    assert len(page.encode()) < 250_000
    some = [value for values in drawn for value in values[:200]]
    assert not [value for value in some if f"{value:.2f}" in page or f"{value:,.2f}" in page]
    longest = max(path["d"].count(",") for path in Page(page).all("path") if path["d"])
    assert longest <= 2 * MOST_STEPS


def test_one_curve_per_attack_and_the_registered_one_on_top() -> None:
    record = membership(tuple(f"attack {k}" for k in range(12)), registered="attack 4")
    picture = str(roc_family(claim(), {name: roc_curve(scores) for name, scores in record.scores.items()}, record.registered))
    classes = re.findall(r'class="roc (color-\d dash-\d) curve"', picture)
    assert sorted(classes) == sorted({series_class(k) for k in range(12)})
    assert math.lcm(N_COLORS, N_DASHES) == 12
    assert classes[-1] == series_class(4)
    assert picture.count('class="chosen"') == 1
    assert picture.index('class="chosen"') > picture.rindex('class="other"')
    legend = section(render(shadow_report(membership=record)))
    swatches = [svg for svg in legend.all("svg") if "swatch" in svg["class"]]
    assert len(swatches) == 12
    assert all(svg["aria-hidden"] == "true" for svg in swatches)
    assert [name for _, name in sorted((legend.text.rindex(f"{name} "), name) for name in record.scores)] == list(record.scores)


def test_only_a_finite_claim_is_shaded() -> None:
    curves = {"one": roc_curve(membership().scores["RMIA"])}
    finite, infinite = (str(roc_family(claim(epsilon), curves, "one")) for epsilon in (2.0, math.inf))
    assert 'class="allowed"' in finite
    assert "allows is shaded" in finite
    assert "allow" not in infinite
    for record in (report(claim=claim(math.inf)), shadow_report(claim=claim(math.inf))):
        text = render(record)
        assert 'class="allowed"' not in text
        assert "Shaded" not in text
        assert "the claim allows" not in text


@pytest.mark.parametrize("record", [report(claim=claim(math.inf)), shadow_report(claim=claim(math.inf))], ids=["one run", "shadow models"])
def test_a_page_without_a_finite_claim(record) -> None:
    text, summary = Page(render(record)).text, Page(render_summary(record)).text
    assert "∞" not in text + summary
    assert "claim: at most" not in text
    assert "If the claim were exactly reached" not in text
    assert "The proof behind the claim" not in text
    assert "nothing to violate" in text
    assert "no finite epsilon is claimed" in summary
    for words in (
        "Claimed epsilon none no finite epsilon is claimed",
        "Guarantee no finite epsilon is claimed; evidence is for delta 10⁻⁵",
        "Nobody asserts a finite upper bound on epsilon.",
        "Epsilon No finite epsilon is claimed from the claim",
        "Claim (claim): no finite epsilon is claimed",
    ):
        assert words in text or words in html.unescape(render(record)), words
    assert "tone-inconclusive" in render(record)
    assert "above-claim" not in re.sub(r"<style>.*?</style>", "", render(record), flags=re.DOTALL)


def test_an_infinite_bound_under_an_infinite_claim_has_a_place_on_the_axis() -> None:
    text = Page(render(bare(claim=claim(math.inf), bound=bound(math.inf)))).text
    assert "No finite epsilon is claimed; the attack shows at least epsilon ∞." in text


def test_a_failed_engine_names_no_epsilon() -> None:
    record = report(claim=claim(math.inf), conformance=conformance("rate"))
    assert record.verdict == "suspicious"
    assert record.headline == "The training engine does not do what the declared mechanism assumes: its tests of sampling failed."


def test_pictures_for_notebooks_draw_no_infinite_claim() -> None:
    from matplotlib import pyplot

    record = replace(report(), claim=claim(math.inf))
    ladder, roc = draw_ladder(record), draw_roc(record)
    assert ladder.get_title() == "consistent; no finite epsilon is claimed"
    assert len(ladder.patches) == 0
    assert len(draw_ladder(report()).patches) == 1
    assert "allowed by the claim" not in {text.get_text() for text in roc.get_legend().get_texts()}
    pyplot.close("all")


# Viénot, Brettel, Mollon 1999 (protan, deutan) on linear RGB; tritanopia is rare and leaves dashes
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    "deutan": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_curves_can_be_told_apart(scheme: str, blindness: str) -> None:
    blocks = re.findall(r":root \{([^}]*--paper[^}]*)\}", Page(render(bare())).styles)
    colors = dict(re.findall(r"--([a-z]+(?:-\d)?): (#[0-9a-f]{6})", blocks[scheme == "dark"]))
    series = [colors[f"color-{k}"] for k in range(N_COLORS)]
    assert all(contrast(color, colors["paper"]) >= 4.5 for color in series)
    seen = [lab(color, BLINDNESS[blindness]) for color in series]
    # curves of one dash must differ by more than a glance takes; others differ by their dash too
    for a in range(N_COLORS):
        for b in range(a):
            if a % N_DASHES == b % N_DASHES:
                assert np.linalg.norm(seen[a] - seen[b]) > 15, (a, b)
            assert np.linalg.norm(seen[a] - seen[b]) > 5, (a, b)
    red, green = lab("#c00000", BLINDNESS["deutan"]), lab("#6b6000", BLINDNESS["deutan"])
    assert np.linalg.norm(red - green) < 15  # the check can fail


def lab(color: str, blindness: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of a color as somebody sees it."""
    parts = np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = blindness @ np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(to_xyz @ linear / (0.9505, 1.0, 1.089), 1e-9, None)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_small_table_names_the_attack_and_no_epsilon_where_none_is_claimed() -> None:
    lines = summary_lines(shadow_reports()["shadow models without a claim"])
    assert lines[0].split()[:3] == ["claim", "no", "epsilon"]
    assert lines[2].split()[:3] == ["membership", "AUC", "0.808"]
    assert "LiRA, fixed variance, 4 of 64 models attacked" in lines[2]
    assert not [line for line in lines if "one-run" in line or len(line) > 80]
    assert "one-run" in summary_lines(report())[1]
