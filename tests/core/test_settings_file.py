"""Faults of settings as data: all of them, each with its path."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field

from polyhead.core.errors import SettingError
from polyhead.core.settings_file import Many, faults_of, parse_toml, read_toml, refused, settings


def _short(name: str) -> str:
    if len(name) > 3:
        raise refused(f"name {name!r}: three letters at most")
    return name


@settings
class Inner:
    n: Annotated[int, Field(strict=True, ge=1)] = 1


@settings
class Outer:
    names: Many[Annotated[str, AfterValidator(_short)]]
    kind: Literal["nested", "sweep"] = "sweep"
    inner: Inner


def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"a = 1\n# caf\xe9\n")
    with pytest.raises(SettingError, match=r"x\.toml:2: byte 0xe9 is not UTF-8; save the file as UTF-8$"):
        read_toml(path)


def test_every_fault_has_its_path() -> None:
    made, faults = faults_of(Outer, {"names": ["a", "abcd"], "kind": "nestd", "inner": {"n": 0, "m": 1}, "knid": 1})
    assert made is None
    assert dict(faults) == {
        ("names", 1): "names: name 'abcd': three letters at most",
        ("kind",): "kind = 'nestd': should be 'nested' or 'sweep'; did you mean 'nested'?",
        ("inner", "n"): "inner.n = 0: should be at least 1",
        ("inner", "m"): "inner.m: unknown option; expected one of n",
        ("knid",): "knid: unknown option; did you mean 'kind'? Expected one of names, kind, inner",
    }


def test_a_model_without_faults_is_made() -> None:
    assert faults_of(Outer, {"names": [], "inner": {}}) == (Outer(names=(), inner=Inner()), [])


def test_what_is_missing_is_required() -> None:
    assert faults_of(Outer, {"inner": {}})[1] == [(("names",), "names: required")]


@pytest.mark.parametrize(
    ("text", "said"),
    [("a = 1\nb = \n", "x.toml:2: not TOML (Invalid value)"), ("a = 1\na = 2", "x.toml:2: not TOML"), ("[" * 9999, "x.toml")],
)
def test_what_is_not_toml_has_its_line(text: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_toml(text, "x.toml")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
