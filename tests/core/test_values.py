"""What JSON can hold of settings and results; and numbers of absurd length, bad input with its own message everywhere."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from polyhead.core.errors import CheckpointError, DataFormatError, SettingError, StoreError
from polyhead.core.files import read_json
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.settings_file import read_toml
from polyhead.core.values import jsonable, plain, whole_number
from polyhead.data.column_format import parse_columns
from polyhead.data.conllu import read_conllu
from polyhead.data.textfile import TextFile
from polyhead.models.pruning_record import read_record
from polyhead.selection.score_files import read_scores

LONG = "9" * 5000  # Python's int() raises for more than 4,300 digits


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("999999999", 999999999)])
def test_numbers(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1.0", "٣", "²", "1_000", "1000000000", LONG])
def test_other_text_is_not_a_number(text: str) -> None:
    assert whole_number(text) is None


@pytest.mark.parametrize("text", [f"{LONG}.0", f"0.{LONG}"])
def test_heads(text: str) -> None:
    with pytest.raises(SettingError, match=r"LAYER\.HEAD") as error:
        HeadId.parse(text)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("item", ["token=", "tag=", "index=", "columns=", "columns=2/"])
def test_columns(item: str) -> None:
    with pytest.raises(SettingError, match="columns counted from 1") as error:
        parse_columns(f"tab:{item}{LONG}")
    assert len(str(error.value)) < 300


def test_a_file_of_no_columns_is_refused() -> None:
    with pytest.raises(SettingError, match="columns=0"):
        parse_columns("tab:columns=0")


ROW = "1\tw\t_\tNOUN\t_\t_\t_\t_\t_\t_\n"


@pytest.mark.parametrize("identifier", [LONG, f"1-{LONG}", f"{LONG}-2", f"1.{LONG}"])
def test_conllu_ids(tmp_path: Path, identifier: str) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(ROW + ROW.replace("1\t", f"{identifier}\t", 1))
    with pytest.raises(DataFormatError, match=r"a\.conllu:2: id"):
        list(read_conllu(TextFile(path, "en")))


def test_conllu_heads(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(f"1-2\tw\t_\t_\t_\t_\t_\t_\t_\t_\n1\tw\t_\tNOUN\t_\t_\t{LONG}\t_\t_\t_\n2\tw\t_\tX\t_\t_\t0\t_\t_\t_\n")
    with pytest.raises(DataFormatError, match=r"a\.conllu:1: range 1-2 with the HEADs '999"):
        list(read_conllu(TextFile(path, "en"), words="surface"))


def test_records_of_removed_heads() -> None:
    record = {"quant_method": "polyhead", "schema": 1, "n_layers": 2, "n_heads": 2, "pruned_heads": {LONG: [0]}}
    with pytest.raises(CheckpointError, match=r"pruned_heads has layer .*expected 0\.\.1"):
        read_record(record, HeadMask.full(2, 2), folder="")


def test_the_schema_of_scores(tmp_path: Path) -> None:
    (tmp_path / "s.tsv").write_text(f"# polyhead scores schema {LONG} method=x\nlayer\thead\tscore\n0\t0\t1\n")
    with pytest.raises(DataFormatError, match=r"s\.tsv:1: schema"):
        read_scores(tmp_path / "s.tsv")


def test_settings_and_results(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f"[train]\nepochs = {LONG}\n")
    with pytest.raises(SettingError, match="not TOML"):
        read_toml(tmp_path / "a.toml")
    (tmp_path / "a.json").write_text(f'{{"n": {LONG}}}')
    with pytest.raises(StoreError, match=r"a\.json: not JSON"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("score", ["1_000", "٣", "0x10", "nan", "1e999", "²", "1e", LONG])
def test_scores_are_written_in_plain_digits(tmp_path: Path, score: str) -> None:
    (tmp_path / "s.tsv").write_text(f"layer\thead\tscore\n0\t0\t{score}\n", encoding="utf-8")
    with pytest.raises(DataFormatError, match=r"s\.tsv:2: score .*: expected a finite number"):
        read_scores(tmp_path / "s.tsv")


@pytest.mark.parametrize("score", ["1", "-1.5", "+.5", "5.", "1e-300", "1E5"])
def test_scores_may_have_signs_points_and_exponents(tmp_path: Path, score: str) -> None:
    (tmp_path / "s.tsv").write_text(f"layer\thead\tscore\n0\t0\t{score}\n", encoding="utf-8")
    assert read_scores(tmp_path / "s.tsv").values[0, 0] == float(score)


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
