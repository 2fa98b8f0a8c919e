"""`privacy-audit evaluate`: how close a synthetic table is to the real one, as a page and a record. NOT private: not to be published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from privacy_audit.report.synthetic_record import TableEvaluation
    from synth.synthesis_record import SynthesisRecord


def evaluate(
    real: Annotated[Path, typer.Argument(help="The sensitive table, .csv or .parquet.", metavar="REAL")],
    synthetic: Annotated[Path, typer.Argument(help="The synthetic table, .csv or .parquet.", metavar="SYNTHETIC")],
    schema: Annotated[Path, typer.Option(help="Declaration of every column, TOML.", metavar="SCHEMA.toml")],
    holdout: Annotated[
        Path | None, typer.Option(help="Real rows that the synthetic table was not made from; models are tested on them.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Column that models trained on either table shall guess.", metavar="COLUMN")] = None,
    model: Annotated[str, typer.Option(help="boosting or logistic.")] = "boosting",
    marginals: Annotated[int, typer.Option(help="Also compare marginals of so many columns.", metavar="K")] = 2,
    ledger: Annotated[Path | None, typer.Option(help="Record that synthesize --ledger wrote.", metavar="FILE.json")] = None,
    out: Annotated[Path, typer.Option(help="Folder for evaluation.html and evaluation.json.", metavar="DIR")] = Path("table-evaluation"),
    seed: Annotated[int, typer.Option(help="Seed of the split and of the models.")] = 0,
    missing: Annotated[
        list[str] | None, typer.Option(help="A cell of a .csv file that means missing, besides an empty one.", metavar="TEXT")
    ] = None,
    ignore_extra: Annotated[bool, typer.Option("--ignore-extra", help="Leave out columns that the schema doesn't have.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")] = False,
) -> None:
    """Compare a synthetic table with the real one, for those who may see the real one: nothing of it is private."""
    from privacy_audit.cli.output import print_json, warnings_as_sentences
    from privacy_audit.cli.table_summary import print_evaluation

    synthesis = None if ledger is None else _read_ledger(ledger, synthetic)
    with warnings_as_sentences():
        found = _evaluated(real, synthetic, schema, holdout, target, model, marginals, synthesis, seed, missing or (), ignore_extra)
    page, record = found.to_html(out / "evaluation.html"), found.to_json(out / "evaluation.json")
    if json:
        print_json(found)
    else:
        print_evaluation(found, page, record)


def _evaluated(
    real: Path,
    synthetic: Path,
    schema_file: Path,
    holdout: Path | None,
    target: str | None,
    model: str,
    marginals: int,
    synthesis: SynthesisRecord | None,
    seed: int,
    missing: Sequence[str],
    ignore_extra: bool,
) -> TableEvaluation:
    from privacy_audit.cli.progress import progress_bar
    from privacy_audit.cli.table_input import read_encoded
    from privacy_audit.report.synthetic_evaluation import evaluate_table
    from synth.schema_file import read_schema

    schema = read_schema(schema_file)
    files = [real, synthetic, *([] if holdout is None else [holdout])]
    with progress_bar() as progress:
        progress(0, 1, "reading")
        tables = [read_encoded(file, schema, missing=missing, ignore_extra=ignore_extra) for file in files]
        return evaluate_table(
            tables[0],
            tables[1],
            schema,
            holdout=tables[2] if holdout is not None else None,
            k=marginals,
            target=target,
            model=model,
            synthesis=synthesis,
            settings={"real": real.name, "synthetic": synthetic.name, "holdout": None if holdout is None else holdout.name, "k": marginals},
            title=f"{synthetic.name} against {real.name}",
            seed=seed,
            progress=progress,
        )


def _read_ledger(ledger: Path, synthetic: Path) -> SynthesisRecord:
    """Return the record of a synthesis, if it is that of this file."""
    from json import JSONDecodeError, loads

    from privacy_audit.cli.table_input import of_file
    from synth.synthesis_record import SynthesisRecord, file_sha256

    with of_file(ledger):
        try:
            content = loads(ledger.read_text(encoding="utf-8"))
        except (JSONDecodeError, UnicodeDecodeError):
            raise ValueError("not JSON; give the file that --ledger wrote") from None
        record = SynthesisRecord.from_dict(content if isinstance(content, dict) else {})
        if record.sha256 is not None and record.sha256 != file_sha256(synthetic):
            raise ValueError(f"this ledger is of another file than {synthetic.name}; give its own, or leave --ledger out")
    return record
