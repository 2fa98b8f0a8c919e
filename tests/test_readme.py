"""The README says what the result files say, and its commands exist."""

import re
from pathlib import Path

from experiments.figures import README, filled
from privacy_audit.cli.main import app


def test_figures_come_from_the_result_files():
    text = README.read_text()
    assert filled(text) == text, "run `make figures`"


def test_commands_of_the_readme_exist():
    known = {command.callback.__name__ for command in app.registered_commands} | {group.name for group in app.registered_groups}
    used = set(re.findall(r"privacy-audit ([a-z]+)", README.read_text()))
    assert used
    assert used <= known


def test_make_targets_of_the_readme_exist():
    makefile = (README.parent / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make ([a-z]+)", README.read_text(), flags=re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (Path(README.parent) / link).exists(), link
