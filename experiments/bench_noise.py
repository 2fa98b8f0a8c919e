"""How fast is the protective noise, next to OpenDP's discrete Gaussian and Laplace?

CPU time per element of vectors of `size` draws from operating-system entropy, one thread, the best of `repeats` calls after one that
makes the table; table making is timed apart. The peer is `opendp` from the package index, in an environment of its own (`make bench`
makes it): its `make_gaussian` and `make_laplace` over vectors of i64, exact rejection samplers in Rust, `peer_size` draws, lists in and
out. Without that environment the peer's column says so. Expected: below 0.3 us an element at every scale, the peer tens of us. Two
minutes.

Run: python experiments/bench_noise.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from mechanisms.noise.discrete_gaussian import discrete_gaussian_tv
from mechanisms.noise.discrete_laplace import discrete_laplace_tv
from mechanisms.noise.source import NoiseSource, SecureNoise

ROOT = Path(__file__).parents[1]
PEER_PYTHON = ROOT / ".bench-venv" / "bin" / "python"
PEER = """
import json, sys, time
from importlib.metadata import version
import opendp.prelude as dp
case = json.load(sys.stdin)
dp.enable_features("contrib")
space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64") if case["law"] == "gaussian" else dp.l1_distance(T="i64")
make = dp.m.make_gaussian if case["law"] == "gaussian" else dp.m.make_laplace
mechanism = make(*space, scale=case["scale"])
zeros = [0] * case["size"]
times = []
for _ in range(case["repeats"]):
    start = time.process_time()
    mechanism(zeros)
    times.append(time.process_time() - start)
print(json.dumps({"seconds": min(times), "version": version("opendp")}))
"""


@dataclass(frozen=True, slots=True)
class Config:
    """What to time."""

    scales: tuple[float, ...] = (1.0, 4.0, 100.0, 1e3, 1e5, 1e6, 1e9)
    size: int = 1_000_000
    repeats: int = 5
    peer_size: int = 50_000


def run(config: Config, source: NoiseSource) -> list[dict[str, object]]:
    """Return one row per law and scale."""
    rows: list[dict[str, object]] = [
        {"law": "words", "scale": None, "us": _best(lambda: source.words(config.size), config), "peer_us": None},
        {"law": "normal", "scale": 1.0, "us": _best(lambda: source.normal(1.0, config.size), config), "peer_us": None},
    ]
    for row in rows:
        _show(row)
    laws = {
        "gaussian": (source.discrete_gaussian, discrete_gaussian_tv),
        "laplace": (source.discrete_laplace, discrete_laplace_tv),
    }
    for law, (draw, tv) in laws.items():
        for scale in config.scales:
            start = time.process_time()
            draw(scale)
            table_ms = 1e3 * (time.process_time() - start)
            us = _best(lambda draw=draw, scale=scale: draw(scale, config.size), config)
            row = {"law": law, "scale": scale, "us": us, "table_ms": table_ms, "tv": tv(scale)} | _peer(law, scale, config)
            rows.append(row)
            _show(row)
    return rows


def _best(call: Callable[[], object], config: Config) -> float:
    """Return the least time of a call, in microseconds per element."""
    times = []
    for _ in range(config.repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e6 * min(times) / config.size


def _peer(law: str, scale: float, config: Config) -> dict[str, object]:
    """Run the peer in a process of its own; that it is missing or fails is told, not hidden."""
    if not PEER_PYTHON.exists():
        return {"peer_us": None, "peer": "not installed"}
    question = json.dumps({"law": law, "scale": scale, "size": config.peer_size, "repeats": config.repeats})
    done = subprocess.run([PEER_PYTHON, "-W", "ignore", "-c", PEER], input=question, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        return {"peer_us": None, "peer": f"failed: {done.stderr.strip().splitlines()[-1]}"}
    answer = json.loads(done.stdout.splitlines()[-1])
    return {"peer_us": 1e6 * answer["seconds"] / config.peer_size, "peer": f"opendp {answer['version']}"}


def _show(row: dict[str, object]) -> None:
    peer = f"{row['peer_us']:8.3f} us" if row["peer_us"] is not None else row.get("peer", "")
    print(f"{row['law']:>10} {row['scale'] or 0:10g} {row['us']:8.3f} us {row.get('table_ms', 0):8.1f} ms  {peer}", flush=True)


def main() -> None:
    """Run, print, write results/bench_noise.jsonl."""
    print(f"{'law':>10} {'scale':>10} {'ours':>11} {'table':>11}  {'peer':>11}")
    rows = run(Config(), SecureNoise())
    path = write_results("bench_noise", rows, seed=None, tools=("privacy-audit", "numpy", "scipy"))
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
