"""How two servers compute attention: choices that everybody may know and that change what it costs, not, the score apart, what comes out.

    score           how logits become weights; "softmax_rr" has softmax's values by one reciprocal a row, "softmax_shift" by a public shift
                    in place of the row maximum as well
    packing nb      queries in nb pieces, piece k (from 1) against its first k T / nb keys: (nb + 1) / (2 nb) of the logits
    packing_layout  "one_by_one": pieces are scored one after another, nb times the messages of one score
                    "at_once": all pieces are scored together, equal bytes, and only products are repeated; not for the stock softmax,
                    which takes whole rows
    projections     "separate": three products for queries, keys and values; "joined": one with (W_q | W_k | W_v), so that the activations
                    are opened once, not three times

The cost model and the engine read the same record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from mechanisms.validation import one_of, whole_number
from private_inference.config import Score

SecureScore = Score | Literal["softmax_shift"]
PackingLayout = Literal["one_by_one", "at_once"]
Projections = Literal["separate", "joined"]

SCORES: tuple[str, ...] = (*get_args(Score), "softmax_shift")


@dataclass(frozen=True, slots=True)
class Execution:
    """The choices for all blocks of a model."""

    score: SecureScore
    packing: int
    packing_layout: PackingLayout
    projections: Projections

    @property
    def words(self) -> str:
        """Return the choices in one phrase."""
        parts = [f"score {self.score}"]
        parts += [f"causal packing {self.packing} {self.packing_layout.replace('_', ' ')}"] if self.packing > 1 else []
        parts += ["joined projections"] if self.projections == "joined" else []
        return ", ".join(parts)


def execution_of(
    T: int, *, score: SecureScore, packing: int, packing_layout: PackingLayout | Literal["auto"], projections: Projections
) -> Execution:
    """Return the choices for contexts of T tokens; the layout "auto" is "at_once" where the score allows it.

    Raises
    ------
    ValueError : an unknown name, a packing that doesn't divide T, or a layout that the score doesn't allow.

    Examples
    --------
    >>> execution_of(128, score="softmax_rr", packing=4, packing_layout="auto", projections="separate").words
    'score softmax_rr, causal packing 4 at once'
    """
    T, packing = whole_number(1, T=T), whole_number(1, packing=packing)
    if T % packing:
        raise ValueError(f"packing must divide T = {T}, got {packing}; take 1 for no packing")
    one_of(SCORES, score=score)
    one_of(get_args(Projections), projections=projections)
    layout = one_of(("auto", *get_args(PackingLayout)), packing_layout=packing_layout)
    if layout == "auto":
        layout = "one_by_one" if score == "softmax" else "at_once"
    if layout == "at_once" and score == "softmax":
        raise ValueError("packing_layout must be 'one_by_one' for the stock softmax, which takes whole rows; or take score='softmax_rr'")
    return Execution(score, packing, cast(PackingLayout, layout), projections)
