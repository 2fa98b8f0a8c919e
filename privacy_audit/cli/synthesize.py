"""`privacy-audit synthesize`: a private synthetic table from a table, a declared schema and a budget.

`--draft SCHEMA.toml` writes a draft of the schema instead, to be checked and signed by a person; nothing else is made then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from synth.private_gsd import PrivateGSDSynthesizer
    from synth.schema import Schema
    from synth.synthesis_record import SynthesisRecord


def synthesize(
    table: Annotated[Path, typer.Argument(help="The sensitive table, .csv or .parquet.", metavar="TABLE")],
    schema: Annotated[Path | None, typer.Option(help="Declaration of every column, TOML.", metavar="SCHEMA.toml")] = None,
    epsilon: Annotated[float | None, typer.Option(help="What the synthetic table may cost, in nats.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the synthetic table is written, .csv or .parquet.")] = None,
    delta: Annotated[float | None, typer.Option(help="Default 1/n^2 for replace; must be given for add_remove.")] = None,
    neighboring: Annotated[
        str, typer.Option(help="replace: a row becomes another one, the number of rows is public; add_remove: it is secret.")
    ] = "replace",
    mode: Annotated[str, typer.Option(help="auto, one_shot or adaptive.")] = "auto",
    rows: Annotated[int | None, typer.Option(help="Rows of the synthetic table; default as many as the real one has.")] = None,
    marginals: Annotated[int, typer.Option(help="How many columns together shall be right.", metavar="K")] = 2,
    ledger: Annotated[Path | None, typer.Option(help="Where the record of what was spent is written.", metavar="FILE.json")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the optimizer; never of the noise that protects rows.")] = None,
    missing: Annotated[
        list[str] | None, typer.Option(help="A cell of a .csv file that means missing, besides an empty one.", metavar="TEXT")
    ] = None,
    ignore_extra: Annotated[bool, typer.Option("--ignore-extra", help="Leave out columns that the schema doesn't have.")] = False,
    draft: Annotated[
        Path | None, typer.Option(help="Only draft a schema by looking at TABLE, to be checked and signed.", metavar="SCHEMA.toml")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")] = False,
) -> None:
    """Make a private synthetic table; every run on the same rows spends its epsilon again."""
    if draft is not None:
        if schema is not None or epsilon is not None or out is not None:
            raise ValueError("--draft only writes a draft of a schema; give it alone, then sign the draft")
        _write_draft(table, draft, missing or ())
        return
    if schema is None or epsilon is None or out is None:
        absent = [name for name, value in (("--schema", schema), ("--epsilon", epsilon), ("--out", out)) if value is None]
        raise ValueError(f"{', '.join(absent)} must be given; --draft SCHEMA.toml drafts a schema")
    from privacy_audit.cli.table_input import read_declared
    from synth.schema_file import read_schema

    _require_places(table, schema, out, ledger)
    declared = read_schema(schema)
    unfitted = _synthesizer(declared, epsilon, delta, neighboring, mode, rows, marginals, seed)
    content = read_declared(table, declared, missing=missing or (), ignore_extra=ignore_extra)
    record = _run(unfitted, content, table, out, f"all marginals of {marginals} column{'s' * (marginals > 1)}")
    _report(record, out, ledger, json=json)


def _write_draft(table: Path, draft: Path, missing: Sequence[str]) -> None:
    import textwrap

    from privacy_audit.cli.output import WIDTH
    from privacy_audit.cli.table_input import of_file, require_writable
    from synth.draft import infer_schema
    from synth.table_files import read_table

    require_writable(draft, "--draft", suffixes=(".toml",), inputs=[table])
    if draft.exists():
        raise ValueError(f"{draft} exists already, and may be signed; remove it, or take another name")
    with of_file(table):
        drafted = infer_schema(read_table(table, missing=("", *missing)))
    drafted.write(draft)
    told = [f"{draft}: {len(drafted.columns)} columns drafted by looking at the data; it is not public, and no schema yet."]
    told += [f"left out: {name!r}, {reason}" for name, reason in drafted.left_out]
    told.append("Compare every line with public knowledge, change what comes from the rows only, put your name into signed_by.")
    for sentence in told:
        typer.echo(textwrap.fill(sentence, WIDTH, subsequent_indent="  "))


def _require_places(table: Path, schema: Path, out: Path, ledger: Path | None) -> None:
    from privacy_audit.cli.table_input import SUFFIXES, require_writable

    require_writable(out, "--out", suffixes=SUFFIXES, inputs=[table, schema])
    if ledger is not None:
        require_writable(ledger, "--ledger", suffixes=(".json",), inputs=[table, schema, out])


def _synthesizer(
    schema: Schema,
    epsilon: float,
    delta: float | None,
    neighboring: str,
    mode: str,
    rows: int | None,
    marginals: int,
    seed: int | None,
) -> PrivateGSDSynthesizer:
    from mechanisms.guarantee import Neighboring
    from mechanisms.validation import one_of, whole_number
    from synth.private_gsd import PrivateGSDSynthesizer
    from synth.queries.marginals import Marginals

    return PrivateGSDSynthesizer(
        epsilon,
        delta,
        schema,
        workload=Marginals(k=whole_number(1, marginals=marginals)),
        neighboring=Neighboring(one_of(("replace", "add_remove"), neighboring=neighboring)),
        mode=mode,
        n_synthetic=rows,
        random_state=None if seed is None else whole_number(0, seed=seed),
    )


def _run(synthesizer: PrivateGSDSynthesizer, content: pa.Table, table: Path, out: Path, workload: str) -> SynthesisRecord:
    """Fit, write the table, return the record."""
    from privacy_audit.audits.provenance import versions
    from privacy_audit.cli.output import warnings_as_sentences
    from privacy_audit.cli.progress import progress_bar
    from privacy_audit.cli.table_input import of_file
    from synth.synthesis_record import file_sha256, synthesis_record
    from synth.table_files import write_table

    with warnings_as_sentences(), progress_bar() as progress:
        progress(0, 1, "counting")
        synthesizer.set_params(progress=progress)
        with of_file(table):
            synthesizer.fit(content)
    write_table(synthesizer.sample(), out)
    return synthesis_record(
        synthesizer, workload=workload, versions=versions("privacy-audit", "numpy", "numba", "pyarrow"), sha256=file_sha256(out)
    )


def _report(record: SynthesisRecord, out: Path, ledger: Path | None, *, json: bool) -> None:
    from privacy_audit.cli.output import print_json
    from privacy_audit.cli.table_summary import print_synthesis

    if ledger is not None:
        from json import dumps

        from mechanisms.whole_file import write_whole

        write_whole(ledger, dumps(record.to_dict(), indent=2, allow_nan=False).encode() + b"\n")
    if json:
        print_json(record)
    else:
        print_synthesis(record, out, ledger)
