"""What commands print: rows of name and value, lists of sentences, JSON. All fits into 80 columns."""

from __future__ import annotations

import json
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer

from mechanisms.json_ready import json_ready

WIDTH = 80
_INDENT = "  "


def print_rows(*rows: tuple[str, str]) -> None:
    """Print names and values in two columns; long values are wrapped under themselves."""
    name_width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        first = f"{name:<{name_width}}"
        typer.echo(textwrap.fill(value, WIDTH, initial_indent=first, subsequent_indent=" " * name_width))


def print_sentences(title: str, sentences: Iterable[str]) -> None:
    """Print a title and a list of sentences below it."""
    typer.echo(f"\n{title}")
    for sentence in sentences:
        typer.echo(textwrap.fill(sentence, WIDTH, initial_indent=f"{_INDENT}- ", subsequent_indent=f"{_INDENT}  "))


def print_json(record: object) -> None:
    """Print a record as strict JSON on stdout."""
    typer.echo(json.dumps(json_ready(record), indent=2, allow_nan=False))


@contextmanager
def warnings_as_sentences() -> Iterator[None]:
    """Print each user warning once, as a sentence on stderr, without the place in the code that gave it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        finally:
            for sentence in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
                typer.echo(f"Warning: {sentence}", err=True)
