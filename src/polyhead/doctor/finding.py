"""Checks and their results."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from polyhead.doctor.subject import Subject

Excuse = Literal["", "not promised", "not checked"]
Result = Literal["ok", "FAILED", "not promised", "not checked"]


@dataclass(frozen=True)
class Measured:
    """The measurement of a check.

    Attributes:
        value: The value, which must not exceed the allowed one; NaN fails.
        detail: Further information for the reader.
        ok: False if something is wrong whatever the value.
        excuse: Set if nothing was promised or could be checked; the value is then ignored.
    """

    value: float
    detail: str = ""
    ok: bool = True
    excuse: Excuse = ""


def unchecked(why: str) -> Measured:
    """The result of a check that does not apply to this model or text."""
    return Measured(math.nan, why, excuse="not checked")


def largest(values: Mapping[str, float]) -> str:
    """The name of the largest value; NaN counts as the largest."""
    return max(values, key=lambda name: (math.isnan(values[name]), values[name]))


@dataclass(frozen=True)
class Check:
    """One row of a table of checks.

    Attributes:
        name: The property checked.
        meaning: What a failure means, and where to look.
        run: Measures the property on a subject.
        allowed: Largest value that passes.
    """

    name: str
    meaning: str
    run: Callable[[Subject], Measured]
    allowed: float


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        name: The check's name.
        result: Only `FAILED` is a failure.
        value: The measured value; NaN after an exception.
        allowed: Largest value that passes.
        detail: Further information for the reader; after an exception its message.
        meaning: What a failure means, and where to look.
    """

    name: str
    result: Result
    value: float
    allowed: float
    detail: str
    meaning: str

    @property
    def ok(self) -> bool:
        """Whether the check did not fail; also true if it was not promised or not checked."""
        return self.result != "FAILED"


def find(check: Check, subject: Subject) -> Finding:
    """Runs the check on the subject; an exception inside it becomes a failure with its message."""
    try:
        measured = check.run(subject)
    except Exception as error:
        measured = Measured(math.nan, f"{type(error).__name__}: {' '.join(str(error).split())}")
    fine = measured.ok and measured.value <= check.allowed
    result: Result = measured.excuse or ("ok" if fine else "FAILED")
    return Finding(check.name, result, measured.value, check.allowed, measured.detail, check.meaning)
