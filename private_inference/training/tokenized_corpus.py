"""A corpus as token ids, cut into sequences of T + 1 tokens: T inputs and, one place later, T targets.

Sequences don't overlap, so one of them is one privacy unit and each target is predicted once.

    bits per byte = (nats per token / ln 2) (tokens / bytes)        comparable between tokenizers; perplexity exp(nats per token) is not
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.json_ready import JsonValue
from mechanisms.validation import whole_number
from private_inference.training.corpus import TextCorpus
from private_inference.training.tokenizer import BytePairTokenizer, train_tokenizer


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedCorpus:
    """Token ids of both sides.

    Parameters
    ----------
    name : what a report calls it.
    train, held_out : ids, shape (n,), at least 2 each.
    vocab_size : V; ids lie in [0, V).
    characters_per_token, bytes_per_token : of the held-out side.
    tokenizer : what made the ids; None where they came from elsewhere.

    Raises
    ------
    ValueError : ids out of range or of another shape, or ratios that aren't positive.
    """

    name: str
    train: NDArray[np.int32]
    held_out: NDArray[np.int32]
    vocab_size: int
    characters_per_token: float = 1.0
    bytes_per_token: float = 1.0
    tokenizer: BytePairTokenizer | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocab_size", whole_number(2, vocab_size=self.vocab_size))
        for side in ("train", "held_out"):
            ids = np.array(getattr(self, side), dtype=np.int32)
            if ids.ndim != 1 or ids.size < 2 or ids.min() < 0 or ids.max() >= self.vocab_size:
                raise ValueError(f"{side} must be at least two ids in [0, {self.vocab_size}), in one axis, got shape {ids.shape}")
            ids.setflags(write=False)
            object.__setattr__(self, side, ids)
        for name in ("characters_per_token", "bytes_per_token"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")

    def train_sequences(self, block_size: int) -> NDArray[np.int32]:
        """Return the training side as sequences, shape (n, T + 1); what is left over at the end is dropped."""
        return _sequences(self.train, block_size, "train")

    def held_out_sequences(self, block_size: int, most: int | None = None) -> NDArray[np.int32]:
        """Return the held-out side as sequences, at most `most` of them, evenly spread over the files."""
        rows = _sequences(self.held_out, block_size, "held_out")
        if most is None or len(rows) <= whole_number(1, most=most):
            return rows
        return rows[np.arange(most) * len(rows) // most]

    def bits_per_byte(self, nats_per_token: float) -> float:
        """Return what a loss is in bits per byte of text."""
        return nats_per_token / math.log(2) / self.bytes_per_token

    @property
    def digest(self) -> str:
        """Return a SHA-256 over all ids, 16 hexadecimal digits."""
        return hashlib.sha256(self.train.tobytes() + b"|" + self.held_out.tobytes()).hexdigest()[:16]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready counts, without any text or id."""
        return {
            "schema_version": 1,
            "name": self.name,
            "vocab_size": self.vocab_size,
            "n_train_tokens": len(self.train),
            "n_held_out_tokens": len(self.held_out),
            "characters_per_token": self.characters_per_token,
            "bytes_per_token": self.bytes_per_token,
            "digest": self.digest,
        }

    def __reduce__(self) -> tuple[type[TokenizedCorpus], tuple[object, ...]]:
        ratios = (self.characters_per_token, self.bytes_per_token)
        return type(self), (self.name, self.train, self.held_out, self.vocab_size, *ratios, self.tokenizer)


def tokenize_corpus(corpus: TextCorpus, *, vocab_size: int = 512, tokenizer: BytePairTokenizer | None = None) -> TokenizedCorpus:
    """Encode both sides.

    Parameters
    ----------
    corpus : texts.
    vocab_size : entries of the tokenizer that is trained on the training side.
    tokenizer : an encoding that exists, in place of one trained here.

    Raises
    ------
    ValueError : vocab_size out of range.
    MissingLibraryError : the library `tokenizers` isn't installed.
    """
    made = train_tokenizer(corpus.train, vocab_size=vocab_size) if tokenizer is None else tokenizer
    held_out = made.encode_files(corpus.held_out)
    return TokenizedCorpus(
        corpus.name,
        made.encode_files(corpus.train),
        held_out,
        made.vocab_size,
        characters_per_token=sum(map(len, corpus.held_out)) / len(held_out),
        bytes_per_token=sum(len(text.encode()) for text in corpus.held_out) / len(held_out),
        tokenizer=made,
    )


def _sequences(ids: NDArray[np.int32], block_size: int, side: str) -> NDArray[np.int32]:
    length = whole_number(1, block_size=block_size) + 1
    n = len(ids) // length
    if n == 0:
        raise ValueError(f"block_size must be below the {len(ids)} tokens of the {side} side, got {block_size}; give more text")
    return ids[: n * length].reshape(n, length)
