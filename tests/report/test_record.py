import dataclasses
import json
import math
import os
import stat
from pathlib import Path

import pytest

from attacks.scores import AttackCounts
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.signals.conformance_report import conformance_from_dict
from privacy_audit.report import html
from privacy_audit.report.record import AuditReport
from tests.report.example_reports import COUNTS, DELTA, bare, bound, by_verdict, claim, conformance, edges, report


def through_json(record: object) -> dict:
    return json.loads(json.dumps(record, allow_nan=False))


@pytest.mark.parametrize("epsilon", [0.0, 6.45, math.inf])
@pytest.mark.parametrize("neighboring", list(Neighboring))
def test_a_guarantee_survives_json(epsilon: float, neighboring: Neighboring) -> None:
    record = PrivacyGuarantee(epsilon, 1e-6, neighboring, "user", "Laplace", ("One.", "Two."))
    assert PrivacyGuarantee.from_dict(through_json(record.to_dict())) == record


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("epsilon", [0.0, 1.91, math.inf])
def test_a_bound_survives_json(epsilon: float, approximate: bool) -> None:
    record = bound(epsilon, approximate=approximate, neighboring=Neighboring.REPLACE)
    assert EpsilonBound.from_dict(through_json(record.to_dict())) == record


@pytest.mark.parametrize("record", [conformance(), conformance("rate"), conformance("noise_scale", "steps")])
def test_a_conformance_report_survives_json(record: object) -> None:
    assert conformance_from_dict(through_json(record.to_dict())) == record


@pytest.mark.parametrize("verdict", by_verdict())
def test_every_verdict_is_reached(verdict: str) -> None:
    record = by_verdict()[verdict]
    assert record.verdict == verdict
    assert record.contradicted == (verdict in ("violation", "suspicious"))
    assert through_json(record.to_dict())["verdict"] == verdict


@pytest.mark.parametrize("name", edges())
def test_edges_are_json(name: str) -> None:
    facts = through_json(edges()[name].to_dict())
    assert facts["schema_version"] == 1
    assert facts["headline"]


def test_the_posterior_alone_can_only_be_suspicious() -> None:
    posterior = EpsilonPosterior(AttackCounts(tp=480, fp=20, tn=480, fn=20), delta=DELTA)
    assert bare(posterior=posterior, claim=claim(2.0), bound=bound(0.0)).verdict == "suspicious"


def test_the_json_holds_the_facts_and_no_score(tmp_path: Path) -> None:
    record = report()
    facts = json.loads(record.to_json(tmp_path / "deep" / "report.json").read_text(encoding="utf-8"))
    assert facts == through_json(record.to_dict())
    assert facts["claim"]["epsilon"] == 6.45
    assert facts["conformance"]["epsilon_interval"] == [6.12, 6.81]
    assert set(facts["scores"]) == {"schema_version", "n_members", "n_non_members", "auc"}


def test_a_failed_conformance_test_leaves_no_interval() -> None:
    facts = report(conformance=conformance("noise_scale", "rate")).to_dict()["conformance"]
    assert isinstance(facts, dict)
    assert facts["epsilon_interval"] is None
    assert facts["broken"] == ["noise scale", "sampling"]


def test_a_posterior_that_a_failed_test_refutes_is_not_written() -> None:
    assert report().to_dict()["posterior"] is not None
    assert report(conformance=conformance("rate")).to_dict()["posterior"] is None


@pytest.mark.parametrize("field", ["bound", "other_bounds", "posterior"])
def test_statements_that_one_axis_cannot_show_are_refused(field: str) -> None:
    def with_one(**changes: object) -> AuditReport:
        one = EpsilonPosterior(COUNTS, **({"delta": DELTA} | changes)) if field == "posterior" else bound(**changes)
        return report(**{field: (one,) if field == "other_bounds" else one})

    assert with_one().verdict == "consistent"
    with pytest.raises(ValueError, match="different neighboring relations"):
        with_one(neighboring=Neighboring.REPLACE)
    with pytest.raises(ValueError, match="claim's delta 1e-05, got 1e-06"):
        with_one(delta=1e-6)


def test_a_posterior_of_many_attacks_is_refused() -> None:
    with pytest.raises(ValueError, match="posterior must be of one attack"):
        report(posterior=EpsilonPosterior([COUNTS, COUNTS], delta=DELTA))


def test_a_report_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        report().title = "another"  # type: ignore[misc]


def test_files_can_be_read_by_others(tmp_path: Path) -> None:
    path = report().to_html(tmp_path / "report.html")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_text(encoding="utf-8").endswith("</html>")


@pytest.mark.parametrize("old", [None, "old page"])
@pytest.mark.parametrize("failure", ["rendering", "serializing", "writing", "replacing"])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str, old: str | None) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("no")

    target = tmp_path / "report"
    if old:
        target.write_text(old)
    record = report(title="lone surrogate \ud800") if failure == "writing" else report()
    if failure == "rendering":
        monkeypatch.setattr(html, "render", fail)
    elif failure == "serializing":
        monkeypatch.setattr(AuditReport, "to_dict", fail)
    elif failure == "replacing":
        monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((RuntimeError, UnicodeEncodeError)):
        record.to_json(target) if failure == "serializing" else record.to_html(target)
    assert [path.name for path in tmp_path.iterdir()] == (["report"] if old else [])
    assert old is None or target.read_text() == old


def test_a_page_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    report(title="first").to_html(target)
    report(title="second").to_html(target)
    assert "second" in target.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
