"""Runs one model under secure computation. Started by `private_inference.engine.run` with the engine's own interpreter.

Run: PYTHON -I driver.py QUESTION ANSWER

QUESTION is an npz file: `known`, a JSON text of what everybody knows, `x` (B, T, d), and arrays `secret/0/query`, `public/0/skip_gain`
and so on. ANSWER becomes one with the output, (B, T, d) or (B, T, V), and the engine's version. All parties are threads of this process
and talk through memory; the engine writes the first party's bytes and messages to its log, on standard output.

Secret: x and every weight. Public: shapes, masks, and one to three scales a block, which cost a truncation instead of a product.

    rows          A = score(c Q K^T) over the keys j <= i
    packing nb    queries are cut into nb pieces of m; piece k needs its first (k + 1) m keys only: (nb + 1)/(2 nb) of the logits are left
      one_by_one  pieces are scored one after another: nb times the messages
      at_once     pieces are cut into nb (nb + 1)/2 chunks of (m, m) and scored together: only the products of matrices are repeated

Masks: the stock softmax gets a public -100 on hidden keys, so a row's logits must stay within about 90 of each other; -20 is too little for
trained heads, and (1 + x / 2^8)^(2^8) grows again below -2^9. The other scores leave hidden keys out by a public choice, which sends
nothing and has no such limit.

Nothing of this project is imported here, and nothing imports this file: the main environment has no jax.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING or __name__ == "__main__":
    import jax
    import jax.numpy as jnp
    import spu
    from jax import Array
    from spu import libspu
    from spu.utils import frontend

HIDDEN = -100.0
QUAD_SHIFT = 5.0
LAYER_NORM_EPSILON = 1e-5
N_PARTIES = {"SEMI2K": 2, "CHEETAH": 2, "ABY3": 3}


@dataclass(frozen=True)
class Block:
    """What everybody knows of a block; the fields are those of `cost.execution` and `cost.block_parts`."""

    n_head: int
    score: str
    packing: int
    packing_layout: str
    projections: str
    attention_norm: bool
    scaled: str
    product: bool
    feedforward: str
    activation: str
    feedforward_norm: bool
    gains: bool


@dataclass(frozen=True)
class Grid:
    """Chunks of logits, (B H, chunks, m, n_keys), that are scored at once; some chunks are parts of the same rows.

    Parameters
    ----------
    places : piece of queries and first key of each chunk.
    m, n_keys : queries and keys of a chunk.
    """

    places: tuple[tuple[int, int], ...]
    m: int
    n_keys: int

    @property
    def seen(self) -> np.ndarray:
        """Return how many keys each query sees, (chunks, m, 1)."""
        return np.array([piece * self.m for piece, _ in self.places])[:, None, None] + np.arange(1, self.m + 1)[:, None]

    @property
    def allowed(self) -> np.ndarray:
        """Return which keys a query sees, (chunks, m, n_keys)."""
        return np.array([key for _, key in self.places])[:, None, None] + np.arange(self.n_keys) < self.seen

    def first_logit(self, logits: Array) -> Array:
        """Return the logit of each row's first key, (B H, chunks, m, 1): a key that every query sees."""
        firsts = {piece: logits[:, place, :, :1] for place, (piece, key) in enumerate(self.places) if key == 0}
        return jnp.stack([firsts[piece] for piece, _ in self.places], axis=1)

    def row_sum(self, x: Array) -> Array:
        """Return each row's sum, (B H, pieces, m)."""
        return jnp.stack([sum(parts[1:], parts[0]) for parts in self._rows(jnp.sum(x, axis=-1)).values()], axis=1)

    def row_max(self, x: Array) -> Array:
        """Return each row's maximum, (B H, pieces, m): a tree, each level of which is one comparison for all rows."""
        rows = self._rows(jnp.max(x, axis=-1))
        while any(len(parts) > 1 for parts in rows.values()):
            pairs = [(piece, parts[at : at + 2]) for piece, parts in rows.items() for at in range(0, len(parts) - 1, 2)]
            left, right = (jnp.stack([pair[side] for _, pair in pairs], axis=1) for side in (0, 1))
            larger = jnp.maximum(left, right)
            rows = {piece: parts[len(parts) - len(parts) % 2 :] for piece, parts in rows.items()}
            for place, (piece, _) in enumerate(pairs):
                rows[piece].append(larger[:, place])
        return jnp.stack([parts[0] for parts in rows.values()], axis=1)

    def spread(self, rows: Array) -> Array:
        """Return a number of each row, (B H, pieces, m), for each of its chunks, (B H, chunks, m, 1)."""
        pieces = list(dict.fromkeys(piece for piece, _ in self.places))
        return jnp.stack([rows[:, pieces.index(piece)] for piece, _ in self.places], axis=1)[..., None]

    def _rows(self, chunks: Array) -> dict[int, list[Array]]:
        rows: dict[int, list[Array]] = {}
        for place, (piece, _) in enumerate(self.places):
            rows.setdefault(piece, []).append(chunks[:, place])
        return rows


