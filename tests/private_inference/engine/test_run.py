"""What happens between the two processes, with interpreters that only pretend."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from mechanisms.errors import EngineError, MissingLibraryError
from private_inference.engine.convert import secure_model
from private_inference.engine.driver import Block
from private_inference.engine.environment import VARIABLE
from private_inference.engine.question import EngineSettings
from private_inference.engine.run import EngineAnswer, ask_engine
from tests.private_inference.engine.conftest import FakeEngine
from tests.private_inference.engine.models import LENGTH, WIDTH, execution, small_model

ECHO = "np.savez(answer, output=2 * asked['x'], version='0.9.5')\nprint(LOG)"
SETTINGS = EngineSettings("SEMI2K", 64, 18, 8)


def ask(rng: np.random.Generator, *, timeout: float = 60.0) -> EngineAnswer:
    model = secure_model(small_model(rng, variant="sm_ln"), LENGTH, execution(LENGTH, packing=2), output=True)
    return ask_engine(model, np.ones((1, LENGTH, WIDTH), np.float32), SETTINGS, timeout=timeout)


def test_answer_is_read(fake_engine: FakeEngine, rng: np.random.Generator):
    fake_engine(ECHO)
    answer = ask(rng)
    np.testing.assert_array_equal(answer.output, np.full((1, LENGTH, WIDTH), 2.0, np.float32))
    assert answer.version == "0.9.5"
    assert (answer.traffic.bytes_sent, answer.traffic.bytes_received, answer.traffic.messages) == (640, 320, 2)


def test_question_holds_what_is_known_and_arrays(fake_engine: FakeEngine, rng: np.random.Generator, tmp_path: Path):
    record = tmp_path / "record.json"
    fake_engine(f"json.dump({{'known': str(asked['known']), 'files': asked.files}}, open({str(record)!r}, 'w'))\n{ECHO}")
    ask(rng)
    asked = json.loads(record.read_text())
    known = json.loads(asked["known"])
    assert (known["protocol"], known["ring_bits"], known["fraction_bits"], known["final_norm"]) == ("SEMI2K", 64, 18, True)
    assert known["blocks"][0] == {
        "n_head": 2,
        "score": "softmax",
        "packing": 2,
        "packing_layout": "one_by_one",
        "projections": "separate",
        "attention_norm": True,
        "scaled": "logits",
        "product": False,
        "feedforward": "wide",
        "activation": "identity",
        "feedforward_norm": True,
        "gains": False,
    }
    driver = {field.name for field in fields(Block)}
    assert all(set(block) == driver for block in known["blocks"])
    assert {"x", "secret/0/query", "secret/0/inner_bias", "public/0/logit_scale", "secret/model/unembedding"} <= set(asked["files"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sys.stderr.write('warming up\\nRuntimeError: the ring is too small\\n'); sys.exit(3)", "exit code 3: .*ring is too small"),
        ("sys.exit(4)", "exit code 4: no message"),
        ("os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("print(LOG)", "answer can't be read: FileNotFoundError"),
        ("open(answer, 'w').write('nonsense'); print(LOG)", "answer can't be read: ValueError"),
        ("np.savez(answer, version='1'); print(LOG)", "answer can't be read: KeyError"),
        ("np.savez(answer, output=np.array([{}]), version='1'); print(LOG)", "answer can't be read: ValueError"),
        ("np.savez(answer, output=asked['x'], version='1')", "one run's statistics, got 0"),
    ],
)
def test_failures_say_what_happened(body: str, message: str, fake_engine: FakeEngine, rng: np.random.Generator):
    fake_engine(body)
    with pytest.raises(EngineError, match=f"(?s){message}"):
        ask(rng)


def test_last_words_are_short(fake_engine: FakeEngine, rng: np.random.Generator):
    fake_engine("sys.stderr.write(''.join(f'line {n}\\n' for n in range(100))); sys.exit(1)")
    with pytest.raises(EngineError) as caught:
        ask(rng)
    assert str(caught.value).splitlines()[1:] == ["line 96", "line 97", "line 98", "line 99"]


def test_missing_library_in_the_engine_is_missing(fake_engine: FakeEngine, rng: np.random.Generator):
    fake_engine("import a_library_that_nobody_has")
    with pytest.raises(MissingLibraryError, match="run `make pi-engine`: ModuleNotFoundError: No module named 'a_library_that_nobody_has'"):
        ask(rng)


def test_slow_engine_is_ended(fake_engine: FakeEngine, rng: np.random.Generator, tmp_path: Path):
    pid = tmp_path / "pid"
    fake_engine(f"open({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)")
    with pytest.raises(EngineError, match=r"no answer after 3 seconds; give a longer timeout"):
        ask(rng, timeout=3.0)
    if pid.exists() and pid.read_text():  # it may have been ended before it came so far
        assert not Path(f"/proc/{pid.read_text()}").exists()


def test_interpreter_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    (tmp_path / "python").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "python"))
    with pytest.raises(EngineError, match="can't be started: Permission denied; run `make pi-engine`"):
        ask(rng)


def test_nothing_is_left_behind(fake_engine: FakeEngine, rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    fake_engine(ECHO)
    ask(rng)
    fake_engine("sys.exit(1)")
    with pytest.raises(EngineError):
        ask(rng)
    assert list(scratch.iterdir()) == []
