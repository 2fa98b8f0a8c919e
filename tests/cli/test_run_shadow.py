"""`privacy-audit run` with kind = "shadow": page and record, --resume after a kill, executors, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cli.running import run_cli

ROOT = Path(__file__).parents[2]

TRAINING = """
import time
import numpy as np
from sklearn.tree import DecisionTreeClassifier
from torch import nn
from attacks.shadow.ensemble import ShadowTrainer

PAUSE = {pause}

def data():
    return np.random.default_rng(1).normal(size=(80, 5)), np.arange(80) % 3

def population():
    return np.zeros((40, 5)) + np.arange(40)[:, None] / 10, np.arange(40) % 3

def canary():
    return np.full((1, 5), -4.0), np.array([1])

def train(part, rng):
    time.sleep(PAUSE)
    return DecisionTreeClassifier(max_depth=3, random_state=int(rng.integers(2**31))).fit(*part)

def network():
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))

def trainer():
    return ShadowTrainer(network, lr=0.5, steps=30, sample_rate=0.3, seed=1)

def broken(part, rng):
    raise KeyError("secret record 4711")
"""

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")


@pytest.fixture
def audit_file(tmp_path, request):
    name = f"shadow_of_{request.node.name.split('[')[0]}"

    def write(lines='train = "{name}:train"', extra="", pause=0.0):
        (tmp_path / f"{name}.py").write_text(TRAINING.replace("{pause}", str(pause)))
        file = tmp_path / "AUDIT.toml"
        text = f'[audit]\nkind = "shadow"\n{lines}\ndata = "{{name}}:data"\ndelta = 1e-5\nn_models = 12\nseed = 3\n{extra}'
        file.write_text(text.replace("{name}", name))
        return file

    return write


def record(folder):
    return json.loads((folder / "report.json").read_text())


def test_training_code_gives_page_and_record(audit_file, tmp_path):
    done = run_cli("run", str(audit_file(extra='population = "{name}:population"\n')), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    facts = record(tmp_path / "out")
    assert facts["settings"]["models that exist"] == 12
    assert facts["membership"]["registered"] == "bayes_t"
    assert "Membership inference" in (tmp_path / "out" / "report.html").read_text()


def test_a_trainer_a_claim_and_nist(audit_file, tmp_path):
    extra = 'attack = "lira_fixed"\n[claim]\nepsilon = 5.0\n[nist]\n"trust model" = "central"\n'
    done = run_cli("run", str(audit_file('trainer = "{name}:trainer"', extra)), "--out", str(tmp_path / "out"), "--json")
    assert done.exit_code in (0, 1), done.stderr
    facts = json.loads(done.stdout)
    assert facts["claim"]["epsilon"] == 5.0
    assert facts["settings"]["nist.trust model"] == "central"


def test_the_game_of_a_canary(audit_file, tmp_path):
    done = run_cli("run", str(audit_file(extra='canary = "{name}:canary"\n')), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    assert record(tmp_path / "out")["threat_model"]["canaries"].startswith("1, ")


def test_resume_is_asked_for(audit_file, tmp_path):
    file, out = str(audit_file()), str(tmp_path / "out")
    first = run_cli("run", file, "--out", out)
    assert first.exit_code == 0, first.stderr
    again = run_cli("run", file, "--out", out)
    assert again.exit_code == 2
    assert "12 finished groups" in again.stderr
    assert "--resume" in again.stderr
    resumed = run_cli("run", file, "--out", out, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert record(tmp_path / "out")["settings"]["groups taken from the store"] == 12


def test_a_changed_file_of_training_code_is_another_experiment(audit_file, tmp_path):
    out = str(tmp_path / "out")
    assert run_cli("run", str(audit_file()), "--out", out).exit_code == 0
    changed = run_cli("run", str(audit_file(pause=0.001)), "--out", out, "--resume")
    assert changed.exit_code == 2
    assert "another experiment" in changed.stderr
    assert "training_code" in changed.stderr


def test_two_processes_give_the_same_record(audit_file, tmp_path):
    file = str(audit_file())
    assert run_cli("run", file, "--out", str(tmp_path / "one")).exit_code == 0
    done = run_cli("run", file, "--out", str(tmp_path / "two"), "--executor", "processes:2")
    assert done.exit_code == 0, done.stderr
    assert record(tmp_path / "one") == record(tmp_path / "two")


def test_a_killed_run_goes_on(audit_file, tmp_path):
    file, out = audit_file(pause=0.3), tmp_path / "killed"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "privacy_audit.cli.main"]
    if not (ROOT / "privacy_audit" / "cli" / "__main__.py").exists():
        command = [sys.executable, "-c", "from privacy_audit.cli.main import main; main()"]
    process = subprocess.Popen([*command, "run", str(file), "--out", str(out)], env=environment, stderr=subprocess.DEVNULL)
    store = out / "shadow-models"
    deadline = time.monotonic() + 120
    while len(list(store.glob("group-*.npz"))) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    n_finished = len(list(store.glob("group-*.npz")))
    assert 3 <= n_finished < 12
    assert not (out / "report.json").exists()
    resumed = run_cli("run", str(file), "--out", str(out), "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    whole = run_cli("run", str(file), "--out", str(tmp_path / "whole"))
    assert whole.exit_code == 0
    ours, theirs = record(out), record(tmp_path / "whole")
    assert ours["settings"].pop("groups taken from the store") == n_finished
    assert theirs["settings"].pop("groups taken from the store") == 0
    assert ours["settings"].pop("groups trained now") + n_finished == theirs["settings"].pop("groups trained now")
    assert ours == theirs
    first, second = (sorted(folder.glob("group-*.npz")) for folder in (store, tmp_path / "whole" / "shadow-models"))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(np.load(one)["signals"], np.load(other)["signals"])


@pytest.mark.parametrize(
    ("lines", "extra", "options", "message"),
    [
        ('train = "{name}:broken"', "", (), "KeyError"),
        ('train = "{name}:nowhere"', "", (), "no function 'nowhere'"),
        ('trainer = "{name}:network"', "", (), "must return a ShadowTrainer"),
        ('train = "{name}:train"', "", ("--executor", "cloud"), "processes"),
        ('train = "{name}:train"', 'attack = "rmia"\n', (), "population"),
        ("", "", (), "give either train or trainer"),
        ('train = "{name}:train"', "n_canaries = 5\n", (), "unknown key 'audit.n_canaries'; allowed in this table: attack, canary"),
        ('train = "{name}:train"', 'stop = "soon"\n', (), "key 'audit.stop'"),
    ],
)
def test_refusals(audit_file, tmp_path, lines, extra, options, message):
    done = run_cli("run", str(audit_file(lines, extra)), "--out", str(tmp_path / "out"), *options)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "4711" not in done.stderr + done.stdout


def test_options_of_shadow_models_are_refused_for_one_training(tmp_path):
    file = tmp_path / "AUDIT.toml"
    file.write_text('[audit]\nkind = "training"\ntrain = "a:b"\ndelta = 1e-5\n')
    done = run_cli("run", str(file), "--resume")
    assert done.exit_code == 2
    assert 'kind = "shadow"' in done.stderr
