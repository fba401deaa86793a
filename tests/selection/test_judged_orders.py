"""Names of the orders that `curve` compares: no file is lost to another with the same name."""

from pathlib import Path

import numpy as np
import pytest

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask, HeadScores
from polyhead.selection.judged_orders import Order, both_ways, orders, read_files
from polyhead.selection.score_files import write_scores


def written(path: Path, method: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    write_scores(path, HeadScores(np.array([[2.0, 1.0], [4.0, 3.0]]), method))
    return path


def test_files_are_named_by_their_method_or_their_file(tmp_path: Path) -> None:
    paths = [
        written(tmp_path / name, method) for name, method in (("a.tsv", "fisher"), ("b.tsv", "gradient"), ("c.tsv", "gradient"))
    ]
    assert list(read_files(paths)) == ["fisher", "gradient (b)", "gradient (c)"]
    assert list(read_files(paths[:2])) == ["fisher", "gradient"]


def test_a_file_without_a_method_may_be_called_as_the_method_of_another(tmp_path: Path) -> None:
    named, unnamed = written(tmp_path / "own.tsv", "gradient"), tmp_path / "gradient.tsv"
    unnamed.write_text("0 0 1\n0 1 2\n1 0 3\n1 1 4\n")
    found = read_files([named, unnamed])
    assert {path for path, _ in found.values()} == {named, unnamed}


def test_files_of_one_name_are_told_apart_by_their_folder(tmp_path: Path) -> None:
    paths = [written(tmp_path / folder / "s.tsv", "gradient") for folder in ("x", "y")]
    assert list(read_files(paths)) == [f"gradient ({path})" for path in paths]
    with pytest.raises(SettingError, match="named more than once"):
        read_files([paths[0], tmp_path / "x" / ".." / "x" / "s.tsv"])


def test_an_order_from_both_ends_and_random_ones(tmp_path: Path) -> None:
    files = read_files([written(tmp_path / "s.tsv", "gradient")])
    present = HeadMask(np.array([[True, True], [False, True]]))
    found = orders(files, n_read={"gradient": 3}, normalisation="none", n_random=2, seed=5, model="m", present=present)
    low = (HeadId(0, 1), HeadId(0, 0), HeadId(1, 1))
    assert [order.heads for order in found[:2]] == [low, low[::-1]]
    assert [order.key for order in found] == [
        "gradient, lowest first",
        "gradient, highest first",
        "random (2 orders), seed 5",
        "random (2 orders), seed 6",
    ]
    assert [order.n_read for order in found] == [3, 3, 0, 0]


def test_the_reverse_of_a_crossed_order_is_crossed_too() -> None:
    one, other = (HeadId(0, 0), HeadId(0, 1)), (HeadId(0, 1), HeadId(0, 0))
    low, high = both_ways(Order("", "gradient", "lowest", one, crossed=other))
    assert (low.heads, low.crossed, high.heads, high.crossed) == (one, other, one[::-1], other[::-1])
    assert (low.group, high.group, high.direction) == ("gradient, lowest first", "gradient, highest first", "highest")
