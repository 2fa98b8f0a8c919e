"""Asks the engine one question, in a process of its own: npz files in a temporary folder, a time limit, and the end of its last words.

Nothing is pickled, and nothing of the engine is imported here.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mechanisms.errors import EngineError, MissingLibraryError
from private_inference.engine.environment import engine_python
from private_inference.engine.question import EngineSettings, SecureModel
from private_inference.engine.traffic import Traffic, read_traffic

DRIVER = Path(__file__).with_name("driver.py")
_LAST_LINES = 5


@dataclass(frozen=True, slots=True, eq=False)
class EngineAnswer:
    """What came back."""

    output: NDArray[np.float32]
    version: str
    traffic: Traffic


def ask_engine(model: SecureModel, x: NDArray[np.float32], settings: EngineSettings, *, timeout: float) -> EngineAnswer:
    """Return the secure output of a model, x (B, T, d), and what it cost.

    Parameters
    ----------
    timeout : seconds after which the engine's process is ended.

    Raises
    ------
    MissingLibraryError : no engine is installed.
    EngineError : it failed, ran out of time, or answered with something else.
    """
    python = engine_python()
    with tempfile.TemporaryDirectory(prefix="pi-engine-") as folder:
        question, answer = Path(folder, "question.npz"), Path(folder, "answer.npz")
        arrays: dict[str, NDArray[np.generic]] = {"known": np.array(json.dumps(model.known(settings))), "x": x, **model.arrays()}
        np.savez(question, allow_pickle=False, **arrays)
        log = _run([str(python), "-I", str(DRIVER), str(question), str(answer)], timeout)
        output, version = _read_answer(answer)
    return EngineAnswer(output, version, read_traffic(log))


def _run(command: list[str], timeout: float) -> str:
    """Return what the process wrote on standard output."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"the engine had no answer after {timeout:g} seconds; give a longer timeout or a smaller model") from None
    except OSError as error:
        raise EngineError(f"the engine's interpreter can't be started: {error.strerror}; run `make pi-engine`") from None
    if done.returncode == 0:
        return done.stdout
    last_words = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
    if "ModuleNotFoundError" in last_words:
        raise MissingLibraryError(f"the engine's environment is incomplete, run `make pi-engine`: {last_words.splitlines()[-1]}")
    how = f"was ended by signal {-done.returncode}" if done.returncode < 0 else f"failed with exit code {done.returncode}"
    raise EngineError(f"the engine {how}: {last_words or 'no message'}")


def _read_answer(path: Path) -> tuple[NDArray[np.float32], str]:
    try:
        with np.load(path, allow_pickle=False) as found:
            return np.asarray(found["output"], dtype=np.float32), str(found["version"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise EngineError(f"the engine's answer can't be read: {type(error).__name__}") from None
