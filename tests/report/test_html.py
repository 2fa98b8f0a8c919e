import html
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from attacks.scores import MembershipScores
from mechanisms.guarantee import Neighboring
from privacy_audit.report.html import render, render_summary
from privacy_audit.report.nist import GROUPS
from privacy_audit.report.plain_text import number
from privacy_audit.report.words import KIND_MEANING, NOT_AN_ESTIMATE
from tests.report.example_reports import HOSTILE, bare, by_verdict, claim, conformance, edges, hostile, report, scores

VOID = {"meta", "link", "br", "img", "input", "hr"}
LOADING = {"src", "href", "srcset", "data", "action", "poster", "formaction", "xlink:href", "background", "cite", "ping"}
PAGES = {**by_verdict(), **edges()}


class Page(HTMLParser):
    """A page taken apart: tags in order with their attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.styles = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"closed but not open: {tag}"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.styles += data
        else:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(params=PAGES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_page_needs_nothing_else(name: str) -> None:
    page = Page(render(PAGES[name]))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"})
    for tag, attributes in page.tags:
        assert not any(key.startswith("on") for key in attributes), tag
        for key in LOADING & set(attributes):
            assert attributes[key] == "data:,", (tag, key)
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def check_form(page: Page) -> None:
    """One first heading, none skipped, ids that are unique and found, tables with captions and scopes."""
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(attributes["aria-labelledby"] in ids for _, attributes in page.tags if "aria-labelledby" in attributes)
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_a_page_is_well_formed_and_can_be_heard(name: str) -> None:
    text = render(PAGES[name])
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("main")) == 1
    check_form(page)
    pictures = [svg for svg in page.all("svg") if "aria-hidden" not in svg]
    assert pictures
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in pictures)
    assert len(page.all("desc")) == len(pictures)


def test_a_million_scores_make_a_small_page_in_seconds() -> None:
    record = report(scores=scores(1_000_000))
    start = time.perf_counter()
    page = render(record)
    assert len(page.encode()) < 200_000
    assert time.perf_counter() - start < 30
    longest = max(path["d"].count(",") for path in Page(page).all("path") if path["d"])
    assert longest <= 400


def test_no_score_of_a_record_is_printed() -> None:
    rng = np.random.default_rng(3)
    values = rng.uniform(1111.1111, 9999.9999, 60)
    page = render(bare(scores=MembershipScores(values, np.arange(60) % 2 == 0)))
    printed = {f"{float(text.replace(',', '')):.6g}" for text in re.findall(r"\d[\d,]*\.?\d*", html.unescape(page)) if text.strip(",.")}
    assert not printed & {f"{value:.6g}" for value in values}
    assert not any(f"{value:.2f}" in page for value in values)


def test_every_hostile_string_is_escaped_everywhere() -> None:
    text = render(hostile())
    page = Page(text)
    assert page.all("script") == page.all("img") == []
    assert "<script" not in text
    assert "{{ 7*7 }}" in page.text
    for word in HOSTILE:
        assert " ".join(word.split()).replace("\x00", "") in page.text.replace("\x00", "").replace("\ufffd", ""), word
    assert Page(render_summary(hostile())).all("script") == []


def test_the_page_says_what_the_record_says() -> None:
    record = report()
    facts, text = record.to_dict(), Page(render(record)).text
    assert facts["headline"] in text
    assert f"Verdict: {facts['verdict']}" in re.sub(r"\s+", " ", text.replace("Verdict: ", "Verdict: "))
    for value in (facts["claim"]["epsilon"], facts["claim"]["delta"], facts["bound"]["epsilon"], facts["power"]):
        assert number(value, 4) in text
    for other in facts["other_bounds"]:
        assert f"at least {number(other['epsilon'], 4)}" in text
        assert other["method"] in text
    low, high = facts["conformance"]["epsilon_interval"]
    assert f"{number(low, 4)} to {number(high, 4)}" in text
    low, high = record.posterior.interval(0.95, kind="equal_tailed")
    assert f"{number(record.posterior.median, 4)} ({number(low, 4)} to {number(high, 4)})" in text
    for test in facts["conformance"]["tests"]:
        assert test["finding"] in text
    for finding in facts["findings"]:
        assert finding["message"] in text
    assert f"area under the curve {facts['scores']['auc']:.3f}" in text
    assert f"{facts['scores']['n_members']:,} members" in text
    for mapping in ("threat_model", "versions", "seeds"):
        for key, value in facts[mapping].items():
            assert f"{key} {value}" in text
    for sentence in [*facts["claim"]["assumptions"], *facts["bound"]["assumptions"]]:
        assert sentence in text


@pytest.mark.parametrize("kind", ["bound", "estimate", "credible", "conformance"])
def test_each_kind_of_statement_says_what_it_is(kind: str) -> None:
    assert KIND_MEANING[kind] in Page(render(report())).text


def test_the_page_never_says_more_than_is_proved(name: str) -> None:
    text = Page(render(PAGES[name])).text
    assert not re.search(r"\bprivate\b", text, re.IGNORECASE)
    assert text.count(NOT_AN_ESTIMATE) == 2
    if PAGES[name].verdict in ("consistent", "tight"):
        assert "no violation found" in text


@pytest.mark.parametrize("kept", [True, False])
def test_after_a_failed_conformance_test_posterior_and_interval_are_withheld(kept: bool) -> None:
    whole = report()
    record = report(conformance=conformance("noise_scale", "rate"), posterior=whole.posterior if kept else None)
    text = Page(render(record)).text
    assert "Posterior and conformance interval are withheld." in text
    assert "failed its conformance tests; what is broken: noise scale and sampling" in text
    assert text.count("withheld: noise scale and sampling failed") == 2
    assert number(whole.posterior.median, 4) not in text
    assert "Posterior density" not in text
    assert "at least 1.91" in text  # the bound does not assume that the engine works
    assert "no finite epsilon" not in text


def test_repeated_noise_leaves_no_finite_epsilon() -> None:
    text = Page(render(report(conformance=conformance("step_pairs")))).text
    assert "shows the data exactly: no finite epsilon holds" in text


def test_what_is_missing_is_named() -> None:
    text = Page(render(bare())).text
    for sentence in (
        "no conformance test was run",
        "there is no ROC curve",
        "The power of this audit",
        "none stated",
        "not named",
        "None recorded.",
    ):
        assert sentence in text
    assert "ROC of the attack" not in text


def test_counts_without_scores_still_make_a_point() -> None:
    text = Page(render(report(scores=None))).text
    assert "ROC of the attack" in text
    assert "220 of 500 members and 25 of 500 non-members were called members" in text


def test_a_nist_field_may_be_named_by_its_label() -> None:
    text = Page(
        render(bare(settings={"nist.accounting method": "PLD.", "nist.noise source": "secure", "nist.Side channels": "none known"}))
    ).text
    assert "Accounting method PLD. as stated" in text
    assert "Noise source and secure randomness secure as stated" in text
    assert "Side channels none known as stated" in text
    assert "Further statements" not in text


def test_nist_fields_are_filled_or_marked() -> None:
    labels = [label for fields in GROUPS.values() for label in fields.values()]
    empty, filled = (
        Page(render(bare())).text,
        Page(render(report(settings={"nist.utility": "Accuracy 0.93.", "nist.odd": "Odd.", "nist.bias": " "}))).text,
    )
    assert all(label in empty for label in labels)
    assert empty.count("not assessed") == len(labels) - 4
    assert "Utility Accuracy 0.93. as stated" in filled
    assert "odd Odd. as stated" in filled
    assert "Bias not assessed" in filled
    assert "Unit of privacy record from the claim" in filled
    assert "nist." not in filled


@pytest.mark.parametrize("neighboring", list(Neighboring))
def test_every_relation_has_words(neighboring: Neighboring) -> None:
    whole = bare()
    record = bare(claim=replace(whole.claim, neighboring=neighboring), bound=replace(whole.bound, neighboring=neighboring))
    assert neighboring.value.replace("_", " or ").split()[0] in Page(render(record)).text


def test_the_user_may_add_what_was_not_tested() -> None:
    text = Page(render(bare(settings={"not_tested": "The phone app."}))).text
    assert "What was not tested The phone app." in text


def test_a_summary_is_a_fragment_that_styles_only_itself(name: str) -> None:
    text = render_summary(PAGES[name])
    page = Page(text)
    assert page.tags[0][0] == "div"
    assert {tag for tag, _ in page.tags}.isdisjoint({"html", "body", "script", "h1", "img"})
    assert PAGES[name]._repr_html_() == text
    assert " ".join(PAGES[name].headline.split()) in page.text
    for selectors in re.findall(r"([^{}@;]+)\{(?!\s*\.)", re.sub(r"@media[^{]*\{", "", page.styles)):
        assert all(selector.strip().startswith(".privacy-audit-") for selector in selectors.split(",")), selectors
    assert len(text) < 40_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_can_be_told_from_their_ground(scheme: str) -> None:
    styles = Page(render(bare())).styles
    blocks = re.findall(r":root \{([^}]*--paper[^}]*)\}", styles)
    colors = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", blocks[scheme == "dark"]))
    tones = {"bound", "posterior", "conformance", "claim", "violation", "suspicious", "consistent", "tight", "inconclusive"}
    assert tones < set(colors)
    for front in tones | {"ink", "quiet"}:
        for ground in ("paper", "sheet"):
            assert contrast(colors[front], colors[ground]) >= 4.5, (front, ground)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#999999", "#ffffff") < 4.5  # the check can fail


def contrast(first: str, second: str) -> float:
    """Contrast of WCAG 2."""

    def luminance(color: str) -> float:
        parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_a_long_setting_is_one_line_of_json() -> None:
    text = Page(render(report(settings={"nested": {"a": [1, True, None, 1.5]}, "flag": False, "none": None}))).text
    assert 'nested {"a": [1, true, null, 1.5]}' in text
    assert "flag no" in text


def test_claim_is_shown_with_its_unit() -> None:
    text = Page(render(report(claim=claim(privacy_unit="patient")))).text
    assert "Two data sets are neighbors if one patient is added or taken away." in text