def grids_of(length: int, packing: int, packing_layout: str) -> list[Grid]:
    """Return what is scored one after another; packing divides the length."""
    m = length // packing
    if packing_layout == "at_once":
        return [Grid(tuple((piece, key * m) for piece in range(packing) for key in range(piece + 1)), m, m)]
    return [Grid(((piece, 0),), m, (piece + 1) * m) for piece in range(packing)]


def scored(name: str, logits: Array, grid: Grid, public: dict[str, Array]) -> Array:
    """Return the weights of a grid's logits."""
    allowed = grid.allowed
    if name == "softmax":
        return jax.nn.softmax(logits + np.where(allowed, 0.0, HIDDEN).astype(np.float32), axis=-1)
    if name == "softmax_rr":
        shown = jnp.where(allowed, logits, grid.first_logit(logits))  # leaves the row's maximum as it is
        return over_row_sum(jnp.where(allowed, jnp.exp(shown - grid.spread(grid.row_max(shown))), 0.0), grid)
    if name == "softmax_shift":
        shown = jnp.where(allowed, logits, public["shift"])
        return over_row_sum(jnp.where(allowed, jnp.exp(shown - public["shift"]), 0.0), grid)
    if name == "quad2":
        return over_row_sum(jnp.where(allowed, jnp.square(logits + QUAD_SHIFT), 0.0), grid)
    if name == "sigmoid":
        return jnp.where(allowed, jax.nn.sigmoid(logits - np.log(grid.seen).astype(np.float32)), 0.0)
    kept = jnp.maximum(logits, 0.0) if name == "relu_over_n" else logits
    return jnp.where(allowed, kept, 0.0) * (1.0 / grid.seen).astype(np.float32)


def over_row_sum(weights: Array, grid: Grid) -> Array:
    """Return weights over their row's sum, by one reciprocal a row."""
    return weights * grid.spread(jnp.reciprocal(grid.row_sum(weights)))


def mixed(q: Array, k: Array, v: Array, public: dict[str, Array], block: Block) -> Array:
    """Return A V of all heads, (B H, T, d_k)."""
    m = q.shape[1] // block.packing
    pieces = [jnp.matmul(q[:, p * m : (p + 1) * m], jnp.swapaxes(k[:, : (p + 1) * m], 1, 2)) for p in range(block.packing)]
    weights: dict[int, list[Array]] = {}
    for grid in grids_of(q.shape[1], block.packing, block.packing_layout):
        logits = jnp.stack([pieces[piece][..., key : key + grid.n_keys] for piece, key in grid.places], axis=1)
        logits = logits * public["logit_scale"] if block.scaled == "logits" else logits
        chunks = scored(block.score, logits, grid, public)
        for place, (piece, _) in enumerate(grid.places):
            weights.setdefault(piece, []).append(chunks[:, place])
    rows = [jnp.matmul(jnp.concatenate(parts, axis=-1), v[:, : (piece + 1) * m]) for piece, parts in weights.items()]
    return jnp.concatenate(rows, axis=1)


def attention(x: Array, secret: dict[str, Array], public: dict[str, Array], block: Block) -> Array:
    """Return MHA(x), (B, T, d)."""
    batch, length, d = x.shape
    q, k, v = (jnp.swapaxes(part.reshape(batch, length, block.n_head, -1), 1, 2) for part in projected(x, secret, block))
    q = q * public["query_scale"] if block.scaled == "queries" else q
    q, k, v = (part.reshape(batch * block.n_head, length, -1) for part in (q, k, v))
    heads = mixed(q, k, v, public, block)
    side_by_side = jnp.swapaxes(heads.reshape(batch, block.n_head, length, -1), 1, 2).reshape(batch, length, d)
    return linear(side_by_side, secret, "output")


def projected(x: Array, secret: dict[str, Array], block: Block) -> tuple[Array, ...]:
    """Return queries, keys and values, (B, T, d) each; joined, x is opened once."""
    names = ("query", "key", "value")
    if block.projections == "separate":
        return tuple(linear(x, secret, name) for name in names)
    ends = [end for end in ("", "_bias") if f"query{end}" in secret]
    whole = {f"joined{end}": jnp.concatenate([secret[f"{name}{end}"] for name in names], axis=-1) for end in ends}
    return tuple(jnp.split(linear(x, whole, "joined"), 3, axis=-1))


def block_output(x: Array, secret: dict[str, Array], public: dict[str, Array], block: Block) -> Array:
    """Return what a block makes of x, (B, T, d)."""
    y = x + attention(layer_norm(x) if block.attention_norm else x, secret, public, block)
    if block.product:
        y = linear(y, secret, "product")
    if block.feedforward == "none":
        return y
    inner = layer_norm(y) if block.feedforward_norm else y
    if block.feedforward == "fused":
        added = linear(inner, secret, "fused")
    else:
        added = linear(activated(linear(inner, secret, "inner"), block.activation), secret, "outer")
    return public["skip_gain"] * y + public["feedforward_gain"] * added if block.gains else y + added


