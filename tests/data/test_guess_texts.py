from pathlib import Path

import pytest

from polyhead.core.errors import DataFormatError
from polyhead.data.guess_layout import look
from polyhead.data.guess_texts import guess_texts


@pytest.mark.parametrize(
    ("text", "task", "columns"),
    [
        ("premise\thypothesis\tlabel\na b\tc\tneutral\n", "nli", "tsv:text=premise,pair=hypothesis,label=label"),
        ("sentence1,sentence2,label\na b,c,1\n", "classification", "csv:text=sentence1,pair=sentence2,label=label"),
        ("id\ttext\tintent\n1\twake me up\talarm\n", "classification", "tsv:text=text,label=intent"),
        ('{"text": "so it goes", "label": "sad"}\n', "classification", "jsonl:text=text,label=label"),
    ],
)
def test_files_of_sentences_are_recognised(tmp_path: Path, text: str, task: str, columns: str) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    found = look(path)
    assert (found.task, found.columns, found.scheme) == (task, columns, None)


def test_a_pair_in_the_header_shows_the_row_that_breaks_the_format(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("premise\thypothesis\tlabel\na b\tc\tneutral\na b\tc\n")
    with pytest.raises(DataFormatError, match=r"a:3: 2 columns in .*; expected 3, as in the header"):
        look(path)
    path.write_text("premise\thypothesis\tlabel\n")
    assert look(path).columns == "tsv:text=premise,pair=hypothesis,label=label"


@pytest.mark.parametrize(
    "text",
    [
        "text\tlabel\nAnna\tB-PER\nsings\tO\n",
        "Anna\tB-PER\n",
        '{"tokens": ["Anna"], "ner_tags": ["B-PER"]}\n',
        '{"text": "Anna sings", "label": [[0, 4, "PER"]]}\n',
        "text\tlabel\nAnna sings\n",
    ],
)
def test_other_files_are_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    assert guess_texts(path) is None
