"""Settings models: pydantic dataclasses that report all faults in one SettingError, and the TOML files that fill them."""

import difflib
import functools
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, cast, dataclass_transform, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails, PydanticCustomError

from polyhead.core.errors import SettingError, allowed_names
from polyhead.core.values import SHORT

T = TypeVar("T")

_REFUSED: Final = "refused"
_PLAIN_ENGLISH = {
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "string_type": "should be text",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a table of options",
    "is_instance_of": "should be a path",
    "too_short": "should have at least one item",
    "string_too_short": "should not be empty",
}


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        SettingError: The file is missing, cannot be read or is not TOML.
    """
    return parse_toml(toml_text(path), path)


def toml_text(path: Path) -> str:
    """The text of a TOML file.

    Raises:
        SettingError: The file is missing or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror or error}); expected a TOML file of settings") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise SettingError(f"{path}:{line}: {found}; save the file as UTF-8") from None
    except ValueError as error:  # a path that holds a null byte
        raise SettingError(f"{path}: not TOML ({error})") from None


def parse_toml(text: str, path: Path | str) -> dict[str, Any]:
    """The content of a TOML text; `path` is what errors call it.

    Raises:
        SettingError: It is not TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SettingError(f"{path}: nested too deeply; expected options, and tables of options") from None
    except ValueError as error:  # also a number with too many digits
        said, _, where = str(error).partition(" (at ")
        number = re.match(r"line (\d+)", where)
        line = number[1] if number else len(text.rstrip("\n").split("\n")) if where else ""
        raise SettingError(f"{path}:{line}: not TOML ({said})" if line else f"{path}: not TOML ({said})") from None


@dataclass_transform(kw_only_default=True, frozen_default=True)
def settings(kind: type[T]) -> type[T]:
    """The class as a frozen pydantic dataclass: keywords only, unknown names refused, all faults in one SettingError.

    Declare numbers and flags as strict (like `Count` in `polyhead.core.specs`); otherwise pydantic reads `"3"` as 3.

    >>> @settings
    ... class Window:
    ...     size: int = 8
    >>> Window(sise=3)
    Traceback (most recent call last):
        ...
    polyhead.core.errors.SettingError: sise: unknown option; did you mean 'size'? Expected one of size
    """
    model: Any = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))(kind)
    validate = model.__init__

    @functools.wraps(validate)
    def init(self: Any, **values: Any) -> None:
        try:
            validate(self, **values)
        except ValidationError as error:
            raise SettingError("; ".join(_fault(item, model) for item in error.errors(include_url=False))) from None

    model.__init__ = init
    return cast(type[T], model)


def faults_of(kind: type[T], values: Mapping[str, Any]) -> tuple[T | None, list[tuple[tuple[str | int, ...], str]]]:
    """The settings model made of plain values, or None; and every fault: its path (keys and positions) and what is wrong.

    >>> @settings
    ... class Window:
    ...     sizes: Many[Annotated[int, Field(strict=True)]] = ()
    >>> faults_of(Window, {"sizes": [1, "2"]})
    (None, [(('sizes', 1), "sizes = '2': should be a whole number")])
    """
    adapter: TypeAdapter[T] = _adapter(cast(Any, kind))
    try:
        return adapter.validate_python(dict(values)), []
    except ValidationError as error:
        found = error.errors(include_url=False)
    return None, [(tuple(item["loc"]), _fault(item, kind)) for item in found]


def refused(said: str) -> PydanticCustomError:
    """For a validator to raise: the message says the value itself, so it stands without it."""
    return PydanticCustomError(_REFUSED, "{said}", {"said": said})


def checked(name: str, value: Any, kind: Any, *, strict: bool = True) -> Any:
    """The value validated as `kind`, which may carry pydantic's constraints; text is parsed only if not `strict`.

    Raises:
        SettingError: The value is not allowed; the message calls it `name`.

    >>> checked("seeds", [1, 2], Many[int])
    (1, 2)
    """
    try:
        return _adapter(kind).validate_python(value, strict=strict)
    except ValidationError as error:
        raise SettingError("; ".join(said(name, item) for item in error.errors(include_url=False))) from None


def path_in(folder: str | Path | None, text: str) -> Path:
    """The path in `text`, `~` expanded; a relative one starts from `folder`, or from the current one if that is None.

    >>> path_in("studies", "data/de.conllu").as_posix(), path_in("studies", "/data").as_posix(), path_in(None, "data").as_posix()
    ('studies/data/de.conllu', '/data', 'data')
    """
    return Path(folder or "", Path(text).expanduser())


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else value


def _expanded(value: Any) -> Any:
    return os.path.expanduser(value) if isinstance(value, str | os.PathLike) else value


Many = Annotated[tuple[T, ...], Field(strict=True), BeforeValidator(_listed)]
"""A tuple from any sequence except text."""
Place = Annotated[str, Field(min_length=1), BeforeValidator(_expanded)]
"""A path, or a name used like one, such as a hub id; `~` is expanded."""


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _fault(item: ErrorDetails, model: type) -> str:
    """A pydantic error as `name = value: what it should be`."""
    path = [part for part in item["loc"] if isinstance(part, str)]
    name = ".".join(path)
    if item["type"] == "unexpected_keyword_argument":
        names = [one.name for one in fields(_model_at(model, path[:-1]) or model)]  # type: ignore[arg-type]
        return f"{name}: unknown option; {allowed_names(path[-1], names)}"
    if item["type"] == "value_error" and _model_at(model, path) is not None:  # from a model validator, which names its field
        return "".join(f"{part}." for part in path) + item["msg"].removeprefix("Value error, ")
    return said(name, item)


def said(name: str, item: ErrorDetails) -> str:
    """A pydantic error about the value called `name`, in plain English."""
    if item["type"] == "missing":
        return f"{name}: required"
    if item["type"] == _REFUSED:
        return f"{name}: {item['msg']}"
    if item["type"].startswith("dataclass"):
        said = "should be a table of options"
    else:
        said = _PLAIN_ENGLISH.get(item["type"], "") or item["msg"].removeprefix("Value error, ").replace("Input should", "should")
        said = said.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        near = difflib.get_close_matches(item["input"], re.findall(r"'([^']+)'", item["ctx"]["expected"]), n=1)
        said += "".join(f"; did you mean {one!r}?" for one in near)
    return f"{name} = {SHORT.repr(item['input'])}: {said}"


def _model_at(model: type, path: list[str]) -> type | None:
    """The model at a path of field names; None if the path ends at a plain field."""
    for name in path:
        model = get_type_hints(model).get(name, object)
    return model if is_dataclass(model) else None
