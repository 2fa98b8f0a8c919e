"""`privacy-audit evaluate`: page, record and summary; the ledger must be the table's own; bad input shows no cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth.encode import encode
from synth.evaluate import NOT_PRIVATE, workload_error
from synth.schema_file import read_schema
from synth.table_files import read_table
from tests.cli.running import Done, run_cli
from tests.cli.table_files import SECRET, write_files


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Paths of a real table, a synthetic one, a holdout and the schema."""
    real, schema = write_files(tmp_path)
    return {
        "real": real,
        "schema": schema,
        "synthetic": write_files(tmp_path, n=150, seed=1, name="synthetic.csv")[0],
        "holdout": write_files(tmp_path, n=100, seed=2, name="holdout.csv")[0],
    }


def evaluated(files: dict[str, str], *arguments: str) -> Done:
    folder = Path(files["real"]).parent / "out"
    return run_cli("evaluate", files["real"], files["synthetic"], "--schema", files["schema"], "--out", str(folder), *arguments)


def test_page_record_and_summary(files: dict[str, str], tmp_path: Path):
    done = evaluated(files, "--holdout", files["holdout"], "--target", "smokes", "--model", "logistic", "--marginals", "3")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "NOT PRIVATE: computed from the real table without noise; not to be published"
    assert max(len(line) for line in lines if not line.startswith("  ")) <= 80
    assert "200 real, 150 synthetic; 3 columns" in done.stdout
    for name in ("single columns", "pairs of columns", "3 columns together", "Holdout", "Independent columns", "Fresh sample"):
        assert name in done.stdout
    assert "logistic, tested on 100 rows (holdout)" in done.stdout
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    schema = read_schema(files["schema"])
    tables = [encode(read_table(files[name], schema), schema) for name in ("real", "synthetic")]
    assert record["errors"]["2"] == workload_error(*tables, schema=schema).to_dict()
    assert (record["private"], record["note"]) == (False, NOT_PRIVATE)
    assert f"{record['errors']['2']['avg_tv']:.4f}" in done.stdout
    assert record["settings"] == {"real": "real.csv", "synthetic": "synthetic.csv", "holdout": "holdout.csv", "k": 3}
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "synthetic.csv against real.csv" in page
    assert "Not to be published" in page


def test_json_prints_the_record_and_nothing_else(files: dict[str, str], tmp_path: Path):
    done = evaluated(files, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "evaluation.json").read_text())


def test_equal_tables_have_no_error(files: dict[str, str]):
    done = evaluated(files | {"synthetic": files["real"]}, "--json")
    errors = json.loads(done.stdout)["errors"]
    assert errors["1"]["max_tv"] == errors["2"]["max_tv"] == 0


def test_a_synthesis_is_evaluated_with_its_own_ledger_only(files: dict[str, str], tmp_path: Path):
    made, ledger = str(tmp_path / "made.parquet"), str(tmp_path / "ledger.json")
    assert (
        run_cli("synthesize", files["real"], "--schema", files["schema"], "--epsilon", "3", "--out", made, "--ledger", ledger).exit_code
        == 0
    )
    done = evaluated(files | {"synthetic": made}, "--ledger", ledger)
    assert "made with epsilon 3 at delta 2.5e-05, replace neighbors" in done.stdout
    assert "epsilon <strong>3</strong>" in (tmp_path / "out" / "evaluation.html").read_text()
    other = evaluated(files, "--ledger", ledger)
    assert (other.exit_code, other.stdout) == (2, "")
    assert "ledger.json: this ledger is of another file than synthetic.csv" in other.stderr


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"kind": "synthesis", "schema_version": 1}', "\xff"])
def test_another_file_is_no_ledger(content: str, files: dict[str, str], tmp_path: Path):
    (tmp_path / "ledger.json").write_bytes(content.encode("latin-1"))
    done = evaluated(files, "--ledger", str(tmp_path / "ledger.json"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "give the file that --ledger wrote" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "nothing"), "target 'nothing' is not in the schema"),
        (("--target", "dose"), "target 'dose' must be a categorical or ordinal column"),
        (("--target", "smokes", "--model", "forest"), "model must be one of"),
        (("--marginals", "4"), "k must be at most the number of columns, 3"),
        (("--marginals", "0"), "k must be a whole number >= 1"),
        (("--target", "smokes", "--seed", "-1"), "seed must be a whole number >= 0"),
        (("--holdout", "nothing.csv"), "no such file: nothing.csv"),
        (("--ledger", "nothing.json"), "No such file or directory: nothing.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_settings_leave_with_2_and_write_nothing(arguments: tuple[str, ...], words: str, files: dict[str, str], tmp_path: Path):
    done = evaluated(files, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("which", ["real", "synthetic", "holdout"])
def test_a_bad_cell_names_file_and_column_and_is_not_shown(which: str, files: dict[str, str]):
    with Path(files[which]).open("a") as file:
        file.write(f"{SECRET},30,1.0\n")
    done = evaluated(files, "--holdout", files["holdout"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{which}.csv: column 'smokes' holds a value that is not among its categories" in done.stderr
    assert SECRET not in done.stderr


def test_a_column_that_is_not_there_is_named(files: dict[str, str], tmp_path: Path):
    (tmp_path / "narrow.csv").write_text("smokes,age\nno,3\n")
    done = evaluated(files | {"synthetic": str(tmp_path / "narrow.csv")})
    assert (done.exit_code, done.stderr) == (2, "Error: narrow.csv: column 'dose' of the schema not found\n")


def test_extra_columns_and_words_for_missing(files: dict[str, str], tmp_path: Path):
    lines = Path(files["real"]).read_text().replace(",\n", ",NA\n").splitlines()
    Path(files["real"]).write_text("\n".join([f"{lines[0]},name", *(f"{line},{SECRET}" for line in lines[1:])]) + "\n")
    assert "column 'dose' has cells that are no numbers" in evaluated(files).stderr
    assert "--ignore-extra" in evaluated(files, "--missing", "NA").stderr
    assert evaluated(files, "--ignore-extra", "--missing", "NA").exit_code == 0
    for name in ("evaluation.html", "evaluation.json"):
        assert SECRET not in (tmp_path / "out" / name).read_text()
