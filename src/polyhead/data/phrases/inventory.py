"""What all languages share: names of templates with their intents and slots, and names of the fillers of every class."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from polyhead.core.errors import DataFormatError, UnknownNameError

OPENER = "opener"
"""The class that may stand before any template: a greeting, or nothing."""


@dataclass(frozen=True, slots=True)
class Role:
    """A slot of a template.

    Attributes:
        name: As templates write it, between braces.
        filler_class: The class of its fillers.
        slot: Its type for the task slots; empty if it has none.
        entity: Its type for the task ner; empty if it is not a named entity.
    """

    name: str
    filler_class: str
    slot: str
    entity: str


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A template independent of any language: an intent with its roles."""

    name: str
    intent: str
    roles: tuple[Role, ...]


@dataclass(frozen=True)
class Inventory:
    """Everything that holds for all languages.

    Attributes:
        languages: Names of the tables, for example `de`.
        frames: By name, in the order of the table.
        fillers: Names of the fillers by class.
        closed: Classes too small to split: every part uses all their fillers.
    """

    languages: tuple[str, ...]
    frames: Mapping[str, Frame] = field(hash=False)
    fillers: Mapping[str, tuple[str, ...]] = field(hash=False)
    closed: frozenset[str]


def read_table(name: str) -> dict[str, Any]:
    """The content of a TOML table of the package.

    Raises:
        UnknownNameError: There is no such table.
        DataFormatError: It is not TOML.
    """
    path = files("polyhead.data.phrases").joinpath("tables", f"{name}.toml")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise DataFormatError(f"{name}.toml: {error}; expected TOML") from None
    except FileNotFoundError:
        known = ", ".join(inventory().languages) if name != "frames" else "none: the package is incomplete, install it again"
        raise UnknownNameError(f"phrases in {name!r}: no such language; known are {known}") from None


@cache
def inventory() -> Inventory:
    """The table `frames.toml`, checked.

    Raises:
        DataFormatError: A template names a role or a class that is not declared, or a name occurs twice.
    """
    table = read_table("frames")
    fillers = {name: tuple(names.split()) for name, names in table["fillers"].items()}
    for name, names in fillers.items():
        if len(set(names)) < len(names):
            raise DataFormatError(f"frames.toml: fillers.{name} has a duplicate; expected each name once")
    entities = table["entities"]
    roles = {}
    for name, (filler_class, slot) in table["roles"].items():
        if filler_class not in fillers:
            raise DataFormatError(f"frames.toml: role {name} takes {filler_class!r}; expected a class under fillers")
        roles[name] = Role(name, filler_class, slot, entities.get(filler_class, ""))
    frames = {}
    for name, (intent, names) in table["frames"].items():
        if missing := [role for role in names.split() if role not in roles]:
            raise DataFormatError(f"frames.toml: frame {name} has the role {missing[0]!r}; expected one under roles")
        frames[name] = Frame(name, intent, tuple(roles[role] for role in names.split()))
    return Inventory(tuple(table["languages"]), frames, fillers, frozenset(table["closed"]))
