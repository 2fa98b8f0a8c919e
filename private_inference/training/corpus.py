"""Text to train on without a network: the source of Python's own standard library, or a folder of text files.

Files are sorted by their path, shuffled by a fixed seed and split BY FILE, so that no file is on both sides. The standard library of
Python 3.11 has 734 files outside its tests, 12.1 MB; another Python has a little more or less, so a corpus carries a digest of its files.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mechanisms.json_ready import JsonValue
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range

_NOT_SOURCE = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})
_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True)
class TextCorpus:
    """Texts of whole files, split.

    Parameters
    ----------
    name : what a report calls it.
    train, held_out : contents of the files on either side; none is empty.

    Raises
    ------
    ValueError : a side has no text.
    """

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def __post_init__(self) -> None:
        for side in ("train", "held_out"):
            texts = tuple(text for text in getattr(self, side) if text)
            if not texts:
                raise ValueError(f"{side} of corpus {self.name!r} must have at least one file with text, got none; give more files")
            object.__setattr__(self, side, texts)

    @property
    def digest(self) -> str:
        """Return a SHA-256 over all texts and their sides, 16 hexadecimal digits."""
        total = hashlib.sha256()
        for side in (self.train, self.held_out):
            total.update(b"side")
            for text in side:
                total.update(hashlib.sha256(text.encode()).digest())
        return total.hexdigest()[:16]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready counts, without any text."""
        return {
            "schema_version": 1,
            "name": self.name,
            "n_train_files": len(self.train),
            "n_held_out_files": len(self.held_out),
            "n_train_characters": sum(map(len, self.train)),
            "n_held_out_characters": sum(map(len, self.held_out)),
            "digest": self.digest,
        }


def standard_library(*, held_out_share: float = 0.1, rng: RngLike = _SPLIT_SEED) -> TextCorpus:
    """Return the source files of the running Python's standard library, without its tests.

    Parameters
    ----------
    held_out_share : share of the files that are kept for evaluation, in (0, 1).
    rng : order of the files before they're split; fixed unless it is given.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = [file for file in root.rglob("*.py") if not _NOT_SOURCE & set(file.relative_to(root).parts[:-1])]
    return _split("python-standard-library", root, files, held_out_share, rng)


def text_folder(
    folder: str | os.PathLike[str],
    *,
    suffixes: Sequence[str] = (".txt", ".md", ".py"),
    held_out_share: float = 0.1,
    rng: RngLike = _SPLIT_SEED,
) -> TextCorpus:
    """Return all text files of a folder and its subfolders.

    Parameters
    ----------
    folder : where the files lie.
    suffixes : which files are taken.
    held_out_share, rng : as for `standard_library`.

    Raises
    ------
    ValueError : no folder, fewer than two files with these suffixes, or a file that is no UTF-8 text.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"folder must be a folder of text files, got {str(folder)!r}")
    files = [file for file in root.rglob("*") if file.suffix in suffixes and file.is_file()]
    if len(files) < 2:
        raise ValueError(f"folder {root.name!r} must have at least two files ending in {', '.join(suffixes)}, got {len(files)}")
    return _split(root.name, root, files, held_out_share, rng)


def _split(name: str, root: Path, files: Sequence[Path], held_out_share: float, rng: RngLike) -> TextCorpus:
    share = in_range(0, 1, held_out_share=held_out_share)
    ordered = sorted(files, key=lambda file: file.relative_to(root).as_posix())
    texts = [_text(ordered[i]) for i in as_generator(rng).permutation(len(ordered))]
    n_held_out = min(max(1, round(share * len(texts))), len(texts) - 1)
    return TextCorpus(name, tuple(texts[n_held_out:]), tuple(texts[:n_held_out]))


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"file {file.name!r} is no UTF-8 text; convert it, or leave its suffix out of suffixes") from None
