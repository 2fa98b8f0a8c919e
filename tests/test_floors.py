"""The house stands: who imports whom, what may stand at the top of a file, what no file may use.

Every Python file of the five packages is parsed, none is imported. An arrow up or sideways is one wherever it stands. For cycles and heavy
libraries only what runs when the file is imported counts: not functions, not `if TYPE_CHECKING:`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

ROOT = Path(__file__).resolve().parents[1]
BELOW = {
    "mechanisms": set(),
    "attacks": {"mechanisms"},
    "synth": {"mechanisms"},
    "private_inference": {"mechanisms"},
    "privacy_audit": {"mechanisms", "attacks", "synth", "private_inference"},
}
OUTSIDE = {"tests", "experiments"}
HEAVY = {"torch", "pymc", "sklearn", "matplotlib"}
COMMAND_LINE_ONLY = {"typer", "rich"}
SEEDED_PARTS = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "Philox"}


When = Literal["import", "call", "type check"]


@dataclass(frozen=True)
class Import:
    module: str  # absolute, "attacks.scores"; for `from a import b` both a and a.b are listed
    line: int
    when: When


@dataclass(frozen=True)
class SourceFile:
    path: Path
    module: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    def imports(self) -> Iterator[Import]:
        for node, when in _statements(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, node.lineno, when) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield Import(base, node.lineno, when)
                yield from (Import(f"{base}.{alias.name}", node.lineno, when) for alias in node.names)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        parts = self.module.split(".")
        is_package = self.path.name == "__init__.py"
        base = parts[: len(parts) - node.level + is_package]
        return ".".join([*base, node.module] if node.module else base)


def _statements(node: ast.AST, when: When = "import") -> Iterator[tuple[ast.AST, When]]:
    """Walk the tree; say of each node when it runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _statements(ast.Module(child.body, []), "type check")
            yield from _statements(ast.Module(child.orelse, []), when)
            continue
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        runs: When = "call" if is_function and when == "import" else when
        yield child, runs
        yield from _statements(child, runs)


def read_tree(root: Path) -> list[SourceFile]:
    files = []
    for package in BELOW:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            files.append(SourceFile(path, module, ast.parse(path.read_text(encoding="utf-8"))))
    return files


def arrows_up_or_sideways(files: list[SourceFile]) -> list[str]:
    found = []
    for file in files:
        allowed = BELOW[file.package] | {file.package}
        for item in file.imports():
            target = item.module.partition(".")[0]
            if target in (set(BELOW) | OUTSIDE) - allowed:
                found.append(f"{file.module}:{item.line} imports {item.module}")
    return found


def cycles(files: list[SourceFile]) -> list[str]:
    modules = {file.module for file in files}
    arrows = {file.module: {item.module for item in file.imports() if item.when == "import" and item.module in modules} for file in files}
    state: dict[str, str] = {}
    found: list[str] = []

    def visit(module: str, trail: tuple[str, ...]) -> None:
        state[module] = "open"
        for target in sorted(arrows[module] - {module}):
            if state.get(target) == "open":
                found.append(" -> ".join([*trail[trail.index(target) :], target]))
            elif target not in state:
                visit(target, (*trail, target))
        state[module] = "done"

    for module in sorted(modules):
        if module not in state:
            visit(module, (module,))
    return found


def heavy_tops(files: list[SourceFile]) -> list[str]:
    return [
        f"{file.module}:{item.line} imports {item.module} at its top"
        for file in files
        if file.package == "privacy_audit"
        for item in file.imports()
        if item.when == "import" and item.module.partition(".")[0] in HEAVY
    ]


def screens_in_libraries(files: list[SourceFile]) -> list[str]:
    return [
        f"{file.module}:{item.line} imports {item.module}"
        for file in files
        if not file.module.startswith("privacy_audit.cli")
        for item in file.imports()
        if item.module.partition(".")[0] in COMMAND_LINE_ONLY
    ]


def forbidden_use(files: list[SourceFile]) -> list[str]:
    found = []
    for file in files:
        found += [f"{file.module}:{item.line} imports {item.module}" for item in file.imports() if item.module in ("random", "pickle")]
        for node, when in _statements(file.tree):
            if isinstance(node, ast.Call) and (reason := _forbidden_call(ast.unparse(node.func), when)):
                found.append(f"{file.module}:{node.lineno} {reason}")
    return found


