"""What is wrong with a JSON value is said by its place, in one short line."""

from typing import NotRequired

import pytest
from typing_extensions import TypedDict

from polyhead.report.record_form import form_fault


class Inner(TypedDict):
    n: int


class Form(TypedDict):
    inner: list[Inner]
    name: NotRequired[str | None]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"schema": 1, "inner": [{"n": 2}], "more": "passed over"}, None),
        ({"schema": 1, "inner": [], "name": None}, None),
        ([], "expected a JSON object"),
        ({"inner": []}, "schema None; this version reads 1"),
        ({"schema": "1", "inner": []}, "schema '1'; this version reads 1"),
        ({"schema": 1}, "inner is missing"),
        ({"schema": 1, "inner": [{"n": 2}, {}]}, "inner.1.n is missing"),
        ({"schema": 1, "inner": [{"n": "2"}]}, "inner.0.n should be a valid integer, found '2'"),
        ({"schema": 1, "inner": [{"n": True}]}, "inner.0.n should be a valid integer, found True"),
    ],
)
def test_the_first_fault_is_named_by_its_place(value: object, said: str | None) -> None:
    assert form_fault(value, Form) == said


def test_a_long_value_is_shortened_and_stays_on_one_line() -> None:
    said = form_fault({"schema": 1, "inner": "line\n" * 1000}, Form)
    assert said is not None
    assert len(said) < 120
    assert "\n" not in said
