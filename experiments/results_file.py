"""One way to write results: JSON lines, the first one saying with what they were made."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def write_results(name: str, rows: Iterable[Mapping[str, object]], *, seed: int | None, tools: Iterable[str]) -> Path:
    """Write experiments/results/NAME.jsonl: a header with versions and seed, then one line per row."""
    header = {
        "experiment": name,
        "seed": seed,
        "python": platform.python_version(),
        "versions": {tool: version(tool) for tool in tools},
    }
    path = RESULTS / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in (header, *rows)), encoding="utf-8")
    return path


def read_results(name: str) -> list[dict[str, object]]:
    """Return the rows that `write_results` wrote, without the header."""
    lines = (RESULTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]
