"""What keeps a JSON value from being of a form, in words for the one line that refuses its file."""

import reprlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

SCHEMA: Final = 1


def form_fault(value: object, form: Any) -> str | None:
    """The first thing by which a JSON value is not of this version's schema and of a form; None if nothing is.

    Args:
        value: What a JSON file holds.
        form: A TypedDict; keys that it does not name are passed over.

    >>> from polyhead.report.curves import CurveDataForm
    >>> form_fault({"schema": 1, "name": "ud/de_gsd", "split": "dev", "sentences": "many"}, CurveDataForm)
    "sentences should be a valid integer, found 'many'"
    """
    if not isinstance(value, Mapping):
        return "expected a JSON object"
    if value.get("schema") != SCHEMA:
        return f"schema {value.get('schema')!r}; this version reads {SCHEMA}"
    try:
        _adapter(form).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            return f"{place} is missing"
        return f"{place} {first['msg'].replace('Input should', 'should')}, found {reprlib.repr(first['input'])}"
    return None


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:
    return TypeAdapter(form)