def _forbidden_call(name: str, when: When) -> str | None:
    if name == "print":
        return "prints"
    if name.endswith("torch.manual_seed") or name == "manual_seed":
        return "seeds torch's global generator"
    head, _, function = name.rpartition(".")
    if head in ("np.random", "numpy.random"):
        if function not in SEEDED_PARTS:
            return f"uses the global generator: {name}"
        if when == "import":
            return f"makes a generator when imported: {name}"
    return None


RULES = (arrows_up_or_sideways, cycles, heavy_tops, screens_in_libraries, forbidden_use)
Rule = Callable[[list[SourceFile]], list[str]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_keeps_the_rule(rule: Rule):
    assert rule(read_tree(ROOT)) == []


def test_tree_is_read_whole():
    modules = {file.module for file in read_tree(ROOT)}
    assert {"mechanisms", "attacks.scores", "privacy_audit.cli.main"} <= modules


BROKEN = {
    "up": ("mechanisms/a.py", "import attacks.scores\n", arrows_up_or_sideways),
    "up, in a function": ("mechanisms/a.py", "def f():\n    from privacy_audit import x\n", arrows_up_or_sideways),
    "up, for types": (
        "mechanisms/a.py",
        "import typing\nif typing.TYPE_CHECKING:\n    import attacks\n",
        arrows_up_or_sideways,
    ),
    "sideways": ("attacks/a.py", "from synth import schema\n", arrows_up_or_sideways),
    "sideways, relative": ("attacks/sub/a.py", "from ...synth import schema\n", arrows_up_or_sideways),
    "outside": ("attacks/a.py", "import tests\n", arrows_up_or_sideways),
    "heavy": ("privacy_audit/a.py", "try:\n    from torch import nn\nexcept ImportError:\n    pass\n", heavy_tops),
    "heavy, in a class": ("privacy_audit/cli/a.py", "class A:\n    import sklearn.svm\n", heavy_tops),
    "screen": ("attacks/a.py", "def f():\n    import rich.table\n", screens_in_libraries),
    "print": ("mechanisms/a.py", "def f():\n    print(1)\n", forbidden_use),
    "pickle": ("attacks/a.py", "def f():\n    import pickle\n", forbidden_use),
    "random": ("attacks/a.py", "from random import choice\n", forbidden_use),
    "seed": ("attacks/a.py", "import numpy as np\ndef f():\n    np.random.seed(0)\n", forbidden_use),
    "global draw": ("attacks/a.py", "import numpy\ndef f():\n    return numpy.random.normal()\n", forbidden_use),
    "generator at import": ("attacks/a.py", "import numpy as np\nR = np.random.default_rng(0)\n", forbidden_use),
    "torch seed": ("attacks/a.py", "import torch\ndef f():\n    torch.manual_seed(0)\n", forbidden_use),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_house_is_caught(case: str, tmp_path: Path):
    name, text, rule = BROKEN[case]
    write(tmp_path, {name: text})
    assert [other.__name__ for other in RULES if other(read_tree(tmp_path))] == [rule.__name__]


def test_cycle_is_caught(tmp_path: Path):
    write(tmp_path, {"attacks/a.py": "import attacks.b\n", "attacks/b.py": "from attacks import c\n", "attacks/c.py": "from .a import x\n"})
    assert cycles(read_tree(tmp_path)) == ["attacks.a -> attacks.b -> attacks.c -> attacks.a"]


def test_sound_house_passes(tmp_path: Path):
    allowed = {
        "mechanisms/a.py": "import numpy as np\ndef f(rng):\n    return np.random.default_rng(rng)\n",
        "attacks/a.py": "import torch, typing\nfrom mechanisms.a import f\nif typing.TYPE_CHECKING:\n    import attacks.b\n",
        "attacks/b.py": "import attacks.a\ndef g():\n    import attacks.c\n",
        "attacks/c.py": "from attacks.b import g\n",
        "privacy_audit/a.py": "import attacks.a, mechanisms.a\ndef f():\n    import torch\n",
        "privacy_audit/cli/a.py": "import typer\n",
    }
    write(tmp_path, allowed)
    assert [rule.__name__ for rule in RULES if rule(read_tree(tmp_path))] == []


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
