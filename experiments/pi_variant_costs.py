"""What private inference with a trained model costs: on the engine where there is one, else by the cost model; each row says which."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from experiments.pi_variant_cases import Config, Kind
from mechanisms.errors import FoldingError, MissingLibraryError
from mechanisms.json_ready import JsonValue
from private_inference.cost.estimate import estimate_cost
from private_inference.engine.measure import measure_cost
from private_inference.folding.fold import fold
from private_inference.folding.folded_gpt import FoldedGPT
from private_inference.gpt import PIGPT
from private_inference.training.tokenized_corpus import TokenizedCorpus

Row = dict[str, JsonValue]
_FOLD_SEQUENCES = 16
_PRICED_SQUARINGS = 8


def costs_of(model: PIGPT, corpus: TokenizedCorpus, kinds: tuple[Kind, ...], config: Config) -> list[Row]:
    """Return one row a kind: whole model with its logits, one held-out context."""
    length = model.config.block_size
    ids = torch.from_numpy(corpus.held_out_sequences(length, _FOLD_SEQUENCES)[:, :-1].astype(np.int64))
    rows: list[Row] = []
    for kind in kinds:
        if not kind.folded:
            rows.append(_said(kind) | _cost(model, ids[0], kind))
            continue
        try:
            folded = fold(model, max_condition=config.max_condition)
        except FoldingError as error:
            rows.append(_said(kind) | {"source": "none", "why": str(error)})
        else:
            rows.append(_said(kind) | _fold_figures(model, folded, ids) | _cost(folded, ids[0], kind))
    return rows


def _said(kind: Kind) -> Row:
    names = ("softmax", "score", "folded", "packing", "squarings")
    return {name: getattr(kind, name) for name in names}


def _fold_figures(model: PIGPT, folded: FoldedGPT, ids: Tensor) -> Row:
    """Return how far folding moves float32 logits, and what it left."""
    with torch.no_grad():
        moved = float((folded(ids).double() - model(ids).double()).abs().max())
    report = folded.fold_report
    products = {"products_before": report.products_before, "products": report.products}
    return {"fold_error": moved, "worst_condition": report.worst_condition, **products}


def _cost(model: PIGPT | FoldedGPT, ids: Tensor, kind: Kind) -> Row:
    """Return bytes and messages of one party, and how far logits are from torch's where they were computed in private."""
    estimate = estimate_cost(model, len(ids), score=kind.score, packing=kind.packing, output=True)
    try:
        cost = measure_cost(model, ids, score=kind.score, packing=kind.packing, output=True, exponential_squarings=kind.squarings)
    except MissingLibraryError:
        if kind.squarings != _PRICED_SQUARINGS:
            return {"source": "none", "why": f"no engine, and the cost model prices {_PRICED_SQUARINGS} squarings of the exponential"}
        return {"source": f"cost model {estimate.profile}", "bytes": estimate.bytes_sent, "messages": estimate.messages}
    with torch.no_grad():
        largest = float(model(ids[None]).abs().max())
    return {
        "source": cost.engine,
        "bytes": cost.bytes_sent,
        "messages": cost.messages,
        "logit_error": cost.largest_difference,
        "largest_logit": largest,
        "estimated_bytes": estimate.bytes_sent,
        "estimated_messages": estimate.messages,
    }
