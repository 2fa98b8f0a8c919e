"""`privacy-audit run`, `demo` and `preflight`."""

import json

import pytest

from tests.cli.running import run_cli

SURE = 1 - 1e-5  # a sound run is called broken with probability 1e-5

TRAINING = """
from dataclasses import replace
from experiments.planted_engine import Setting, train as train_digits

def train(probe):
    train_digits(probe, Setting(steps=30))

def broken(probe):
    train_digits(probe, Setting(steps=2))
    raise KeyError("secret record 4711")

def forgetful(probe):
    pass

def tampered(probe):
    train_digits(probe, Setting(bug="noise_x_0.5", steps=60))
"""


@pytest.fixture
def audit_file(tmp_path, request):
    name = f"training_of_{request.node.name.split('[')[0]}"
    (tmp_path / f"{name}.py").write_text(TRAINING)

    def write(function="train", extra=""):
        file = tmp_path / "AUDIT.toml"
        file.write_text(
            f'[audit]\nkind = "training"\ntrain = "{name}:{function}"\ndelta = 1e-9\nn_canaries = 200\nlevel = {SURE}\nseed = 1\n{extra}'
        )
        return file

    return write


def test_run_writes_page_and_record(audit_file, tmp_path):
    file = audit_file(extra='[nist]\n"trust model" = "central"\n')
    done = run_cli("run", str(file), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "out" / "report.html").exists()
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert facts["settings"]["nist.trust model"] == "central"
    assert facts["verdict"].upper() in done.stdout


def test_json_prints_the_record_and_nothing_else(audit_file, tmp_path):
    done = run_cli("run", str(audit_file()), "--out", str(tmp_path / "out"), "--json")
    assert json.loads(done.stdout)["schema_version"] == 1


def test_a_broken_engine_exits_with_1(audit_file, tmp_path):
    done = run_cli("run", str(audit_file("tampered")), "--out", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert "noise scale" in done.stdout


def test_a_training_function_that_fails_leaves_no_report(audit_file, tmp_path):
    done = run_cli("run", str(audit_file("broken")), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "failed with KeyError; no report was written" in done.stderr
    assert "4711" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_traceback_shows_why(audit_file, tmp_path):
    done = run_cli("run", str(audit_file("broken")), "--out", str(tmp_path / "out"), "--traceback")
    assert done.exit_code == 2
    assert "in broken" in done.stderr


def test_a_training_function_that_ignores_the_probe(audit_file, tmp_path):
    done = run_cli("run", str(audit_file("forgetful")), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "probe.wrap" in done.stderr


def test_unknown_keys_are_named(audit_file):
    done = run_cli("run", str(audit_file(extra="[claims]\nepsilon = 1\n")))
    assert done.exit_code == 2
    assert "unknown key 'claims'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_file(tmp_path):
    done = run_cli("run", str(tmp_path / "none.toml"))
    assert done.exit_code == 2
    assert "none.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_quick(tmp_path):
    done = run_cli("demo", "--quick", "--out", str(tmp_path))
    assert done.exit_code == 0, done.stderr
    assert "correct on 297 others" in done.stdout
    assert (tmp_path / "report.html").exists()
    assert max(map(len, done.stdout.replace(str(tmp_path), "").splitlines())) <= 80


def test_preflight(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "an_engine.py").write_text(
        "import torch\nfrom opacus import PrivacyEngine\nfrom torch.utils.data import DataLoader, TensorDataset\n\n"
        "def engine(n=960, poisson=True):\n"
        "    net = torch.nn.Linear(8, 2)\n"
        "    data = TensorDataset(torch.rand(n, 8), torch.zeros(n, dtype=torch.long))\n"
        "    return PrivacyEngine().make_private(module=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1),\n"
        "        data_loader=DataLoader(data, batch_size=64), noise_multiplier=1.0, max_grad_norm=1.0, poisson_sampling=poisson)\n\n"
        "def shuffled():\n    return engine(965, False)\n\n"
        "def sound():\n    return engine(965)\n\n"
        "def wrong():\n    return 7\n"
    )
    sound = run_cli("preflight", "an_engine:sound")
    assert (sound.exit_code, sound.stdout.strip()) == (0, "nothing found")
    assert run_cli("preflight", "an_engine:engine", "--steps", "100").exit_code == 1
    assert run_cli("preflight", "an_engine:engine", "--fixed-normalizer").exit_code == 0
    shuffled = run_cli("preflight", "an_engine:shuffled", "--json")
    assert json.loads(shuffled.stdout)[0]["name"] == "not_poisson"
    wrong = run_cli("preflight", "an_engine:wrong")
    assert wrong.exit_code == 2
    assert "must return (module, optimizer, loader)" in wrong.stderr
