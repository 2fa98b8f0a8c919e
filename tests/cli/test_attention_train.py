"""`privacy-audit attention train`: the folder it leaves, resuming, private runs, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from privacy_audit.cli.attention_train import train
from privacy_audit.training_file import read_training_file
from private_inference.config import PIGPTConfig
from private_inference.training.saved_model import load_model
from private_inference.training.tokenizer import BytePairTokenizer, train_tokenizer

pytest.importorskip("tokenizers")

app = typer.Typer()
app.command()(train)
SMALL = """
seed = 3
[model]
n_layer = 2
n_head = 2
n_embd = 16
block_size = 16
[corpus]
folder = "texts"
vocab_size = 280
[training]
steps = 6
batch_size = 2
eval_every = 3
track_every = 3
n_evaluation = 8
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "texts").mkdir()
    for i in range(6):
        (tmp_path / "texts" / f"{i}.py").write_text(f"def f{i}(x):\n    return x + {i}\n" * 40)

    def write(extra="", base=SMALL):
        file = tmp_path / "CONFIG.toml"
        file.write_text(base + extra)
        return file

    return write


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_it_leaves_a_folder_that_can_be_read(place, tmp_path):
    done = run(place(), "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    out = tmp_path / "out"
    names = {"config.json", "weights.npz", "tokenizer.json", "history.jsonl", "entropy.json", "entropy.png", "record.json"}
    assert names <= {file.name for file in out.iterdir()}
    assert json.loads((out / "record.json").read_text()) == record
    assert record["status"] == "finished"
    assert record["diagnosis"]["bands"]["n_heads"] == 4
    config = PIGPTConfig.from_dict(json.loads((out / "config.json").read_text()))
    model = load_model(out / "weights.npz")
    assert model.config == config
    tokenizer = BytePairTokenizer.load(out / "tokenizer.json")
    assert tokenizer.vocab_size == config.vocab_size
    ids = torch.from_numpy(tokenizer.encode("def f1(x):")[:16].astype(np.int64))[None]
    assert model(ids).shape == (1, ids.shape[1], config.vocab_size)
    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 6]
    assert (out / "entropy.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((out / "entropy.json").read_text())["snapshots"]) == 3


def test_a_second_call_goes_on_and_anew_begins_anew(place, tmp_path):
    first = run(place(), "--out", tmp_path / "out", "--json")
    again = run(place(), "--out", tmp_path / "out", "--json")
    assert first.stdout == again.stdout
    other = place(base=SMALL.replace("seed = 3", "seed = 4"))
    refused = run(other, "--out", tmp_path / "out")
    assert "what differs: seed" in str(refused.exception)
    assert run(other, "--out", tmp_path / "out", "--anew").exit_code == 0


def test_a_summary_for_people(place, tmp_path):
    done = run(place(), "--out", tmp_path / "out")
    assert "finished after 6 steps" in done.stdout
    assert "bits per byte" in done.stdout
    assert "Heads" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_private_run_needs_a_tokenizer_of_public_text(place, tmp_path):
    done = run(place("[private]\nnoise_multiplier = 1.0\ndelta = 1e-3\n"), "--out", tmp_path / "out")
    assert "needs a tokenizer made from public text" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_private_run_states_its_guarantee(place, tmp_path):
    train_tokenizer(["def g(y): return y"], vocab_size=270).save(tmp_path / "public.json")
    base = SMALL.replace("vocab_size = 280", 'tokenizer = "public.json"')
    done = run(place("[private]\nnoise_multiplier = 1.0\ndelta = 1e-3\n", base), "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.exception
    record = json.loads(done.stdout)
    assert record["guarantee"]["privacy_unit"] == "sequence"
    assert record["guarantee"]["neighboring"] == "zero_out"
    assert "digest" not in record["training"]["corpus"]
    assert all(row["train_loss"] is None for row in record["training"]["history"])
    assert not (tmp_path / "out" / "checkpoint.npz").exists()
    for rate, relation in (("", "zero out"), ("sample_rate = 0.01\n", "add/remove")):
        shown = run(place(f"[private]\nnoise_multiplier = 1.0\ndelta = 1e-3\n{rate}", base), "--out", tmp_path / "out")
        assert f"{relation} one sequence" in shown.stdout.replace("\n", " ")


def test_options_stand_for_a_file(place, tmp_path, monkeypatch):
    place()
    done = run(
        "--text", tmp_path / "texts", "--steps", 1, "--vocabulary", 270, "--recipe", "toy_fused", "--out", tmp_path / "out", "--json"
    )
    assert done.exit_code == 0, done.exception
    record = json.loads(done.stdout)
    assert record["model"]["variant"] == "sm_scfuffn"
    assert record["model"]["vocab_size"] == 270
    assert record["n_steps"] == 1
    assert str(run("--vocabulary", 5).exception) == "options: key 'corpus.vocab_size': input should be greater than or equal to 257"
    assert "give either CONFIG.toml, or options" in str(run(place(), "--steps", 1).exception)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[penalty]\nlambda = 1\n", "unknown key 'penalty.lambda'; allowed in this table: enabled, gamma, mode"),
        ("[privat]\nepsilon = 1.0\n", "unknown key 'privat'; allowed in this table: corpus, model"),
        ("[private]\nepsilon = 1.0\n", "key 'private.delta' is missing"),
        ("[private]\nepsilon = -1.0\ndelta = 1e-5\n", "key 'private.epsilon': input should be greater than 0"),
        ("[penalty\n", "CONFIG.toml is not valid TOML"),
    ],
)
def test_files_that_are_wrong(place, extra, message):
    with pytest.raises(ValueError, match="CONFIG.toml") as caught:
        read_training_file(place(extra))
    assert message in str(caught.value)


def test_a_file_changes_parts_of_a_recipe(place):
    named = read_training_file(place("[penalty]\nweight = 0.5\ntheta_init = 0.3\n")).named()
    assert named.penalty is not None
    assert (named.penalty.weight, named.penalty.gamma, named.theta_init) == (0.5, 0.1, 0.3)
    assert (named.recipe.steps, named.recipe.clip) == (6, 1.0)
    assert read_training_file(place("[penalty]\nenabled = false\n")).named().penalty is None
    assert read_training_file(place(base='recipe = "toy_baseline"\n[penalty]\n')).named().penalty is not None
    assert read_training_file(place(base='[model]\nvariant = "sm_relu"\n')).named().variant == "sm_relu"
    with pytest.raises(ValueError, match="recipe must be one of"):
        read_training_file(place(base='recipe = "toy"\n')).named()
