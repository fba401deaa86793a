"""The record of a tagger's encoding: there and back, absent, and corrupt."""

import json
from pathlib import Path
from typing import Any

import pytest

from polyhead.core.errors import CheckpointError
from polyhead.models.encoding_choice import EncodingChoice

CHOICE = EncodingChoice(anchor="first", max_length=128, precision="bf16", words="syntactic", task="pos")
RECORD = {
    "schema": 1,
    "anchor": "first",
    "max_length": 128,
    "precision": "bf16",
    "words": "syntactic",
    "task": "pos",
    "nested": [],
    "plans": None,
    "shape": None,
}


def test_there_and_back(tmp_path: Path) -> None:
    CHOICE.write(tmp_path)
    assert json.loads((tmp_path / "polyhead.json").read_text()) == RECORD
    assert EncodingChoice.read(tmp_path) == EncodingChoice.read(str(tmp_path)) == CHOICE


def test_none_where_there_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in (tmp_path, tmp_path / "no-such-folder", tmp_path / "file", "org/model-on-the-hub"):
        assert EncodingChoice.read(name) is None


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "polyhead.json").write_text(json.dumps({**RECORD, "note": 1}))
    assert EncodingChoice.read(tmp_path) == CHOICE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema 2; this version reads 1"),
        ({"schema": True}, "schema True"),
        ({"anchor": "last"}, "anchor = 'last': should be 'text' or 'first'"),
        ({"anchor": ["text"]}, r"anchor = \['text'\]"),
        ({"max_length": 0}, "max_length = 0: should be at least 1"),
        ({"max_length": "256"}, "max_length = '256': should be a whole number"),
        ({"max_length": True}, "max_length = True"),
        ({"precision": "auto"}, "precision = 'auto': should be 'bf16' or 'fp32'"),
        ({"words": None}, "words = None: should be 'surface' or 'syntactic'"),
        ({"task": ""}, "task = '': should not be empty"),
        ({"task": "x" * 999}, None),
    ],
)
def test_a_value_that_is_not_allowed(tmp_path: Path, change: dict[str, Any], message: str | None) -> None:
    (tmp_path / "polyhead.json").write_text(json.dumps({**RECORD, **change}))
    if message is None:
        assert EncodingChoice.read(tmp_path) is not None
        return
    with pytest.raises(CheckpointError, match=message) as caught:
        EncodingChoice.read(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "polyhead.json"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in RECORD if name not in ("schema", "nested", "plans", "shape")])
def test_a_missing_value(tmp_path: Path, name: str) -> None:
    (tmp_path / "polyhead.json").write_text(json.dumps({key: value for key, value in RECORD.items() if key != name}))
    with pytest.raises(CheckpointError, match=f"{name}: required"):
        EncodingChoice.read(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"schema": ' + b"1" * 5000 + b"}"], ids=range(7)
)
def test_what_is_no_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "polyhead.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"polyhead\.json: ") as caught:
        EncodingChoice.read(tmp_path)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_record_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "polyhead.json").mkdir()
    with pytest.raises(CheckpointError, match="cannot be read"):
        EncodingChoice.read(tmp_path)
