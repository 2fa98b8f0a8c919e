"""What do the quick commands cost? Expected: help below 0.2 CPU seconds; `epsilon` below 1.5 s in all.

Each command runs in a fresh process, `repeats` times; CPU seconds (user and system) and wall seconds, medians. Half a minute.

Run: python experiments/bench_command_line.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "bare interpreter": None,
    "--help": ["--help"],
    "epsilon --help": ["epsilon", "--help"],
    "epsilon": ["epsilon", "--tp", "487", "--fp", "512", "--tn", "1", "--fn", "0", "--delta", "1e-5"],
    "account": ["account", "--sample-rate", "0.01", "--noise-multiplier", "1", "--steps", "1000", "--delta", "1e-5"],
}


@dataclass(frozen=True, slots=True)
class Config:
    """How often."""

    repeats: int = 7


def run(config: Config) -> list[dict[str, object]]:
    """Time every command and return one row each."""
    rows: list[dict[str, object]] = []
    for name, arguments in COMMANDS.items():
        times = [_seconds(arguments) for _ in range(config.repeats)]
        cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append({"command": name, "cpu_seconds": round(cpu, 4), "wall_seconds": round(wall, 4)})
    return rows


def _seconds(arguments: list[str] | None) -> tuple[float, float]:
    code = "pass" if arguments is None else "from privacy_audit.cli.main import main; main()"
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *(arguments or [])], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system, wall


def main() -> None:
    """Run, print, write results/bench_command_line.jsonl."""
    rows = run(Config())
    for row in rows:
        print(f"{row['command']:<18} {row['cpu_seconds']:>6} s CPU {row['wall_seconds']:>7} s wall")
    print(write_results("bench_command_line", rows, seed=None, tools=("typer", "numpy", "scipy", "dp-accounting")))


if __name__ == "__main__":
    main()
