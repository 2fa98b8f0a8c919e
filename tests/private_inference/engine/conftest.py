"""Interpreters that answer without an engine: a script gets `-I DRIVER QUESTION ANSWER`, as the real one does."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from mechanisms.errors import MissingLibraryError
from private_inference.engine.environment import VARIABLE, engine_python

LOG = (
    "SPU execution model completed, total time 0.5s.\n"
    "- pphlo.dot, executed 1 times, duration 0.2s, send bytes 640 recv bytes 320, send actions 2, recv actions 1\n"
    "Link details: total send bytes 640, recv bytes 320, send actions 2, recv actions 1\n"
)
FakeEngine = Callable[[str], Path]


@pytest.fixture
def fake_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Installs a script as the engine's interpreter; it sees `asked` (an npz), `answer` (a path), and the log to print."""

    def install(body: str) -> Path:
        script = tmp_path / "python"
        head = f"#!{sys.executable}\nimport sys, os, time, json\nimport numpy as np\nLOG = {LOG!r}\n"
        start = (
            "isolated, driver, question, answer = sys.argv[1:]\nassert isolated == '-I'\nasked = np.load(question, allow_pickle=False)\n"
        )
        script.write_text(head + start + textwrap.dedent(body), encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setenv(VARIABLE, str(script))
        return script

    return install


@pytest.fixture(scope="session")
def engine() -> Path:
    """The real engine's interpreter, or a skip that says how to get it."""
    try:
        return engine_python()
    except MissingLibraryError as error:
        pytest.skip(str(error))
