"""`privacy-audit synthesize`: table, record, ledger; drafts; bad input in one sentence that shows no cell and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth.schema_file import read_schema
from synth.synthesis_record import SynthesisRecord, file_sha256
from synth.table_files import read_table
from tests.cli.running import Done, run_cli
from tests.cli.table_files import SCHEMA, SECRET, write_files


def made(tmp_path: Path, *arguments: str, out: str = "made.csv") -> Done:
    table, schema = write_files(tmp_path)
    return run_cli("synthesize", table, "--schema", schema, "--epsilon", "2", "--out", str(tmp_path / out), *arguments)


def test_table_summary_and_ledger(tmp_path: Path):
    done = made(tmp_path, "--ledger", str(tmp_path / "ledger.json"), "--seed", "1")
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "epsilon 2 at delta 2.5e-05, replace neighbors, one record" in done.stdout
    assert "200 real (public), 200 synthetic; 3 columns" in done.stdout
    assert "Every further run on the same rows spends its epsilon again." in done.stdout
    table = read_table(tmp_path / "made.csv", read_schema(tmp_path / "schema.toml"))
    assert table.column_names == ["smokes", "age", "dose"]
    assert table.num_rows == 200
    record = SynthesisRecord.from_dict(json.loads((tmp_path / "ledger.json").read_text()))
    assert record.spent <= record.rho * (1 + 1e-9)
    assert record.sha256 == file_sha256(tmp_path / "made.csv")
    assert (record.guarantee.epsilon, record.columns, record.workload) == (2.0, ("smokes", "age", "dose"), "all marginals of 2 columns")
    assert {"python", "privacy-audit", "numpy"} <= record.versions.keys()


def test_json_prints_the_record_and_nothing_else(tmp_path: Path):
    done = made(tmp_path, "--json", "--ledger", str(tmp_path / "ledger.json"))
    assert done.exit_code == 0
    assert json.loads(done.stdout) == json.loads((tmp_path / "ledger.json").read_text())


def test_other_settings(tmp_path: Path):
    settings = ("--neighboring", "add_remove", "--delta", "1e-6", "--rows", "50", "--marginals", "1", "--mode", "one_shot", "--json")
    done = made(tmp_path, *settings, out="made.parquet")
    record = SynthesisRecord.from_dict(json.loads(done.stdout))
    assert read_table(tmp_path / "made.parquet").num_rows == record.n_synthetic == 50
    assert (record.guarantee.neighboring.value, record.guarantee.delta, record.mode) == ("add_remove", 1e-6, "one_shot")
    assert (record.noise_ratio, record.workload) == (None, "all marginals of 1 column")
    assert {entry.step for entry in record.ledger} == {"marginal smokes", "marginal age", "marginal dose"}


def test_a_seed_does_not_make_noise_predictable(tmp_path: Path):
    """False alarm: two independent draws of some thirty noisy counts agree; below 1e-9."""
    for name in ("first.csv", "second.csv"):
        assert made(tmp_path, "--seed", "1", out=name).exit_code == 0
    assert (tmp_path / "first.csv").read_bytes() != (tmp_path / "second.csv").read_bytes()


def test_extra_columns_are_left_out_on_request_only(tmp_path: Path):
    table, schema = write_files(tmp_path)
    lines = Path(table).read_text().splitlines()
    wider = tmp_path / "wider.csv"
    wider.write_text("\n".join([f"{lines[0]},name", *(f"{line},{SECRET}" for line in lines[1:])]) + "\n")
    arguments = ("synthesize", str(wider), "--schema", schema, "--epsilon", "1", "--out", str(tmp_path / "made.csv"))
    done = run_cli(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "Error: wider.csv: the schema lacks column 'name'; declare, or leave out with --ignore-extra\n"
    assert run_cli(*arguments, "--ignore-extra").exit_code == 0
    assert SECRET not in (tmp_path / "made.csv").read_text()


def test_missing_cells_may_have_a_word(tmp_path: Path):
    table, schema = write_files(tmp_path)
    Path(table).write_text(Path(table).read_text().replace(",\n", ",NA\n"))
    arguments = ("synthesize", table, "--schema", schema, "--epsilon", "1", "--out", str(tmp_path / "made.csv"))
    done = run_cli(*arguments)
    assert done.exit_code == 2
    assert done.stderr == "Error: real.csv: column 'dose' has cells that are no numbers\n"
    assert run_cli(*arguments, "--missing", "NA").exit_code == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("upper = 99", "column 'age' lacks 'upper'; declare it from public knowledge, or buy it with budget"),
        ('categories = ["no", "yes"]', "column 'smokes' lacks 'categories'; declare it from public knowledge, or buy it with budget"),
    ],
)
def test_a_missing_bound_names_the_column_and_what_to_do(line: str, words: str, tmp_path: Path):
    table, schema = write_files(tmp_path)
    Path(schema).write_text(SCHEMA.replace(line, ""))
    done = run_cli("synthesize", table, "--schema", schema, "--epsilon", "1", "--out", str(tmp_path / "made.csv"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (f"{SECRET},30,1.0", "real.csv: column 'smokes' holds a value that is not among its categories"),
        (f"no,{SECRET},1.0", "real.csv: column 'age' has cells that are no numbers"),
        ("no,31337.5,1.0", "real.csv: column 'age' holds fractions"),
        ("no,,1.0", "real.csv: column 'age' has missing values"),
        ("no,30,inf", "real.csv: column 'dose' holds infinite numbers"),
        (f"no,30,1.0,{SECRET}", "real.csv is no CSV table"),
    ],
)
def test_bad_cells_leave_with_2_and_are_not_shown(row: str, words: str, tmp_path: Path):
    table, schema = write_files(tmp_path)
    with Path(table).open("a") as file:
        file.write(row + "\n")
    done = run_cli("synthesize", table, "--schema", schema, "--epsilon", "1", "--out", str(tmp_path / "made.csv"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not any(secret in done.stderr for secret in (SECRET, "31337"))
    assert not (tmp_path / "made.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--epsilon", "0"), "epsilon must be positive"),
        (("--delta", "1.5"), "delta must be in (0, 1), got 1.5"),
        (("--mode", "best"), "mode must be one of 'auto', 'one_shot', 'adaptive'"),
        (("--neighboring", "zero_out"), "neighboring must be one of 'replace', 'add_remove'"),
        (("--neighboring", "add_remove"), "delta must be given under add_remove"),
        (("--rows", "0"), "n_synthetic must be a whole number >= 1"),
        (("--marginals", "0"), "marginals must be a whole number >= 1"),
        (("--marginals", "4"), "k must be at most the number of columns, 3"),
        (("--marginals", "3", "--mode", "adaptive"), "mode 'adaptive' chooses among pairs"),
        (("--seed", "-1"), "seed must be a whole number >= 0"),
        (("--out", "made.txt"), "--out must end in .csv or .parquet, got 'made.txt'"),
        (("--out", "nowhere/made.csv"), "--out: there is no folder nowhere"),
        (("--ledger", "ledger.csv"), "--ledger must end in .json"),
        (("--schema", "nothing.toml"), "no such file: nothing.toml"),
        (("--draft", "draft.toml"), "--draft only writes a draft"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_settings_leave_with_2(arguments: tuple[str, ...], words: str, tmp_path: Path):
    done = made(tmp_path, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "made.csv").exists()


def test_what_is_read_is_not_written_over(tmp_path: Path):
    table, schema = write_files(tmp_path)
    before = Path(table).read_bytes()
    for option, path in (("--out", table), ("--ledger", str(tmp_path / "made.csv"))):
        arguments = {"--out": str(tmp_path / "made.csv"), "--ledger": str(tmp_path / "ledger.json")} | {option: path}
        done = run_cli("synthesize", table, "--schema", schema, "--epsilon", "1", *(word for pair in arguments.items() for word in pair))
        assert done.exit_code == 2
        assert len(done.stderr.splitlines()) == 1
    assert Path(table).read_bytes() == before
    (tmp_path / "folder.csv").mkdir()
    done = made(tmp_path, out="folder.csv")
    assert "is a folder" in done.stderr


def test_what_is_needed_is_named(tmp_path: Path):
    table, schema = write_files(tmp_path)
    done = run_cli("synthesize", table, "--schema", schema)
    assert (done.exit_code, done.stderr) == (2, "Error: --epsilon, --out must be given; --draft SCHEMA.toml drafts a schema\n")
    done = run_cli("synthesize", str(tmp_path / "x.csv"), "--schema", schema, "--epsilon", "1", "--out", str(tmp_path / "made.csv"))
    assert (done.exit_code, done.stderr) == (2, f"Error: no such file: {tmp_path / 'x.csv'}\n")


def test_a_draft_is_written_signed_and_used(tmp_path: Path):
    table, _ = write_files(tmp_path)
    lines = Path(table).read_text().splitlines()
    Path(table).write_text("\n".join([f"{lines[0]},name", *(f"{line},{SECRET}{k}" for k, line in enumerate(lines[1:]))]) + "\n")
    draft = tmp_path / "draft.toml"
    done = run_cli("synthesize", table, "--draft", str(draft))
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80 or len(str(draft)) > 40
    assert "3 columns drafted by looking at the data" in " ".join(done.stdout.split())
    assert "left out: 'name', it looks like free text" in " ".join(done.stdout.split())
    assert SECRET not in done.stdout + draft.read_text()
    use = ("synthesize", table, "--schema", str(draft), "--epsilon", "1", "--out", str(tmp_path / "made.csv"), "--ignore-extra")
    refused = run_cli(*use)
    assert refused.exit_code == 2
    assert "draft.toml: this draft is not signed" in refused.stderr
    draft.write_text(draft.read_text().replace('signed_by = ""', 'signed_by = "A. Steward"'))
    assert run_cli(*use).exit_code == 0
    again = run_cli("synthesize", table, "--draft", str(draft))
    assert again.exit_code == 2
    assert "exists already, and may be signed" in again.stderr
    assert "A. Steward" in draft.read_text()
    assert "--draft must end in .toml" in run_cli("synthesize", table, "--draft", str(tmp_path / "draft.txt")).stderr
