"""From a model, or from its config alone, to the program that two servers run.

    N, Q = N W_q, K, V; logits = Q K^T (1 / sqrt(d_k)); A = score(logits); A V; W_o; residual; [N; FFN; gains; residual]

Simplifications that are exact in real arithmetic are options, beside those of `execution`:

    fold "fused"         an FFN without activation is one d x d product; without a norm it takes in both gains and the residual,
                         X' = Y (beta I + W_f / alpha)
    fold "full"          that product goes into the next layer's weights: no FFN is left (norm-free models without activation)
    scaling "weights"    1 / (t sqrt(d_k)) stands in W_q, at no cost; "logits" multiplies them by a public constant. A fold puts it into W_q

Gains, temperatures and LayerNorm's epsilon are public constants of the program; LayerNorm's gain and bias are folded into the next
matrix, one temperature a head into W_q; a table of temperatures multiplies the queries. All heads are one operation; residuals, masks and
biases are local.

References
----------
Ma et al., SecretFlow-SPU, USENIX ATC 2023. Jha, Reagen, AERO: Entropy-Guided Framework for Private LLM Inference, 2025.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from mechanisms.validation import one_of, whole_number
from private_inference.config import PIGPTConfig
from private_inference.cost.block_parts import BlockParts, Fold, Scaling, parts_of_config, parts_of_folded, scaling_of
from private_inference.cost.execution import Execution, PackingLayout, Projections, SecureScore, execution_of
from private_inference.cost.operations import ModelProgram, Op

if TYPE_CHECKING:
    from collections.abc import Iterable

    from private_inference.folding.folded_gpt import FoldedBlock, FoldedGPT
    from private_inference.gpt import PIGPT

    ModelOrConfig = PIGPTConfig | PIGPT | FoldedGPT


def program_of(
    model_or_config: ModelOrConfig,
    T: int,
    *,
    score: SecureScore | None = None,
    packing: int = 1,
    packing_layout: PackingLayout | Literal["auto"] = "auto",
    projections: Projections = "separate",
    scaling: Scaling | None = None,
    fold: Fold = "none",
) -> ModelProgram:
    """Return the program of a config, of a model, or of a folded model.

    Parameters
    ----------
    model_or_config : a folded model says itself what it has left and where its scaling stands.
    T : context length, at most block_size.
    score, packing, packing_layout, projections : see `execution`; `score` None is the model's.
    scaling, fold : see above; `scaling` None is "weights" for what is folded and "logits" for anything else.

    Raises
    ------
    ValueError : T is above block_size, choices that `execution_of` refuses, a fold that the variant doesn't allow, or `fold` or
        scaling "logits" for a model that is folded.
    TypeError : neither a config nor an object with one.

    Examples
    --------
    >>> config = PIGPTConfig(n_layer=2, n_head=4, n_embd=128, block_size=128, vocab_size=512, variant="sm_scfuffn")
    >>> [op.name for op in program_of(config, 128, fold="full").blocks[0]]
    ['query', 'key', 'value', 'logits', 'weights', 'mixed values', 'output', 'residual']
    """
    config = model_or_config if isinstance(model_or_config, PIGPTConfig) else getattr(model_or_config, "config", None)
    if not isinstance(config, PIGPTConfig):
        raise TypeError(f"a PIGPTConfig or a model that has one is needed, got {type(model_or_config).__name__}")
    T = whole_number(1, T=T)
    if config.block_size < T:
        raise ValueError(f"T must be at most block_size = {config.block_size}, got {T}")
    execution = execution_of(
        T, score=config.score if score is None else score, packing=packing, packing_layout=packing_layout, projections=projections
    )
    one_of(("none", "fused", "full"), fold=fold)
    folded = getattr(model_or_config, "fold_report", None) is not None
    where = scaling_of(scaling, folded=folded or fold != "none")
    if folded:
        if fold != "none" or where != "weights":
            raise ValueError("a folded model has its folds and its scaling already; leave fold and scaling out")
        parts = [parts_of_folded(block) for block in cast("Iterable[FoldedBlock]", cast("FoldedGPT", model_or_config).blocks)]
    else:
        parts = [parts_of_config(config, fold=fold, scaling=where)] * config.n_layer
    return ModelProgram(
        config=config,
        T=T,
        execution=execution,
        fold="model" if folded else fold,
        scaling=parts[0].scaled,
        blocks=tuple((*_attention(config, T, execution, part), *_feedforward(config, T, part)) for part in parts),
        output=_output(config, T),
    )


def _attention(config: PIGPTConfig, T: int, execution: Execution, parts: BlockParts) -> list[Op]:
    d, H = config.n_embd, config.n_head
    ops = [Op("attention norm", "layer_norm", 1, (T, d))] if parts.attention_norm else []
    if execution.projections == "joined":
        ops.append(Op("query, key, value", "product", 1, (T, d, 3 * d)))
    else:
        ops += [Op(name, "product", 1, (T, d, d)) for name in ("query", "key", "value")]
    if parts.scaled == "queries":
        ops.append(Op("query scaling", "query_scaling", 1, (T, d)))
    queries = T // execution.packing
    keys = [k * queries for k in range(1, execution.packing + 1)]
    ops += [Op("logits", "attention_product", H, (queries, config.head_size, seen)) for seen in keys]
    for rows, columns, pieces in _scored(T, execution):
        ops += [Op("logit scaling", "logit_scaling", H, (rows, columns), pieces)] if parts.scaled == "logits" else []
        ops.append(Op("weights", execution.score, H, (rows, columns), pieces))
    ops += [Op("mixed values", "attention_product", H, (queries, seen, config.head_size)) for seen in keys]
    return [*ops, Op("output", "product", 1, (T, d, d)), Op("residual", "residual", 1, (T, d))]


def _scored(T: int, execution: Execution) -> list[tuple[int, int, int]]:
    """Return rows, columns and pieces of what is scored one after another."""
    if execution.packing_layout == "at_once":
        return [(T, T, execution.packing)]
    queries = T // execution.packing
    return [(queries, k * queries, 1) for k in range(1, execution.packing + 1)]


def _feedforward(config: PIGPTConfig, T: int, parts: BlockParts) -> list[Op]:
    d = config.n_embd
    ops = [Op("FFN product", "product", 1, (T, d, d))] if parts.product else []
    if parts.feedforward == "none":
        return ops
    ops += [Op("FFN norm", "layer_norm", 1, (T, d))] if parts.feedforward_norm else []
    if parts.feedforward == "fused":
        ops.append(Op("FFN", "product", 1, (T, d, d)))
    else:
        ops.append(Op("FFN in", "product", 1, (T, d, 4 * d)))
        ops += [Op("activation", parts.activation, 1, (T, 4 * d))] if parts.activation != "identity" else []
        ops.append(Op("FFN out", "product", 1, (T, 4 * d, d)))
    ops += [Op("gains", "gain", 1, (T, d))] * 2 if parts.gains else []
    return [*ops, Op("FFN residual", "residual", 1, (T, d))]


def _output(config: PIGPTConfig, T: int) -> tuple[Op, ...]:
    norm = (Op("final norm", "layer_norm", 1, (T, config.n_embd)),) if config.parts.layer_norm else ()
    return (*norm, Op("output matrix", "output_product", 1, (T, config.n_embd, config.vocab_size)))