def linear(x: Array, secret: dict[str, Array], name: str) -> Array:
    """Return x W + b; the sum is local, so a bias sends nothing."""
    product = jnp.matmul(x.reshape(-1, x.shape[-1]), secret[name])
    if f"{name}_bias" in secret:
        product = product + secret[f"{name}_bias"]
    return product.reshape(*x.shape[:-1], -1)


def layer_norm(x: Array) -> Array:
    """Return centered rows over their standard deviation; gain and bias are in the next product."""
    centered = x - jnp.mean(x, axis=-1, keepdims=True)
    return centered * jax.lax.rsqrt(jnp.mean(jnp.square(centered), axis=-1, keepdims=True) + LAYER_NORM_EPSILON)


def activated(x: Array, name: str) -> Array:
    """Return act(x)."""
    if name == "identity":
        return x
    return jax.nn.gelu(x) if name == "gelu" else jnp.maximum(x, 0.0)


Arrays = dict[str, dict[str, np.ndarray]]  # of each block and of "model", by name


def run_secure(known: dict[str, object], x: np.ndarray, secret: Arrays, public: Arrays) -> np.ndarray:
    """Return the output, put together from all parties' shares."""
    blocks = [Block(**fields) for fields in known["blocks"]]  # type: ignore[attr-defined]

    def model(x: Array, secret: dict[str, dict[str, Array]], public: dict[str, dict[str, Array]]) -> Array:
        for number, block in enumerate(blocks):
            x = block_output(x, secret[str(number)], public.get(str(number), {}), block)
        if "unembedding" not in secret.get("model", {}):
            return x
        return linear(layer_norm(x) if known["final_norm"] else x, secret["model"], "unembedding")

    hidden, shown = jax.tree_util.tree_leaves((x, secret)), jax.tree_util.tree_leaves(public)
    visibility = [libspu.Visibility.VIS_SECRET] * len(hidden) + [libspu.Visibility.VIS_PUBLIC] * len(shown)
    names = [f"in{place}" for place in range(len(visibility))]
    executable, _ = frontend.compile(frontend.Kind.JAX, model, [x, secret, public], {}, names, visibility, lambda _: ["out"])
    config, n_parties = engine_config(known), N_PARTIES[str(known["protocol"])]
    io = spu.Io(n_parties, config)
    shares = [io.make_shares(value, seen) for value, seen in zip(hidden + shown, visibility, strict=True)]
    inputs = [{name: share[rank] for name, share in zip(names, shares, strict=True)} for rank in range(n_parties)]
    return np.asarray(io.reconstruct(run_parties(executable, config, inputs)))


def run_parties(executable: libspu.Executable, config: libspu.RuntimeConfig, inputs: list[dict[str, libspu.Share]]) -> list[libspu.Share]:
    """Return each party's share of the output; inputs are each party's shares by name."""
    links = libspu.link.Desc()
    for rank in range(len(inputs)):
        links.add_party(f"party{rank}", f"memory{rank}")

    def party(rank: int) -> libspu.Share:
        mine = libspu.RuntimeConfig(config)
        mine.enable_pphlo_profile = mine.enable_hal_profile = rank == 0
        runtime = spu.Runtime(libspu.link.create_mem(links, rank), mine)
        for name, share in inputs[rank].items():
            runtime.set_var(name, share)
        runtime.run(executable)
        return runtime.get_var("out")

    with ThreadPoolExecutor(len(inputs)) as threads:
        return list(threads.map(party, range(len(inputs))))


def engine_config(known: dict[str, object]) -> libspu.RuntimeConfig:
    """Return the engine's settings."""
    kind, field = getattr(libspu.ProtocolKind, str(known["protocol"])), getattr(libspu.FieldType, f"FM{known['ring_bits']}")
    config = libspu.RuntimeConfig(protocol=kind, field=field)
    config.fxp_fraction_bits = int(str(known["fraction_bits"]))
    config.fxp_exp_iters = int(str(known["exponential_squarings"]))
    return config


def main(question: str, answer: str) -> None:
    """Answer one question."""
    secret: Arrays = {}
    public: Arrays = {}
    with np.load(question, allow_pickle=False) as asked:
        known, x = json.loads(str(asked["known"])), asked["x"]
        for name in asked.files:
            side, _, place = name.partition("/")
            if place:
                owner, _, array = place.partition("/")
                {"secret": secret, "public": public}[side].setdefault(owner, {})[array] = asked[name]
    np.savez(answer, output=run_secure(known, x, secret, public), version=spu.__version__)


if __name__ == "__main__":
    main(*sys.argv[1:])
