"""Files of scores and masks: round trips, files of other tools, and errors for broken ones."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from polyhead.core.errors import DataFormatError
from polyhead.core.heads import HeadId, HeadScores
from polyhead.selection.score_files import read_mask, read_scores, scores_document, write_scores

matrices = st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(allow_infinity=False))
)
SAME_FOLDER = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def full() -> HeadScores:
    return HeadScores(
        np.array([[0.1, np.nan], [1e-300, 3.0]]),
        "gradient",
        signed=np.array([[-0.1, np.nan], [0.0, 1 / 3]]),
        total=np.array([[1.0, np.nan], [2.0, 30.0]]),
        low=np.array([[0.05, np.nan], [-1.0, 2.0]]),
        high=np.array([[0.2, np.nan], [1.0, 4.0]]),
        n=10,
        languages=("en", "zh-Hans"),
        model="models/mini ä",
        data_hash="abc",
        seconds=1.5,
        forward_passes=1.0,
        backward_passes=1.0,
        settings={"per": "sentence", "seed": 42, "limit": None},
    )


@pytest.mark.parametrize("name", ["scores.tsv", "scores.json"])
def test_everything_comes_back(tmp_path: Path, name: str) -> None:
    write_scores(tmp_path / name, full())
    back = read_scores(tmp_path / name)
    for field in ("values", "signed", "total", "low", "high"):
        np.testing.assert_array_equal(getattr(back, field), getattr(full(), field))
    for field in ("method", "n", "languages", "model", "data_hash", "seconds", "forward_passes", "backward_passes", "settings"):
        assert getattr(back, field) == getattr(full(), field)


@given(matrices, st.sampled_from(["scores.tsv", "scores.json"]))
@SAME_FOLDER
def test_numbers_are_exact(tmp_path: Path, values: NDArray[np.float64], name: str) -> None:
    write_scores(tmp_path / name, HeadScores(values, "magnitude"))
    np.testing.assert_array_equal(read_scores(tmp_path / name).values, values)


def test_what_the_files_look_like(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.tsv", full())
    lines = (tmp_path / "s.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# polyhead scores schema 1 method=gradient"
    assert lines[2] == "layer\thead\tscore\tsigned\ttotal\tlow\thigh"
    assert lines[4] == "0\t1\tnull\tnull\tnull\tnull\tnull"
    document = scores_document(full())
    assert document["scores"] == [[0.1, None], [1e-300, 3.0]]
    assert document["high"] == [[0.2, None], [1.0, 4.0]]
    assert document["passes"] == {"forward": 1.0, "backward": 1.0}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize(
    "text",
    [
        "0\t0\t1\n0\t1\t2.5\n",
        "layer\thead\tscore\n0\t1\t2.5\n0\t0\t1\n",
        "\ufeffLayer Head Score\r\n0 0 1\r\n0 1 2.5\r\n",
        "# made by another tool\nhead\tnote\tscore\tlayer\n0\tx\t1e0\t0\n\n1\ty\t+2.5\t0\n",
        "[[1, 2.5]]",
        '{"scores": [[1, 2.5]], "tool": "other"}',
    ],
)
def test_files_of_other_tools(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores"
    path.write_text(text, encoding="utf-8", newline="")
    scores = read_scores(path)
    assert scores.values.tolist() == [[1.0, 2.5]]
    assert scores.method == "unknown"


@pytest.mark.parametrize("text", ["0\t0\tnull\n0\t1\t1\n", "[[null, 1]]"])
def test_null_marks_a_pruned_head(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text(text)
    assert np.isnan(read_scores(path).values).tolist() == [[True, False]]


@pytest.mark.parametrize("text", ["[[NaN, 1]]", *(f"0\t0\t{word}\n0\t1\t1\n" for word in ("NaN", "nan", "NA", "", "-inf"))])
def test_a_score_that_is_not_a_number_does_not_mark_a_pruned_head(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text(text)
    with pytest.raises(DataFormatError, match=r"scores.tsv:1: .* or null"):
        read_scores(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0\t0\t1\n0\t0\t2\n", r":2: head 0\.0 is also in line 1"),
        ("0\t0\t1\n1\t1\t2\n", r":1: 2 of 4 heads have no score, the first is 0\.1"),
        ("0\t0\tx\n", ":1: score 'x': expected a finite number"),
        ("0\t0\tinf\n", ":1: score 'inf'"),
        ("0\t0\t1e999\n", ":1: score '1e999'"),
        ("0\t0\t1\n0\t1\n", ":2: 2 columns, expected 3"),
        ("layer\thead\tscore\n0\t-1\t1\n", ":2: head '-1'"),
        ("0\t1.0\t1\n", r":1: head '1\.0'"),
        ("999999\t0\t1\n", ":1: layer '999999'"),
        ("layer\tscore\n0\t1\n", ":1: columns layer, score: expected layer, head, score"),
        ("layer\thead\tscore\tscore\n0\t0\t1\t1\n", "each once"),
        ("layer\thead\tscore\n", ":1: no row of scores"),
        ("# polyhead scores schema 2 method=x\n0\t0\t1\n", ":1: schema 2: this version reads schema 1"),
        ("# polyhead scores schema 1 method=x\n# {oops\n0\t0\t1\n", ":2: the comment is not JSON"),
        ('# polyhead scores schema 1 method=x\n# {"n": "many"}\n0\t0\t1\n', ":2: `n` = 'many': should be a whole number"),
        ('# polyhead scores schema 1 method=x\n# {"languages": ["en", 1]}\n0\t0\t1\n', ":2: `languages` = 1: should be text"),
        ('{"scores": [[1]], "languages": "en"}', ":1: `languages` = 'en': should be a list"),
        ('# polyhead scores schema 1 method=x\n# {"n_layers": 2}\n0\t0\t1\n', ":2: n_layers and n_heads are"),
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("[[1, 2], [3]]", ":1: `scores` has 1 heads in layer 1 but 2 in layer 0"),
        ("[[1, true]]", r":1: `scores` has True for head 0\.1"),
        ('[[1, "2"]]', r"has '2' for head 0\.1: expected a number or null"),
        ("[[1, Infinity]]", "has inf for head"),
        ("[[1, 1" + "0" * 400 + "]]", "for head 0.1"),
        ("[[]]", "expected a list of layers"),
        ("[1, 2]", "expected a list of layers"),
        ("[]", "expected a list of layers"),
        ("{}", "no `scores` among no keys"),
        ('{"schema": "1", "scores": [[1]]}', "schema '1'"),
        ('{"scores": [[1]], "total": [[1, 2]]}', "`total` is"),
        ('{"scores": [[1]], "high": [[1, 2]]}', "`high` is"),
        ("layer\thead\tscore\tlow\tlow\n", "each once"),
        ("0\t0\t1\t1\t1\t1\n", ":1: 6 columns, expected 5"),
        ('{"scores": [[1]], "passes": {"forward": "x"}}', "`passes` = 'x': should be a number"),
        ('{"scores": [[1]], "n_heads": 3}', "n_layers and n_heads are"),
        ('{"scores":\n [[1]', ":2: not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_broken_scores_are_one_line_with_path_and_line(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(DataFormatError, match=what) as caught:
        read_scores(path)
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 600


def test_files_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "scores.tsv"
    path.write_bytes(b"\x80\x04\x95")
    for reader in (read_scores, read_mask):
        with pytest.raises(DataFormatError, match="not UTF-8"):
            reader(path)
        with pytest.raises(DataFormatError, match="cannot be read"):
            reader(tmp_path)
        with pytest.raises(DataFormatError, match="cannot be read"):
            reader(tmp_path / "none")


@given(st.text(alphabet='0123 \t\nlayer.nd{}[],:"#-', max_size=60))
@SAME_FOLDER
def test_no_text_causes_anything_but_a_data_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any"
    path.write_text(text, encoding="utf-8", newline="")
    for reader in (read_scores, read_mask):
        with contextlib.suppress(DataFormatError):
            reader(path)


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": 1, "n_layers": 2, "n_heads": 2, "pruned": ["1.0"]}',
        '{"keep": [[true, true], [false, true]]}',
        "[[1, 1], [0, 1]]",
    ],
)
def test_forms_of_a_mask(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mask.json"
    path.write_text(text)
    assert read_mask(path).pruned == (HeadId(1, 0),)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"n_layers": 2, "n_heads": 2, "pruned": ["2.0"]}', r"head 2\.0: this model has layers 0\.\.1"),
        ('{"n_layers": 2, "n_heads": 2, "pruned": ["2-0"]}', "expected LAYER.HEAD"),
        ('{"n_layers": 2, "n_heads": 2, "pruned": [[0, 1]]}', "expected a list of heads"),
        ('{"n_layers": 2, "pruned": []}', r"n_layers and n_heads are \[2, None\]"),
        ('{"n_layers": true, "n_heads": 2, "pruned": []}', "n_layers and n_heads"),
        ('{"n_layers": 100000000, "n_heads": 100000000, "pruned": []}', r"n_layers and n_heads are \[100000000, 100000000\]"),
        ('{"keep": [[2]]}', r"`keep` has 2 for head 0\.0: expected true or false"),
        ('{"keep": [[null]]}', "expected true or false"),
        ('{"keep": [[1]], "pruned": []}', "either `keep` or `pruned`"),
        ('{"schema": 9, "keep": [[1]]}', "schema 9"),
        ('"keep"', "expected an object or a list of lists"),
        ("3.5,4.1", "not JSON"),
    ],
)
def test_broken_masks(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "mask.json"
    path.write_text(text)
    with pytest.raises(DataFormatError, match=what):
        read_mask(path)
