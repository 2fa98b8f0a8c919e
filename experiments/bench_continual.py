"""How fast are the continual counters, and how much do they keep, next to jax-privacy's streaming noise and OpenDP's discrete Gaussian?

Peers are `jax-privacy` 2.0.0 and `opendp` 0.16.0, each in an environment of its own (`make coverage`, `make bench` make them). Everyone
runs in a process of its own on one core, in turns, `rounds` times; a time is CPU time, the least of all repeats of all rounds. (Left to
several busy cores, JAX's threads wait for each other, which counts as CPU time: up to twice as much.)

jax-privacy: `matrix_factorization_privatizer` of (prefix sums) C^{-1}, C the BufferedToeplitz of the same m buffers, on a running sum, so
that a step gives what a step of a counter gives: one noisy sum. Its step is jitted, with and without donated state, the faster one
counts; "left on device" doesn't wait for the release, "on host" gives it out before the next step is taken, as a counter must. Its batch
is one jitted `lax.scan`, unrolled 1 or 8 times, the faster one counts. In float32 (what JAX ships as default) and in float64 (what its
BufferedToeplitz asks for). Its noise is Threefry floats from a key, without a rounding; ours is 64 bits of operating-system entropy a
draw, inputs checked, releases rounded so that floats are paid for. Nothing is stored on disk.

Expected: at most 10 us a step at dim 1, where jax-privacy takes 5 times as long; at dim 1,000, where a third of ours is the operating
system's entropy, as long as a step of jax-privacy on host, more than on device, and two to three times its scan; 2^20 steps in a batch
below 2 s; a discrete Gaussian draw of OpenDP takes more than 100 times as long. About five minutes on an idle machine.

Run: python experiments/bench_continual.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from experiments.results_file import write_results
from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.exponential_sums import root_as_exponentials
from mechanisms.noise.source import SecureNoise

ROOT = Path(__file__).parents[1]
JAX_PYTHON = ROOT / ".jax-venv" / "bin" / "python"
OPENDP_PYTHON = ROOT / ".bench-venv" / "bin" / "python"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
Row = dict[str, Any]

JAX = """
import json, resource, sys, time
from importlib.metadata import version
import jax, jax.numpy as jnp, numpy as np
from jax_privacy import noise_addition
from jax_privacy.matrix_factorization import buffered_toeplitz, streaming_matrix
q = json.load(sys.stdin)
jax.config.update("jax_enable_x64", q["dtype"] == "float64")
dim, n, dtype = q["dim"], q["n_steps"], jnp.dtype(q["dtype"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
blt = buffered_toeplitz.BufferedToeplitz.build(q["rate"], q["weight"], dtype=dtype)
noising = streaming_matrix.multiply_streaming_matrices(streaming_matrix.prefix_sum(), blt.inverse_as_streaming_matrix())
def fresh():
    privatizer = noise_addition.matrix_factorization_privatizer(noising, stddev=q["scale"], prng_key=jax.random.key(7))
    return privatizer.update, (jnp.zeros(dim, dtype), privatizer.init(jnp.zeros(dim, dtype)))
def step(state, x):
    total = state[0] + x
    release, noise = update(total, state[1])
    return (total, noise), release
def least(run):
    times = []
    for _ in range(q["repeats"]):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e6 * min(times) / n
x, answer = jnp.ones(dim, dtype), {}
for donated in ((), (0,)):
    update, state = fresh()
    taken = jax.jit(step, donate_argnums=donated)
    def steps(on_host):
        global state
        for _ in range(n):
            state, release = taken(state, x)
            if on_host:
                np.asarray(release)
        jax.block_until_ready(release)
    for name, on_host in (("step_on_host", True), ("step_on_device", False)):
        steps(on_host)
        answer[name] = min(answer.get(name, 1e9), least(lambda: steps(on_host)))
answer["state"] = sum(leaf.size for leaf in jax.tree.leaves(state) if leaf.dtype == dtype) / dim
answer["mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
X = jnp.ones((n, dim), dtype)
for unroll in (1, 8):
    update, state = fresh()
    scan = jax.jit(lambda state, X: jax.lax.scan(step, state, X, unroll=unroll))
    run = lambda: jax.block_until_ready(scan(state, X))
    run()
    answer["batch"] = min(answer.get("batch", 1e9), least(run))
print(json.dumps(answer | {"version": version("jax-privacy")}))
"""
OPENDP = """
import json, sys, time
from importlib.metadata import version
import opendp.prelude as dp
q = json.load(sys.stdin)
dp.enable_features("contrib")
mechanism = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), scale=q["scale"])
zeros, times = [0] * q["size"], []
for _ in range(q["repeats"]):
    start = time.process_time()
    mechanism(zeros)
    times.append(time.process_time() - start)
print(json.dumps({"us": 1e6 * min(times) / q["size"], "version": version("opendp")}))
"""


@dataclass(frozen=True, slots=True)
class Config:
    """What to time: steps are (dim, steps of a repeat)."""

    horizon: int = 2**16
    long: int = 2**20
    dims: tuple[tuple[int, int], ...] = ((1, 8192), (1000, 1024))
    mechanisms: tuple[str, ...] = ("scaled_square_root", "buffered_toeplitz", "tree")
    in_batch: tuple[str, ...] = ("auto", "scaled_square_root", "buffered_toeplitz", "square_root", "tree", "honaker", "smooth", "k_ary")
    scales: tuple[float, ...] = (4.0, 100.0, 1e5)
    size: int = 1_000_000
    peer_size: int = 50_000
    repeats: int = 5
    rounds: int = 3


QUICK = Config(
    long=2**16, dims=((1, 2048), (1000, 128)), mechanisms=("scaled_square_root",), in_batch=("auto",), scales=(4.0,), repeats=2, rounds=1
)


def run(config: Config) -> list[Row]:
    """Return rows of steps, of long batches, of discrete Gaussian draws."""
    return [*_step_rows(config), *_long_rows(config), *_draw_rows(config)]


def _step_rows(config: Config) -> list[Row]:
    root, rows = root_as_exponentials(config.horizon), []
    for dim, n_steps in config.dims:
        common = {"dim": dim, "n_steps": n_steps, "repeats": config.repeats, "horizon": config.horizon}
        peer = common | {"rate": root.rate.tolist(), "weight": root.weight.tolist(), "scale": 2.0}
        best: dict[str, Row] = {}
        for i in range(config.rounds):
            for name in config.mechanisms:
                question = common | {"mechanism": name, "count_bytes": i == 0}
                _keep_least(best, name, _ask([sys.executable, __file__, "--child"], question))
            for dtype in ("float32", "float64"):
                _keep_least(best, f"jax-privacy {dtype}", _ask_peer(JAX_PYTHON, JAX, peer | {"dtype": dtype}))
        of_dim = [{"task": "step", "horizon": config.horizon, "dim": dim, "who": who} | best[who] for who in best]
        rows += [_show(row | _ratios(row, best["jax-privacy float32"])) for row in of_dim]
    return rows


def _ratios(row: Row, peer: Row) -> Row:
    """How many times as long the peer takes: a step given out, a step left on the device, a step of a batch."""
    if row["who"].startswith("jax") or "step_on_host" not in peer:
        return {}
    asked = {"ratio_on_host": ("step_on_host", "step"), "ratio_on_device": ("step_on_device", "step"), "ratio_batch": ("batch", "batch")}
    return {name: peer[theirs] / row[ours] for name, (theirs, ours) in asked.items()}


def measure_counter(question: Row) -> Row:
    """Time one counter in this process: microseconds of `update` and of a step of `release_many`, and what it keeps."""
    dim, n, repeats, horizon, mechanism = (question[name] for name in ("dim", "n_steps", "repeats", "horizon", "mechanism"))
    before = _peak_mb()
    counter = ContinualCounter(max(horizon, 2 * n * (repeats + 2)), rho=0.5, mechanism=mechanism, dim=dim)
    X = np.ones((n, dim), dtype=np.int64)
    inputs = [1] * n if dim == 1 else list(X)

    def steps() -> None:
        for x in inputs:
            counter.update(x)

    steps()
    answer: Row = {"step": _least(steps, repeats, n), "mb": _peak_mb() - before, "state": counter.factorization_.n_state}
    counter.release_many(X)
    answer["batch"] = _least(lambda: counter.release_many(X), repeats, n)
    return answer | ({"kept_per_dim": _kept_bytes(horizon, mechanism) / 8} if question["count_bytes"] else {})


def _kept_bytes(horizon: int, mechanism: str) -> float:
    """Bytes that a counter keeps for each further coordinate after 100 steps: state, scratch space and the block of noise."""

    def kept(dim: int) -> int:
        step = np.ones(dim, dtype=np.int64)
        tracemalloc.start()
        counter = ContinualCounter(horizon, rho=0.5, mechanism=mechanism, dim=dim)
        for _ in range(100):
            counter.update(step)
        bytes_now = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return bytes_now

    return (kept(40_000) - kept(20_000)) / 20_000


def _long_rows(config: Config) -> list[Row]:
    """Seconds to make a counter of a long horizon, and to release it in one batch."""
    rows: list[Row] = []
    x = np.random.default_rng(0).integers(0, 2, config.long)
    for name in config.in_batch:
        made, batch = [], []
        for _ in range(config.rounds):
            start = time.process_time()
            counter = ContinualCounter(config.long, rho=0.5, mechanism=name)
            made.append(time.process_time() - start)
            start = time.process_time()
            counter.release_many(x)
            batch.append(time.process_time() - start)
        row = {"task": "long batch", "horizon": config.long, "who": name, "seconds_to_make": min(made), "seconds": min(batch)}
        rows.append(_show(row))
    return rows


def _draw_rows(config: Config) -> list[Row]:
    source, rows = SecureNoise(), []
    for scale in config.scales:
        source.discrete_gaussian(scale, 10)  # makes the table
        best: dict[str, Row] = {}
        for _ in range(config.rounds):
            us = _least(lambda scale=scale: source.discrete_gaussian(scale, config.size), config.repeats, config.size)
            _keep_least(best, "ours", {"us": us})
            question = {"scale": scale, "size": config.peer_size, "repeats": config.repeats}
            _keep_least(best, "opendp", _ask_peer(OPENDP_PYTHON, OPENDP, question))
        row: Row = {"task": "discrete Gaussian", "scale": scale, "us": best["ours"]["us"], "peer_us": best["opendp"].get("us")}
        rows.append(_show(row | ({"ratio": row["peer_us"] / row["us"]} if row["peer_us"] else {}) | _told(best["opendp"])))
    return rows


def _least(call: Callable[[], object], repeats: int, n: int) -> float:
    """Return the least CPU time of a call, in microseconds for each of n."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e6 * min(times) / n


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _keep_least(best: dict[str, Row], who: str, row: Row) -> None:
    old = best.get(who, {})
    best[who] = old | {name: min(old[name], value) if isinstance(old.get(name), float) else value for name, value in row.items()}


def _told(row: Row) -> Row:
    return {name: row[name] for name in ("version", "peer") if name in row}


def _ask_peer(python: Path, program: str, question: Row) -> Row:
    """Ask a peer; that it is missing or fails is told, not hidden."""
    if not python.exists():
        return {"peer": "not installed"}
    try:
        return _ask([str(python), "-W", "ignore", "-c", program], question)
    except RuntimeError as error:
        return {"peer": f"failed: {error}"}


def _ask(command: list[str], question: Row) -> Row:
    environment = os.environ | ONE_THREAD
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip() or f"ended with {done.returncode}").splitlines()[-1])
    answer: Row = json.loads(done.stdout.splitlines()[-1])
    return answer


def _show(row: Row) -> Row:
    print("  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()), flush=True)
    return row


def main() -> None:
    """Run, print, write results/bench_continual.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="little of everything; writes nothing")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure_counter(json.load(sys.stdin))))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # for this process and all that it asks
    config = QUICK if options.quick else Config()
    rows = run(config)
    if not options.quick:
        rows = [*rows, {"task": "config", **asdict(config)}]
        print(write_results("bench_continual", rows, seed=None, tools=("privacy-audit", "numpy", "scipy")).relative_to(ROOT))


if __name__ == "__main__":
    main()
