"""The tutorials' code blocks run, in order, as a reader would run them."""

import re
from pathlib import Path

import pytest

from mechanisms.errors import MissingLibraryError
from privacy_audit.config import AuditConfig, read_config
from private_inference.engine.environment import engine_python

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore:guesses about one model may be strongly correlated")
@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_tutorial(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "tutorial"}
    code = blocks(page, "python")
    assert code
    for block in code:
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.pi
def test_tutorial_that_measures():
    """Blocks marked "python engine" need the secure-computation engine, and the blocks before them."""
    try:
        engine_python()
    except MissingLibraryError as error:
        pytest.skip(str(error))
    page, names = DOCS / "plan_private_inference.md", {"__name__": "tutorial"}
    for block in blocks(page, "python(?: engine)?"):
        exec(compile(block, str(page), "exec"), names)
    assert "measured" in names


@pytest.mark.parametrize("page", ["audit_a_training_run", "audit_by_shadow_models", "audit_a_training_distribution"])
def test_audit_file_of_the_tutorial(page, tmp_path):
    (text,) = blocks(DOCS / f"{page}.md", "toml")
    file = tmp_path / "AUDIT.toml"
    file.write_text(text)
    assert isinstance(read_config(file), AuditConfig)
