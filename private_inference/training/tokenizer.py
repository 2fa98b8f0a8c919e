"""Byte-level byte-pair encoding, trained on the training side only, stored as JSON.

All 256 bytes are entries, so every text can be encoded and comes back unchanged; one more entry ends a file. Perplexities of two
tokenizers can't be compared: compare bits per byte.

Cost: 2 s and 200 MB for 512 entries from 11 MB; needs the library `tokenizers`.

References
----------
Sennrich, Haddow, Birch, Neural Machine Translation of Rare Words with Subword Units, ACL 2016. Radford et al., Language Models are
Unsupervised Multitask Learners, 2019 (on bytes).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mechanisms.errors import MissingLibraryError
from mechanisms.validation import whole_number

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FEWEST_ENTRIES, MOST_ENTRIES = 257, 65536
_END = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class BytePairTokenizer:
    """A trained encoding.

    Parameters
    ----------
    json : its whole definition, as `train_tokenizer` made it.

    Raises
    ------
    ValueError : `json` defines no tokenizer that ends files.
    MissingLibraryError : the library `tokenizers` isn't installed.

    Examples
    --------
    >>> tokenizer = train_tokenizer(["for x in range(10): y = x", "for y in range(9): x = y"], vocab_size=260)
    >>> tokenizer.decode(tokenizer.encode("für x"))
    'für x'
    """

    json: str = field(repr=False)
    _tokenizer: Tokenizer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _require_library()
        from tokenizers import Tokenizer

        try:
            made = Tokenizer.from_str(self.json)
        except Exception as error:  # the library raises bare Exceptions
            raise ValueError(f"json must be the definition of a tokenizer, got something else ({type(error).__name__})") from error
        if made.token_to_id(_END) is None:
            raise ValueError(f"the tokenizer must have an entry {_END!r}; make it with train_tokenizer")
        object.__setattr__(self, "_tokenizer", made)

    @property
    def vocab_size(self) -> int:
        """Return the number of entries V."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def end_id(self) -> int:
        """Return the id of the entry that ends a file."""
        end = self._tokenizer.token_to_id(_END)
        if end is None:
            raise ValueError(f"the tokenizer has no entry {_END} that ends a file; train it with `train_tokenizer`")
        return end

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return the ids of a text."""
        return np.asarray(self._tokenizer.encode(text).ids, dtype=np.int32)

    def encode_files(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Return the ids of all texts in one line, each text ended by `end_id`."""
        end = self.end_id
        encoded = (one for text in texts for one in self._tokenizer.encode_batch_fast([text]))  # one by one: encodings are big
        return np.concatenate([np.asarray([*one.ids, end], dtype=np.int32) for one in encoded])

    def decode(self, ids: NDArray[np.integer] | Sequence[int]) -> str:
        """Return the text of ids; an end of file is nothing, bytes that are no UTF-8 become the replacement character."""
        return str(self._tokenizer.decode(list(map(int, ids)), skip_special_tokens=True))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the JSON."""
        Path(path).write_text(self.json, encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> BytePairTokenizer:
        """Read what `save` wrote."""
        return cls(Path(path).read_text(encoding="utf-8"))

    def __reduce__(self) -> tuple[type[BytePairTokenizer], tuple[str]]:
        return type(self), (self.json,)


def train_tokenizer(texts: Sequence[str], *, vocab_size: int) -> BytePairTokenizer:
    """Learn the most frequent byte pairs.

    Parameters
    ----------
    texts : the training side, never the held-out one.
    vocab_size : entries wanted, 257 (bytes alone) to 65536; a small text has fewer pairs, and then fewer entries.

    Raises
    ------
    ValueError : vocab_size out of range.
    MissingLibraryError : the library `tokenizers` isn't installed.
    """
    wanted = whole_number(FEWEST_ENTRIES, vocab_size=vocab_size)
    if wanted > MOST_ENTRIES:
        raise ValueError(f"vocab_size must be at most {MOST_ENTRIES}, got {vocab_size}")
    _require_library()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())  # as the library hands it out, its order changes from process to process
    trainer = trainers.BpeTrainer(vocab_size=wanted, special_tokens=[_END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return BytePairTokenizer(tokenizer.to_str())


def _require_library() -> None:
    from importlib.util import find_spec

    if find_spec("tokenizers") is None:
        raise MissingLibraryError("a tokenizer needs the library 'tokenizers'; install it with: pip install \"privacy-audit[tokenizers]\"")
