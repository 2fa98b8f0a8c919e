"""What conformance tests found: a fourth kind of statement, about an implementation and not about a mechanism.

A test compares raw signals of the run with what the accountant was told. A failure says "this engine does not do what the claim assumes"
and names what is broken; it is no bound, and a pass is no proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mechanisms.json_ready import JsonValue, json_ready

SCHEMA_VERSION = 1

Part = Literal[
    "noise scale", "noise mean", "noise shape", "noise reuse", "noise correlation",
    "sampling", "clipping", "normalization", "accounting", "steps", "read-out",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceTest:
    """One test and what it found.

    Parameters
    ----------
    name : the test's name in the specification of conformance tests: "noise_scale", "step_pairs", ...
    part : what is broken if it fails.
    p_value : probability under the claim of a result at least this extreme; None for an exact check.
    passed : p_value >= level / number of tests, or the exact check held.
    finding : one sentence with the measured figure beside the claimed one.
    """

    name: str
    part: Part
    p_value: float | None
    passed: bool
    finding: str

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {"name": self.name, "part": self.part, "p_value": json_ready(self.p_value), "passed": self.passed, "finding": self.finding}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceReport:
    """All conformance tests of one run.

    Parameters
    ----------
    tests : every test and exact check that was run.
    level : probability that a clean run passes all tests, split evenly over those with a p-value.
    noise_multiplier_interval, sample_rate_interval : simultaneous intervals of what the run really did; None after a failed test.
    epsilon_interval : the accountant at their corners, kind "conformance"; None after a failed test.
    """

    tests: tuple[ConformanceTest, ...]
    level: float
    noise_multiplier_interval: tuple[float, float] | None = None
    sample_rate_interval: tuple[float, float] | None = None
    epsilon_interval: tuple[float, float] | None = None

    @property
    def kind(self) -> Literal["conformance"]:
        """The kind of statement."""
        return "conformance"

    @property
    def passed(self) -> bool:
        """Whether no test failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[ConformanceTest, ...]:
        """The tests that failed, in the order they were run."""
        return tuple(test for test in self.tests if not test.passed)

    @property
    def broken(self) -> tuple[str, ...]:
        """The parts of the implementation that are broken, each once.

        Signals read out wrongly, repeated noise and a wandering normalizer make other tests fail too, in this order: the first of them that
        failed stands for all tests with a p-value. `failures` still lists every test.
        """
        exact = [test.part for test in self.failures if test.p_value is None]
        measured = [test.part for test in self.failures if test.p_value is not None]
        for root in ("read-out", "noise reuse", "normalization"):
            if root in exact or root in measured:
                return tuple(dict.fromkeys([*exact, root]))
        return tuple(dict.fromkeys([*exact, *measured]))

    @property
    def noise_is_reused(self) -> bool:
        """Whether the noise repeats: two releases with the same noise show the data exactly, so epsilon is infinite."""
        return "noise reuse" in self.broken

    def __getitem__(self, name: str) -> ConformanceTest:
        for test in self.tests:
            if test.name == name:
                return test
        raise KeyError(name)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "level": self.level,
            "passed": self.passed,
            "broken": list(self.broken),
            "tests": [test.to_dict() for test in self.tests],
            "noise_multiplier_interval": json_ready(self.noise_multiplier_interval),
            "sample_rate_interval": json_ready(self.sample_rate_interval),
            "epsilon_interval": json_ready(self.epsilon_interval),
        }


def interval_from_json(value: object) -> tuple[float, float] | None:
    """Read an interval that `to_dict` wrote."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise TypeError("an interval must be a list of two numbers")
    return float(value[0]), float(value[1])


def conformance_from_dict(record: Mapping[str, object]) -> ConformanceReport:
    """Rebuild a report from `to_dict()`."""
    tests = record["tests"]
    if not isinstance(tests, list):
        raise TypeError("tests must be a list")
    return ConformanceReport(
        tests=tuple(ConformanceTest(**test) for test in tests),
        level=float(str(record["level"])),
        noise_multiplier_interval=interval_from_json(record["noise_multiplier_interval"]),
        sample_rate_interval=interval_from_json(record["sample_rate_interval"]),
        epsilon_interval=interval_from_json(record["epsilon_interval"]),
    )
