"""How many threads torch computes with, for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mechanisms.validation import whole_number


@contextmanager
def torch_threads(n: int | None) -> Iterator[None]:
    """Let torch use n threads within the block, and as many as before after it; None changes nothing."""
    if n is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(whole_number(1, threads=n))
    try:
        yield
    finally:
        torch.set_num_threads(before)
