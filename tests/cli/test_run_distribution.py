"""`privacy-audit run` and `privacy-audit leakage` with kind = "distribution": page and record, exit codes, refusals."""

from __future__ import annotations

import json

import pytest

from tests.cli.running import run_cli

TRAINING = """
import numpy as np
from torch import nn
from attacks.shadow.ensemble import ShadowTrainer

def data():
    rng = np.random.default_rng(1)
    has = rng.random(3000) < 0.5
    x = rng.normal(size=(3000, 3)) + has[:, None]
    return x, (x[:, 0] + rng.normal(size=3000) > 0.5).astype(int), has

def two():
    return data()[:2]

class Model:
    classes_ = np.array([0, 1])

    def __init__(self, x, y):
        self.weight = (x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0))
        self.middle = x.mean(axis=0)

    def predict_proba(self, x):
        high = 1 / (1 + np.exp(-(x - self.middle) @ self.weight))
        return np.stack([1 - high, high], axis=1)

def train(x, y, rng):
    return Model(x, y)

def network():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

def trainer():
    return ShadowTrainer(network, lr=0.5, steps=20, sample_rate=0.3, seed=1)

def broken(x, y, rng):
    raise KeyError("secret record 4711")
"""


@pytest.fixture
def audit_file(tmp_path, request):
    name = f"worlds_of_{request.node.name.split('[')[0]}"

    def write(lines='train = "{name}:train"', extra="", ratios="[[0.5, 0.1]]"):
        (tmp_path / f"{name}.py").write_text(TRAINING)
        file = tmp_path / "AUDIT.toml"
        text = (
            f'[audit]\nkind = "distribution"\n{lines}\ndata = "{{name}}:data"\nratios = {ratios}\nn_train = 200\nn_shadow = 16\n'
            f"n_victim = 30\nn_queries = 200\ndelta = 1e-5\nseed = 3\n{extra}"
        )
        file.write_text(text.replace("{name}", name))
        return file

    return write


def record(folder):
    return json.loads((folder / "report.json").read_text())


def test_training_code_gives_page_and_record(audit_file, tmp_path):
    file = audit_file(ratios="[[0.5, 0.1], [0.5, 0.8]]", extra='[nist]\n"trust model" = "central"\n')
    done = run_cli("run", str(file), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.split("\n\n")[0].splitlines())
    facts = record(tmp_path / "out")
    assert facts["distribution"]["n_victims"] == 120
    assert [pair["ratios"] for pair in facts["distribution"]["pairs"]] == [[0.5, 0.1], [0.5, 0.8]]
    assert facts["settings"]["nist.trust model"] == "central"
    assert facts["settings"]["trained by"] == "train"
    assert facts["membership"] is None
    assert "Distribution inference" in (tmp_path / "out" / "report.html").read_text()


def test_a_lock_step_trainer_a_defense_and_a_claim_beyond_reach(audit_file, tmp_path):
    extra = 'method = "iid"\nlabel_rate = 0.5\n[claim]\nepsilon = 3\nneighboring = "replace"\n[defense]\ncells = [[4, 4], [4, 4]]\n'
    done = run_cli("run", str(audit_file('trainer = "{name}:trainer"', extra, "[[0.5, 0.3]]")), "--out", str(tmp_path / "out"), "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["verdict"] == "inconclusive"
    assert facts["claim"]["neighboring"] == facts["bound"]["neighboring"] == "replace"
    assert facts["distribution"]["sampling"] == "iid"
    assert facts["distribution"]["label_rate"] == [0.5, 0.5]
    assert facts["distribution"]["pairs"][0]["undefended"] is not None


def test_a_contradicted_claim_leaves_with_1(audit_file, tmp_path):
    file = audit_file(extra="[claim]\nepsilon = 1e-6\n")
    done = run_cli("run", str(file), "--out", str(tmp_path / "out"))
    assert done.exit_code == 1, done.stderr
    assert "VIOLATION" in done.stdout


def test_leakage_runs_a_game_as_run_does(audit_file, tmp_path):
    file = str(audit_file())
    first = run_cli("run", file, "--out", str(tmp_path / "one"))
    second = run_cli("leakage", file, "--out", str(tmp_path / "two"))
    assert (first.exit_code, second.exit_code) == (0, 0), second.stderr
    assert record(tmp_path / "one") == record(tmp_path / "two")


@pytest.mark.parametrize(
    ("lines", "extra", "options", "message"),
    [
        ('train = "{name}:broken"', "", (), "failed with KeyError"),
        ('train = "{name}:nowhere"', "", (), "no function 'nowhere'"),
        ('trainer = "{name}:network"', "", (), "must return a ShadowTrainer"),
        ("", "", (), "give either train or trainer"),
        ('train = "{name}:train"', "n_models = 5\n", (), "unknown key 'audit.n_models'; allowed in this table: data, delta, kind"),
        ('train = "{name}:train"', "", ("--resume",), 'for kind = "shadow"'),
        ('train = "{name}:train"', "[defense]\ncells = [[190, 1], [1, 1]]\n", (), "the cell (prop == "),
        ('train = "{name}:train"', '[claim]\nepsilon = 1\nprivacy_unit = "user"\n', (), "privacy unit must be 'record'"),
    ],
)
def test_refusals(audit_file, tmp_path, lines, extra, options, message):
    done = run_cli("run", str(audit_file(lines, extra)), "--out", str(tmp_path / "out"), *options)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "4711" not in done.stderr + done.stdout
    assert not (tmp_path / "out" / "report.json").exists()


def test_data_must_have_three_parts(audit_file, tmp_path):
    file = audit_file()
    file.write_text(file.read_text().replace(":data", ":two"))
    done = run_cli("run", str(file), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "must return (X, y, prop)" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--accuracy and --ratios must be given, or GAME.toml instead"),
        (("--accuracy", "0.8"), "--ratios must be given"),
        (("AUDIT.toml", "--accuracy", "0.8"), "either GAME.toml, or --accuracy"),
    ],
)
def test_leakage_needs_an_accuracy_or_a_game(options, message):
    done = run_cli("leakage", *options)
    assert done.exit_code == 2
    assert message in done.stderr


def test_leakage_is_for_games(tmp_path):
    file = tmp_path / "AUDIT.toml"
    file.write_text('[audit]\nkind = "training"\ntrain = "a:b"\ndelta = 1e-5\n')
    done = run_cli("leakage", str(file))
    assert done.exit_code == 2
    assert 'must be "distribution" here, got "training"' in done.stderr
