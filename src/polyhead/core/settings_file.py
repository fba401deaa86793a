"""Settings read from a TOML file; misspelt options are refused with the nearest name."""

import difflib
import tomllib
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from polyhead.core.errors import SettingError

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        SettingError: The file is missing, cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror or error}); expected a TOML file of settings") from None
    except ValueError as error:  # also UnicodeDecodeError, and a number of too many digits
        raise SettingError(f"{path}: is not TOML ({error})") from None


def spec_from(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """A spec built from plain values, nested tables included; misspelt options are refused with the nearest name.

    Raises:
        SettingError: An option is unknown or a value is not allowed; the one line begins with `where` and names all faults.
    """
    faults: list[str] = []
    spec = _build(kind, values, "", faults)
    if spec is None or faults:
        raise SettingError(f"{where}: {'; '.join(faults)}")
    return spec


def _build(kind: type[T], values: Mapping[str, Any], prefix: str, faults: list[str]) -> T | None:
    hints = get_type_hints(kind)
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(names)}"
            faults.append(f"{prefix}{name}: unknown option; {hint}")
            continue
        nested = _nested(hints[name])
        if nested is None:
            chosen[name] = value
        elif isinstance(value, Mapping):
            built = _build(nested, value, f"{prefix}{name}.", faults)
            chosen |= {} if built is None else {name: built}
        else:
            faults.append(f"{prefix}{name} = {value!r}: should be a table of options")
    try:
        return kind(**chosen)
    except SettingError as error:
        faults.append("; ".join(prefix + part for part in str(error).split("; ")))
    except TypeError as error:
        faults.append(f"{prefix.rstrip('.') or kind.__name__}: {str(error).replace('.__init__()', '')}")
    return None


def _nested(hint: Any) -> type | None:
    """The dataclass that a field holds, also where it may be None."""
    options = get_args(hint) if get_origin(hint) is types.UnionType else (hint,)
    return next((option for option in options if isinstance(option, type) and is_dataclass(option)), None)
