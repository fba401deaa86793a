"""JSON files of a run as forms: written atomically with a checksum, read with every fault named; used both ways."""

import hashlib
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from polyhead.core.errors import StoreError
from polyhead.core.files import write_text_atomic


class Form(BaseModel):
    """A part of a document: frozen, without unknown fields, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class Document(Form):
    """A JSON file; on disk it also has the number of its schema and the sha256 of its content; `what` names it in errors."""

    schema_number: ClassVar[int] = 2
    what: ClassVar[str]
    indent: ClassVar[int | None] = None


D = TypeVar("D", bound=Document)


def write_document(path: Path, document: Document) -> None:
    """Writes the JSON file that `read_document` reads, atomically.

    Raises:
        StoreError: The file cannot be written.
    """
    separators = (",", ":") if document.indent is None else (",", ": ")
    text = json.dumps(document_json(document), ensure_ascii=False, indent=document.indent, separators=separators)
    write_text_atomic(path, text + "\n")


def document_json(document: Document) -> dict[str, Any]:
    """The JSON content of the document's file."""
    body = document.model_dump(mode="json")
    return {"schema": document.schema_number, "sha256": _digest(body), **body}


def read_document(path: Path, kind: type[D], *, then: str = "run the same polyhead run command again") -> D:
    """The document in a file.

    Args:
        path: The file.
        kind: The expected form.
        then: For the error message: what to do if the file is damaged, or what happens next.

    Raises:
        StoreError: The file cannot be read or is damaged; the message says where, what was found and what was expected.
    """
    content = read_content(path, kind.what, then=then)
    try:
        return _checked(content, kind)
    except (ValueError, RecursionError) as error:  # also NaN, a lone surrogate, or nested too deep
        raise unusable(path, kind.what, fault_text(error), then=then) from None


def read_content(path: Path, what: str, *, then: str) -> Any:
    """The content of a JSON file, with errors as those of `read_document`."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise unusable(path, what, f"not JSON: {error}", then=then) from None


def unusable(path: Path, what: str, fault: str, *, then: str) -> StoreError:
    """The error for a file that is not what it should be: the file, what is wrong with it, and the next step."""
    return StoreError(f"{path}: not {what}, or damaged ({fault}); {then}")


def _checked(content: Any, kind: type[D]) -> D:
    if not isinstance(content, dict):
        raise ValueError(f"expected a JSON object, found a {type(content).__name__}")
    if type(content.get("schema")) is not int or content["schema"] != kind.schema_number:
        raise ValueError(f"schema is {content.get('schema')!r}, expected {kind.schema_number}")
    body = {key: value for key, value in content.items() if key not in ("schema", "sha256")}
    found = kind.model_validate_json(json.dumps(body, allow_nan=False))
    if content.get("sha256") != (digest := _digest(body)):
        raise ValueError(f"changed after it was written: sha256 is {content.get('sha256')!r}, expected {digest!r}")
    return found


def fault_text(error: Exception) -> str:
    """An error in one line; for the first of a form its place, what was expected and what was found.

    >>> from pydantic import TypeAdapter
    >>> try:
    ...     TypeAdapter(dict[str, float]).validate_python({"mean": "much"}, strict=True)
    ... except ValidationError as error:
    ...     print(fault_text(error))
    mean should be a valid number, found 'much'
    """
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False)[0]
    place, said = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    if not place:
        return said
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place} is not a field of this file"
    return f"{place} {said.replace('Input should', 'should')}, found {reprlib.repr(first['input'])}"


def _digest(body: Mapping[str, Any]) -> str:
    """sha256 of the content, independent of layout and the order of fields."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()
