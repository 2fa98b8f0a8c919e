"""What a fold did: which parts went into others, which stay and why, and how much precision a fixed-point engine loses."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from mechanisms.json_ready import JsonValue, json_ready

SCHEMA_VERSION = 1
_WIDTH = 80


@dataclass(frozen=True, slots=True)
class LayerFold:
    """How one linear FFN was folded.

    Parameters
    ----------
    layer, segment : counted from 0.
    condition : condition number of M_l = beta_l I + W_f / alpha_l.
    running : condition number of the product of the segment's maps up to M_l; infinity if it is singular in float64.
    basis : condition number of the basis that the layer's attention is folded into; 1 at the segment's reference layer.
    product : whether one d x d product remains after the layer's attention, a boundary between segments.
    """

    layer: int
    segment: int
    condition: float
    running: float
    basis: float
    product: bool

    @property
    def remains(self) -> str:
        """Return what is computed of the FFN."""
        return "d x d product" if self.product else "none"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {name: json_ready(getattr(self, name)) for name in LayerFold.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldReport:
    """What `fold` did to a model.

    Parameters
    ----------
    variant, n_layer : of the model.
    max_condition : as given.
    layers : one row a layer if FFNs are linear and norm-free, else empty.
    products_before, products : matrix products of FFNs a token, in the model and after the fold.
    folded : what went into other weights, a sentence each.
    left : what did not, and why, a sentence each.
    """

    variant: str
    n_layer: int
    max_condition: float
    layers: tuple[LayerFold, ...]
    products_before: int
    products: int
    folded: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """Return the first and the last layer of each segment; empty if no FFN is linear."""
        ends = [row.layer for row in self.layers if row.product or row.layer == self.n_layer - 1]
        return tuple(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True)) if ends else ()

    @property
    def worst_condition(self) -> float:
        """Return the largest condition number of a basis that a layer was folded into; 1 if none was."""
        return max((row.basis for row in self.layers), default=1.0)

    @property
    def bits_lost(self) -> float:
        """Return log2 of `worst_condition`: about how many bits a fixed-point engine loses at worst."""
        return math.log2(self.worst_condition)

    @property
    def headline(self) -> str:
        """Return what became of the FFNs' matrix products, in one sentence."""
        if not self.products_before:
            return "There is no FFN to fold away."
        if self.products == self.products_before:
            return f"No FFN folds away: {self.products} matrix products a token stay."
        left = f"{self.products} left" if self.products else "all gone"
        segments = f" in {len(self.segments)} segments" if self.products and self.layers else ""
        return f"FFN products a token: {self.products_before} before, {left}{segments}."

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        names = (*FoldReport.__dataclass_fields__, "segments", "worst_condition", "bits_lost")
        return {"schema_version": SCHEMA_VERSION, **{name: json_ready(getattr(self, name)) for name in names}}

    def __str__(self) -> str:
        title = f"Fold of {self.variant}, {self.n_layer} layers"
        lines = [title, *textwrap.wrap(self.headline, _WIDTH)]
        if self.layers:
            lines += [*_table(self._cells()), f"bits lost in fixed point: about {self.bits_lost:.1f} at worst"]
        for name, sentences in (("folded", self.folded), ("left", self.left)):
            lines += [f"{name}:", *_bullets(sentences or ("nothing",))]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [f"<p>Fold of {escape(self.variant)}, {self.n_layer} layers. {escape(self.headline)}</p>"]
        if self.layers:
            head, *rows = self._cells()
            body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
            parts.append("<table><tr>" + "".join(f"<th>{cell}</th>" for cell in head) + f"</tr>{body}</table>")
            parts.append(f"<p>Bits lost in fixed point: about {self.bits_lost:.1f} at worst.</p>")
        for name, sentences in (("Folded", self.folded), ("Left", self.left)):
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences or ("nothing",))
            parts.append(f"<p>{name}:</p><ul>{items}</ul>")
        return "".join(parts)

    def _cells(self) -> list[tuple[str, ...]]:
        rows = [
            (str(row.layer), str(row.segment), *(f"{value:.4g}" for value in (row.condition, row.running, row.basis)), row.remains)
            for row in self.layers
        ]
        return [("layer", "segment", "cond M_l", "of running product", "of basis", "FFN left"), *rows]


def _table(cells: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [line for text in sentences for line in textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")]
