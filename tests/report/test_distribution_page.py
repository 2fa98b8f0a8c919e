"""The section on distribution inference: figures, words, pictures, and the small table of the command line."""

from __future__ import annotations

import math
import re

import pytest

from privacy_audit.cli.summary import summary_lines
from privacy_audit.report.distribution_view import count_text, rate_text
from privacy_audit.report.distribution_words import NOT_CONCLUDED
from privacy_audit.report.html import render
from privacy_audit.report.svg_ratios import RatioRow, accuracy_axis, ratio_picture, records_axis
from tests.report.example_reports import SIZE_FINDING, bare, distribution_report, distribution_reports, shadow_report
from tests.report.test_html import Page


def section(text: str) -> Page:
    return Page(re.search(r'<section aria-labelledby="distribution">.*?</section>', text, re.DOTALL).group())


@pytest.mark.parametrize("name", distribution_reports())
def test_the_section_says_what_the_record_says(name: str) -> None:
    record = distribution_reports()[name]
    facts, text = record.to_dict()["distribution"], section(render(record)).text
    for pair in facts["pairs"]:
        reading = pair["reading"]
        accuracy, leaked, published = (
            {key: float(value) for key, value in reading[part].items()} for part in ("accuracy", "n_leaked", "n_leaked_published_bound")
        )
        chosen = pair["attacks"][pair["chosen"]]
        row = (
            f"{rate_text(chosen['accuracy'])} {rate_text(accuracy['low'])} to {rate_text(accuracy['high'])} "
            f"{count_text(float(reading['n_leaked_exact']))} "
            f"{count_text(leaked['median'])} {count_text(leaked['low'])} to {count_text(leaked['high'])}"
        )
        assert row in text
        assert f"{count_text(published['median'])} {count_text(published['low'])} to {count_text(published['high'])}" in text
        for attack in pair["attacks"].values():
            worlds = f"{attack['right_in_world_0']:,} of {attack['victims_of_world_0']:,} {attack['right_in_world_1']:,} of"
            assert f"{rate_text(attack['accuracy'])} {worlds}" in text
    for sentence in NOT_CONCLUDED:
        assert sentence in text
    assert f"{facts['n_victims']:,} victim models were attacked" in text
    assert ("All pairs together" in text) == (facts["pooled"] is not None)


def test_one_attack_of_each_pair_is_marked() -> None:
    record = distribution_report()
    text = section(render(record)).text
    assert text.count("chosen beforehand; gives the bound") == len(record.distribution.pairs)
    assert "OutputMetaClassifier chosen beforehand; gives the bound black box 0.790 0.775 150 of 200 160 of 200" in text
    assert "LossTest label only – " in text


def test_a_size_side_channel_stands_before_every_figure() -> None:
    text = section(render(distribution_reports()["a defended distribution"])).text
    assert "The worlds differ in more than the property." in text
    assert text.index(SIZE_FINDING) < text.index("Accuracy on victims")
    assert "The worlds differ in more" not in section(render(distribution_report())).text


def test_a_defense_is_attacked_adaptively_and_says_so() -> None:
    text = section(render(distribution_reports()["a defended distribution"])).text
    assert "thinned to 160 records. The attacks below are adaptive" in text
    assert "non-adaptive: knows no defense black box 0.790 0.675 130 of 200 140 of 200" in text
    assert "adaptive" not in section(render(distribution_report())).text


def test_exact_and_published_are_told_apart() -> None:
    text = section(render(distribution_report())).text
    assert "Exact n : from so many records of the training distribution an ideal observer would tell the two ratios apart" in text
    assert "Published bound : with fewer records than this no observer could" in text
    assert "must not be compared" in text


def test_other_reports_have_no_such_section() -> None:
    for record in (bare(), shadow_report()):
        assert "Distribution inference" not in render(record)


def test_a_distribution_report_speaks_of_no_scores_and_of_membership_as_not_tested() -> None:
    text = Page(render(distribution_report())).text
    assert "Membership: whether single records can be told to have been trained on; that takes an audit of its own." in text
    assert "The order of the scores" not in text
    assert "The power of this audit" not in Page(render(distribution_reports()["a distribution and a claim beyond reach"])).text


@pytest.mark.parametrize("name", distribution_reports())
def test_the_small_table_fits_eighty_columns(name: str) -> None:
    lines = summary_lines(distribution_reports()[name])
    assert all(len(line) <= 80 for line in lines), [line for line in lines if len(line) > 80]
    assert "one-run" not in "\n".join(lines)


def test_the_small_table_names_ratios_and_records() -> None:
    lines = summary_lines(distribution_report())
    assert lines[1].split()[:4] == ["bound", "epsilon", ">=", "0.0021"]
    assert lines[2].split()[:3] == ["ratios", "accuracy", "0.775"]
    assert "0.5 against 0.2: leaks" in lines[2]
    assert sum("all pairs" in line for line in lines) == 1
    assert "size side channel" in "\n".join(summary_lines(distribution_reports()["a defended distribution"]))


def test_the_picture_of_accuracies() -> None:
    rows = [RatioRow("0.5 against 0.2", "0.78", 0.73, 0.78, 0.81, (0.51, 0.6)), RatioRow("<b>", "0.5", 0.44, 0.5, 0.56)]
    axis = accuracy_axis(rows)
    assert axis(0.4) < axis(0.5) < axis(1.0)
    assert [round(tick, 1) for tick in axis.ticks()] == [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    picture = str(ratio_picture(rows, axis, title="Accuracy", guessing=0.5))
    assert picture.count('class="diagonal"') == picture.count("posterior median") == 2
    assert picture.count('class="ring"') == 2
    assert "&lt;b&gt;" in picture
    assert accuracy_axis([RatioRow("a", "b", 0.13, 0.2, 0.3)]).low == pytest.approx(0.1)


def test_the_picture_of_records_has_places_for_nothing_and_for_infinity() -> None:
    rows = [RatioRow("a", "b", 0.0, 12.0, 800.0, (math.inf,))]
    axis = records_axis(rows)
    assert axis.ticks() == [0, 1, 10, 100, math.inf]
    assert axis(0) < axis(1) < axis(800.0) < axis(math.inf)
    assert "∞" in str(ratio_picture(rows, axis, title="Records"))
    assert not records_axis([RatioRow("a", "b", 0.0, 0.0, 0.0)]).has_infinity
    wide = records_axis([RatioRow("a", "b", 0.0, 1.0, 1e12)]).ticks()
    assert len(wide) <= 8
