"""What importing costs, and that every public name is there."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from types import ModuleType

import pytest

PACKAGES = ("privacy_audit", "attacks", "mechanisms", "synth", "private_inference")
HEAVY = ("torch", "pymc", "sklearn", "matplotlib", "scipy.stats", "pandas", "opacus", "dp_accounting", "rich")


def modules_after(statement: str) -> set[str]:
    """The names of all modules that a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nsys.stdout.write(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import privacy_audit, attacks, mechanisms, synth, private_inference",
        "import privacy_audit.cli.main",
        "import privacy_audit; [getattr(privacy_audit, n) for n in ('EpsilonPosterior', 'epsilon_lower_bound', 'AuditReport')]",
        "import attacks; attacks.MembershipScores([0, 1], [0, 1]).auc",
        "import mechanisms; [getattr(mechanisms, name) for name in dir(mechanisms)]",
    ],
)
def test_import_is_light(statement: str):
    assert modules_after(statement).isdisjoint(HEAVY)


def test_importing_the_package_loads_not_even_numpy():
    assert "numpy" not in modules_after("import privacy_audit, attacks, mechanisms, synth, private_inference")


def test_the_check_sees_heavy_modules():
    assert "scipy.stats" in modules_after("import scipy.stats")


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_resolve(package: str):
    module = importlib.import_module(package)
    names = dir(module)
    assert names == sorted(names)
    assert names
    for name in names:
        value = getattr(module, name)
        assert value is getattr(module, name)
        assert value.__doc__


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_hides_a_public_name(package: str):
    for name in dir(importlib.import_module(package)):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(f"{package}.{name}")
        assert not isinstance(getattr(importlib.import_module(package), name), ModuleType)


@pytest.mark.parametrize("package", PACKAGES)
def test_unknown_name_is_an_attribute_error(package: str):
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = importlib.import_module(package).nothing
