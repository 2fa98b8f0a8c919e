"""What a model costs under secure computation, measured by running it there.

    measure_cost(model, ids)  ->  MeasuredCost: bytes, messages, seconds, and how far the output is from torch

Weights and inputs are secret; shapes, masks and scales are public (`program`). Token ids are looked up by the client, in plaintext.

Cost: seconds to minutes. Bytes are those of the online phase: SEMI2K gets its multiplication triples from a dealer, whose work isn't
counted. They depend on shapes alone, not on weights. Messages are what one party sends, so they bound the rounds from above.

Accuracy: the engine's exponential is (1 + x / 2^8)^(2^8), off by up to 1e-3 below 0, and wrong where a row's logits spread over 2^9. The
stock GELU is the one with tanh, off by up to 5e-4 from torch's.

References
----------
J. Ma et al., SecretFlow-SPU: A Performant and User-Friendly Framework for Privacy-Preserving Machine Learning, USENIX ATC 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import cast, get_args

import torch
from torch import Tensor

from mechanisms.errors import EngineError
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import one_of, positive, whole_number
from private_inference.config import Score
from private_inference.engine.convert import Measurable, secure_model
from private_inference.engine.plaintext import largest_difference, plain_output, secure_input, with_score
from private_inference.engine.program import Layout, Protocol, SecureModel
from private_inference.engine.run import EngineAnswer, EngineSettings, ask_engine

_FIELDS = (64, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCost:
    """What one run cost one party.

    Parameters
    ----------
    bytes_sent, bytes_received, messages : of the first party; messages are those it sent.
    seconds : of computing, all parties on this machine, links in memory.
    largest_difference : between the secure and the plaintext output, absolute.
    engine, protocol, field, fraction_bits : with what it was measured.
    n_blocks, batch, length, width : L, B, T, d.
    score, packing, layout, with_logits : what was measured.
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
    field: int
    fraction_bits: int
    n_blocks: int
    batch: int
    length: int
    width: int
    score: Score
    packing: int
    layout: Layout
    with_logits: bool
    date: str
    by_operation: Mapping[str, int]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, **asdict(self)})


def measure_cost(
    model: Measurable,
    data: Tensor,
    *,
    protocol: Protocol = "SEMI2K",
    field: int = 64,
    fraction_bits: int = 18,
    score: Score | None = None,
    packing: int = 1,
    layout: Layout = "split",
    with_logits: bool = False,
    timeout: float = 600.0,
) -> MeasuredCost:
    """Run a model under secure computation and return what that cost.

    Parameters
    ----------
    model : a PIGPT or a folded model, or one block of either.
    data : token ids (T,) or (B, T) for a model; real numbers (T, d) or (B, T, d) for a block.
    protocol : "SEMI2K" (two parties and a dealer), "CHEETAH" (two parties; slow) or "ABY3" (three parties).
    field, fraction_bits : bits of the ring, 64 or 128, and how many of them stand after the point.
    score : another score function than the model's; "softmax" divides each element, "softmax_rr" has equal values by a reciprocal a row.
    packing : cut queries in so many pieces and leave out logits that no query of a piece may see; divides T.
    layout : score the pieces one after another ("split") or at once ("joined"): equal bytes, fewer messages.
    with_logits : the product with the output matrix belongs to it.
    timeout : seconds.

    Raises
    ------
    MissingLibraryError : no engine is installed.
    EngineError : the engine failed or ran out of time.
    ValueError, TypeError : an argument out of its range.
    """
    settings = _settings(protocol, field, fraction_bits)
    limit, n_pieces = positive(timeout=timeout), whole_number(1, packing=packing)
    one_of(get_args(Layout), layout=layout)
    if score is not None:
        one_of(get_args(Score), score=score)
    with torch.no_grad():
        chosen = with_score(model, score)
        x = secure_input(chosen, data)
        program = secure_model(chosen, length=x.shape[1], packing=n_pieces, layout=layout, with_logits=with_logits)
        _check_packing(program, x.shape[1])
        plain = plain_output(chosen, data, x, with_logits=with_logits)
    answer = ask_engine(program, x.cpu().float().numpy(), settings, timeout=limit)
    return _record(program, settings, answer, x, plain)


def _settings(protocol: str, field: int, fraction_bits: int) -> EngineSettings:
    one_of(get_args(Protocol), protocol=protocol)
    if field not in _FIELDS:
        raise ValueError(f"field must be 64 or 128 bits, got {field}")
    bits = whole_number(1, fraction_bits=fraction_bits)
    if bits > field // 3:
        raise ValueError(f"fraction_bits must be at most {field // 3} in a ring of {field} bits, so that products fit, got {bits}")
    return EngineSettings(cast(Protocol, protocol), field, bits)


def _check_packing(program: SecureModel, length: int) -> None:
    public = program.blocks[0].program
    if length % public.packing:
        raise ValueError(f"packing must divide the context, got {public.packing} and {length} positions")
    if public.layout == "joined" and public.score == "softmax":
        raise ValueError("the stock softmax takes whole rows: use score='softmax_rr', or layout='split'")


def _record(program: SecureModel, settings: EngineSettings, answer: EngineAnswer, x: Tensor, plain: Tensor) -> MeasuredCost:
    public, traffic = program.blocks[0].program, answer.traffic
    if answer.output.shape != tuple(plain.shape):
        raise EngineError(f"the engine's output must have shape {tuple(plain.shape)}, got {answer.output.shape}")
    return MeasuredCost(
        bytes_sent=traffic.bytes_sent,
        bytes_received=traffic.bytes_received,
        messages=traffic.messages,
        seconds=traffic.seconds,
        largest_difference=largest_difference(torch.from_numpy(answer.output), plain.cpu()),
        engine=f"spu {answer.version}",
        protocol=settings.protocol,
        field=settings.field,
        fraction_bits=settings.fraction_bits,
        n_blocks=len(program.blocks),
        batch=x.shape[0],
        length=x.shape[1],
        width=x.shape[2],
        score=public.score,
        packing=public.packing,
        layout=public.layout,
        with_logits=bool(program.unembedding),
        date=datetime.now(UTC).date().isoformat(),
        by_operation=traffic.by_operation,
    )
