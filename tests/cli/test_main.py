"""Exit codes, one sentence on stderr, nothing heavy loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from mechanisms.errors import InsufficientEvidenceError
from privacy_audit import __version__
from privacy_audit.cli import main as cli


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with the list of loaded modules as the last line of stderr."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: sys.stderr.write('\\n' + ' '.join(sys.modules)))\n"
        "from privacy_audit.cli.main import main\nmain()"
    )
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_help_lists_the_commands_and_loads_nothing_heavy():
    done = run("--help")
    *_, modules = done.stderr.splitlines()
    assert done.returncode == 0
    assert all(
        name in done.stdout
        for name in (
            "demo",
            "run",
            "epsilon",
            "leakage",
            "account",
            "preflight",
            "synthesize",
            "evaluate",
            "stream",
            "attention",
            "Exit codes",
        )
    )
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert {"numpy", "torch", "rich", "scipy", "pydantic"}.isdisjoint(modules.split())


def test_epsilon_command_in_a_process():
    done = run("epsilon", "--tp", "487", "--fp", "512", "--tn", "1", "--fn", "0", "--delta", "1e-5")
    *_, modules = done.stderr.splitlines()
    assert done.returncode == 0
    assert "[0.144, 6.416]" in done.stdout
    assert {"torch", "pymc", "sklearn", "matplotlib", "pandas"}.isdisjoint(modules.split())


def test_bad_input_is_one_sentence_without_a_traceback():
    done = run("epsilon", "--tp", "1")
    first, *_ = done.stderr.splitlines()
    assert done.returncode == 2
    assert first == "Error: give SCORES or all four counts: --fp, --tn, --fn missing"
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


def test_version(capsys: pytest.CaptureFixture[str]):
    assert leave("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("arguments", [("nothing",), ("epsilon", "--nothing"), ("epsilon", "--tp", "x"), ("account",)])
def test_usage_errors_leave_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert leave(*arguments) == 2
    shown = capsys.readouterr()
    assert "Error:" in shown.err
    assert shown.out == ""


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """A command line with one command that raises what it is given."""

    def install(error: BaseException) -> None:
        app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

        @app.command()
        def fail() -> None:
            raise error

        monkeypatch.setattr(cli, "app", app)

    return install


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("x must be\n  positive"), "x must be positive"),
        (TypeError("x must be a number"), "x must be a number"),
        (InsufficientEvidenceError("too few"), "too few"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "No such file or directory: a.csv"),
        (PermissionError("may not"), "may not"),
        (ValueError(), "ValueError"),
    ],
)
def test_known_errors_leave_with_2(failing, error: Exception, sentence: str, capsys: pytest.CaptureFixture[str]):
    failing(error)
    assert leave() == 2
    assert capsys.readouterr().err == f"Error: {sentence}\n"


def test_a_fault_of_ours_is_never_taken_for_a_contradicted_claim(failing, capsys: pytest.CaptureFixture[str]):
    failing(ZeroDivisionError("oops"))
    assert leave() == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(typer.Exit(1), 1), (typer.Exit(0), 0), (KeyboardInterrupt(), 130)])
def test_exit_codes_of_commands_pass(failing, error: BaseException, code: int):
    failing(error)
    assert leave() == code
