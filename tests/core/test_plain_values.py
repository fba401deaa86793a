"""What JSON can hold of settings and results."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from polyhead.core.errors import SettingError
from polyhead.core.values import jsonable, plain


@dataclass(frozen=True)
class Fact:
    name: str
    place: Path
    values: tuple[float, ...]


def test_everything_becomes_dicts_lists_and_scalars() -> None:
    fact = Fact("a", Path("x/y"), (1.0, 2.0))
    assert plain({1: fact, "set": {3, 1}, "array": np.array([[1, 2]]), "number": np.float32(0.5)}) == {
        "1": {"name": "a", "place": "x/y", "values": [1.0, 2.0]},
        "set": [1, 3],
        "array": [[1, 2]],
        "number": 0.5,
    }


def test_numbers_that_json_has_not_are_none_at_any_depth() -> None:
    assert jsonable({"a": [np.array([1.0, np.nan]), (float("inf"), {"b": -np.inf})]}) == {"a": [[1.0, None], [None, {"b": None}]]}


@pytest.mark.parametrize("value", [object(), len, Fact])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(SettingError, match="no JSON form"):
        jsonable([value])
