"""What a model costs under secure computation, measured by running it there.

    measure_cost(model, ids)  ->  MeasuredCost: bytes, messages, seconds, and how far the output is from torch

Options are those of `estimate_cost`, which says the bytes and messages of one context under `semi2k-fm64` (k = 8) without running it.
Weights and inputs are secret; shapes, masks and scales are public (`question`). Token ids are looked up by the client, in plaintext.

Cost: seconds to minutes. Bytes are those of the online phase: SEMI2K gets its multiplication triples from a dealer, whose work isn't
counted. SEMI2K's depend on shapes alone, not on weights; ABY3's change by a few percent from run to run. Messages are what one party
sends, so they bound the rounds from above.

Accuracy: the engine's exponential is (1 + x / 2^k)^(2^k), k = 8 unless told, off by up to 1e-3 below 0, and wrong where a row's logits
spread over 2^9. One more squaring halves that error for 12 more bytes an exponential (SEMI2K), until the rounding of x / 2^k is larger:
with 18 bits after the point k = 10 is best. Its tanh, and so its GELU, is off by a few 1e-3 as well, whatever k is.

References
----------
J. Ma et al., SecretFlow-SPU: A Performant and User-Friendly Framework for Privacy-Preserving Machine Learning, USENIX ATC 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal, cast, get_args

import torch
from torch import Tensor

from mechanisms.errors import EngineError
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import one_of, positive, whole_number
from private_inference.cost.block_parts import Scaled, Scaling, scaling_of
from private_inference.cost.execution import Execution, PackingLayout, Projections, SecureScore, execution_of
from private_inference.cost.public_shift import ShiftCalibration
from private_inference.engine.convert import Measurable, blocks_of, secure_model
from private_inference.engine.plaintext import largest_difference, plain_output, score_of, secure_input, with_score
from private_inference.engine.question import EngineSettings, Protocol, SecureModel
from private_inference.engine.run import EngineAnswer, ask_engine
from private_inference.folding.folded_gpt import FoldedBlock

_RINGS = (64, 128)
_FEWEST_SQUARINGS = 8  # with fewer, hidden keys at -100 aren't hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCost:
    """What one run cost one party.

    Parameters
    ----------
    bytes_sent, bytes_received, messages : of the first party; messages are those it sent.
    seconds : of computing, all parties on this machine, links in memory.
    largest_difference : between the secure and the plaintext output, absolute.
    engine, protocol, ring_bits, fraction_bits, exponential_squarings : with what it was measured.
    n_layer, n_head, n_embd, T, batch : L, H, d, context and number of contexts.
    score, packing, packing_layout, projections, scaling, output : what was measured, as in `estimate_cost`; scaling is "queries" where
        each position has a temperature.
    date : of the measurement, UTC.
    by_operation : bytes sent for each kind of operation.
    """

    bytes_sent: int
    bytes_received: int
    messages: int
    seconds: float
    largest_difference: float
    engine: str
    protocol: Protocol
    ring_bits: int
    fraction_bits: int
    exponential_squarings: int
    n_layer: int
    n_head: int
    n_embd: int
    T: int
    batch: int
    score: SecureScore
    packing: int
    packing_layout: PackingLayout
    projections: Projections
    scaling: Scaled
    output: bool
    date: str
    by_operation: Mapping[str, int]

    @property
    def words(self) -> str:
        """Return the measurement in one sentence."""
        how = Execution(self.score, self.packing, self.packing_layout, self.projections).words
        return (
            f"{self.bytes_sent / 1e6:.3f} MB sent by one party in {self.messages:,} messages, output off by {self.largest_difference:.1e}: "
            f"{how} (L={self.n_layer}, H={self.n_head}, d={self.n_embd}, T={self.T}, batch {self.batch}), {self.engine}, {self.protocol}, "
            f"{self.ring_bits}-bit ring, {self.date}"
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, **asdict(self)})


def measure_cost(
    model: Measurable,
    data: Tensor,
    *,
    score: SecureScore | None = None,
    packing: int = 1,
    packing_layout: PackingLayout | Literal["auto"] = "auto",
    projections: Projections = "separate",
    scaling: Scaling | None = None,
    output: bool = False,
    shift: ShiftCalibration | None = None,
    protocol: Protocol = "SEMI2K",
    ring_bits: int = 64,
    fraction_bits: int = 18,
    exponential_squarings: int = 8,
    timeout: float = 600.0,
) -> MeasuredCost:
    """Run a model under secure computation and return what that cost.

    Parameters
    ----------
    model : a PIGPT or a folded model, or one block of either.
    data : token ids (T,) or (B, T) for a model; real numbers (T, d) or (B, T, d) for a block.
    score, packing, packing_layout, projections : see `execution`; `score` None is the model's.
    scaling : where 1 / sqrt(d_k) is multiplied, "logits" or "weights"; None is where it stands.
    output : the product with the output matrix, and the norm before it, belong to it.
    shift : public shifts for score "softmax_shift", see `calibrate_public_shift`.
    protocol : "SEMI2K" (two parties and a dealer), "CHEETAH" (two parties; slow) or "ABY3" (three parties).
    ring_bits, fraction_bits : bits of the ring, 64 or 128, and how many of them stand after the point.
    exponential_squarings : k, from 8 to `fraction_bits`, see above; it doesn't touch scores without an exponential.
    timeout : seconds.

    Raises
    ------
    MissingLibraryError : no engine is installed.
    EngineError : the engine failed or ran out of time.
    ValueError, TypeError : an argument out of its range.
    """
    settings, limit = _settings(protocol, ring_bits, fraction_bits, exponential_squarings), positive(timeout=timeout)
    where = _scaling(model, scaling)
    _check_shift(model, score, shift)
    with torch.no_grad():
        x = secure_input(model, data)
        chosen = score_of(model) if score is None else score
        execution = execution_of(x.shape[1], score=chosen, packing=packing, packing_layout=packing_layout, projections=projections)
        plain = plain_output(with_score(model, chosen), data, x, output=output)
        secure = secure_model(model, x.shape[1], execution, scaling=where, output=output, shift=shift)
    answer = ask_engine(secure, x.cpu().float().numpy(), settings, timeout=limit)
    return _record(secure, settings, answer, x, plain)


def _settings(protocol: str, ring_bits: int, fraction_bits: int, exponential_squarings: int) -> EngineSettings:
    one_of(get_args(Protocol), protocol=protocol)
    if ring_bits not in _RINGS:
        raise ValueError(f"ring_bits must be 64 or 128, got {ring_bits}")
    bits = whole_number(1, fraction_bits=fraction_bits)
    if bits > ring_bits // 3:
        raise ValueError(f"fraction_bits must be at most {ring_bits // 3} in a ring of {ring_bits} bits, so that products fit, got {bits}")
    squarings = whole_number(exponential_squarings=exponential_squarings)
    if not _FEWEST_SQUARINGS <= squarings <= bits:
        raise ValueError(f"exponential_squarings must be {_FEWEST_SQUARINGS} to fraction_bits = {bits}, got {squarings}; take 10")
    return EngineSettings(cast(Protocol, protocol), ring_bits, bits, squarings)


def _scaling(model: Measurable, scaling: Scaling | None) -> Scaling:
    folded = isinstance(blocks_of(model)[0], FoldedBlock)
    where = scaling_of(scaling, folded=folded)
    if folded and where != "weights":
        raise ValueError("a folded model has its scaling in the weights already; leave scaling out")
    return where


def _check_shift(model: Measurable, score: SecureScore | None, shift: ShiftCalibration | None) -> None:
    if (score == "softmax_shift") != (shift is not None):
        raise ValueError("score 'softmax_shift' needs shift=, and no other score takes one; see calibrate_public_shift")
    if shift is not None and len(shift.shift) != len(blocks_of(model)):
        raise ValueError(f"shift must hold one number a layer, got {len(shift.shift)} for {len(blocks_of(model))} layers")


def _record(secure: SecureModel, settings: EngineSettings, answer: EngineAnswer, x: Tensor, plain: Tensor) -> MeasuredCost:
    traffic, execution = answer.traffic, secure.execution
    if answer.output.shape != tuple(plain.shape):
        raise EngineError(f"the engine's output must have shape {tuple(plain.shape)}, got {answer.output.shape}")
    batch, T, n_embd = x.shape
    return MeasuredCost(
        bytes_sent=traffic.bytes_sent,
        bytes_received=traffic.bytes_received,
        messages=traffic.messages,
        seconds=traffic.seconds,
        largest_difference=largest_difference(torch.from_numpy(answer.output), plain.cpu()),
        engine=f"spu {answer.version}",
        protocol=settings.protocol,
        ring_bits=settings.ring_bits,
        fraction_bits=settings.fraction_bits,
        exponential_squarings=settings.exponential_squarings,
        n_layer=len(secure.blocks),
        n_head=secure.n_head,
        n_embd=n_embd,
        T=T,
        batch=batch,
        score=execution.score,
        packing=execution.packing,
        packing_layout=execution.packing_layout,
        projections=execution.projections,
        scaling=secure.blocks[0].parts.scaled,
        output=bool(secure.unembedding),
        date=datetime.now(UTC).date().isoformat(),
        by_operation=traffic.by_operation,
    )
