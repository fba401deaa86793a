"""A check, what it measured, and what that says."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Excuse = Literal["", "not promised", "not checked"]
Result = Literal["ok", "FAILED", "not promised", "not checked"]
T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """What a check came to.

    Attributes:
        value: The figure that must not exceed what is allowed; NaN fails.
        detail: What a reader should know beside the figure.
        ok: False where something is wrong whatever the figure.
        excuse: Set where nothing was promised, or nothing could be checked; the figure then decides nothing.
    """

    value: float
    detail: str = ""
    ok: bool = True
    excuse: Excuse = ""


@dataclass(frozen=True)
class Check(Generic[T]):
    """One row of a table of checks.

    Attributes:
        name: What is held to be true.
        meaning: What it means if it is not, and where to look.
        run: Measures it on a subject.
        allowed: Largest value that is still fine.
    """

    name: str
    meaning: str
    run: Callable[[T], Measured]
    allowed: float


@dataclass(frozen=True)
class Finding:
    """What a check says of a subject.

    Attributes:
        name: The check's name.
        result: `FAILED` is the only bad one.
        value: What was measured; NaN where an exception ended the check.
        allowed: Largest value that is fine.
        detail: What a reader should know beside the figure; for an exception its message.
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
        """Whether nothing is wrong; also true of what was not promised or not checked."""
        return self.result != "FAILED"


def find(check: Check[T], subject: T) -> Finding:
    """What the check says of the subject; an exception inside it is a failure with its message."""
    try:
        measured = check.run(subject)
    except Exception as error:
        measured = Measured(math.nan, f"{type(error).__name__}: {' '.join(str(error).split())}")
    fine = measured.ok and measured.value <= check.allowed
    result: Result = measured.excuse or ("ok" if fine else "FAILED")
    return Finding(check.name, result, measured.value, check.allowed, measured.detail, check.meaning)
