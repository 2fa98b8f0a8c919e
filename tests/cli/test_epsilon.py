"""`privacy-audit epsilon`: the same figures as the library, in a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from attacks import AttackCounts, MembershipScores
from privacy_audit import EpsilonPosterior, audit_scores, epsilon_lower_bound
from privacy_audit.cli.main import app

COUNTS = AttackCounts(tp=60, fp=3, tn=97, fn=40)
OPTIONS = ["--tp", "60", "--fp", "3", "--tn", "97", "--fn", "40"]


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["epsilon", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture(params=["csv", "parquet"])
def score_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    member = rng.random(600) < 0.5
    MembershipScores(rng.normal(size=600) + 2 * member, member).write(tmp_path / f"scores.{request.param}")
    return tmp_path / f"scores.{request.param}"


def test_table_from_counts():
    text = invoke(*OPTIONS)
    assert "tp 60, fp 3, tn 97, fn 40" in text
    assert "median 2.939, 0.9 credible interval [2.149, 4.010]" in text
    bound = epsilon_lower_bound(COUNTS, level=0.9)
    assert f"epsilon >= {bound.epsilon:.3f} at level 0.9, method likelihood_ratio" in text
    assert max(map(len, text.splitlines())) <= 80


def test_level_and_delta_reach_both_statements():
    record = json.loads(invoke(*OPTIONS, "--delta", "0.01", "--level", "0.5", "--json"))
    posterior = EpsilonPosterior(COUNTS, delta=0.01)
    assert record["posterior"]["interval"] == pytest.approx(posterior.interval(0.5))
    assert record["posterior"]["level"] == record["bound"]["level"] == 0.5
    assert record["posterior"]["delta"] == record["bound"]["delta"] == 0.01
    assert record["bound"] == json.loads(json.dumps(epsilon_lower_bound(COUNTS, delta=0.01, level=0.5).to_dict()))
    assert (record["posterior"]["kind"], record["bound"]["kind"]) == ("credible", "bound")


def test_scores_give_the_bound_of_audit_scores(score_file: Path):
    record = json.loads(invoke(str(score_file), "--delta", "1e-5", "--level", "0.95", "--json"))
    bound = audit_scores(MembershipScores.read(score_file), delta=1e-5, level=0.95)
    assert record["bound"] == json.loads(json.dumps(bound.to_dict()))
    assert sum(record["posterior"]["counts"][name] for name in ("tp", "fp", "tn", "fn")) == 300
    assert record == json.loads(invoke(str(score_file), "--delta", "1e-5", "--level", "0.95", "--json"))
    assert "at a threshold chosen on one half" in invoke(str(score_file))


def test_seed_changes_the_split_and_not_the_bound(score_file: Path):
    first, second = (json.loads(invoke(str(score_file), "--seed", seed, "--json")) for seed in "01")
    assert first["bound"] == second["bound"]
    assert first["posterior"]["counts"] != second["posterior"]["counts"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--tp, --fp, --tn, --fn missing"),
        (OPTIONS[:6], "--fn missing"),
        ([*OPTIONS, "scores.csv"], "either SCORES or --tp"),
        (["scores.txt"], "must end in"),
        ([*OPTIONS, "--delta", "1"], "delta must be"),
        ([*OPTIONS, "--level", "95"], "did you mean 0.95"),
        (["--tp", "-1", "--fp", "3", "--tn", "97", "--fn", "40"], "tp must be a whole number"),
        (["--tp", "0", "--fp", "3", "--tn", "97", "--fn", "0"], "both truths need"),
    ],
)
def test_bad_input_is_named(arguments: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        invoke(*arguments)


def test_missing_file():
    with pytest.raises(FileNotFoundError, match=r"no such file: nothing\.csv"):
        invoke("nothing.csv")
