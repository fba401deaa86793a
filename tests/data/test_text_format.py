import pytest

from polyhead.core.errors import SettingError
from polyhead.data.text_format import TextFormat, parse_texts, text_columns


@pytest.mark.parametrize("text", ["tsv", "csv:text=a,label=b", "jsonl:text=a,pair=b,label=none", "parquet:text=a,names=x y"])
def test_a_format_declares_itself(text: str) -> None:
    assert parse_texts(text).spec == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("xls:text=a", "'xls' before the colon; for sentences expected tsv, csv, jsonl, parquet, datasets"),
        ("tsv:token=a", "'token=a'; for sentences expected text=NAME, pair=NAME"),
        ("tsv:text=none", "'text=none'; for sentences expected text=NAME"),
        ("tsv:text", "'text'; for sentences"),
        ("tsv:text=a,pair=a", "'a' is named twice; text, pair and label are different columns"),
        ("tsv:names=x x", "names='x x'; expected every label once"),
    ],
)
def test_a_fault_is_named(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_texts(text)


def test_a_pair_wins_over_a_lone_text_and_a_text_is_no_label() -> None:
    assert text_columns(TextFormat(), ["text", "sentence1", "sentence2", "class"]) == (("sentence1", "sentence2"), "class")
    assert text_columns(TextFormat(pair="hypothesis"), ["premise", "hypothesis", "sentence1", "sentence2"])[0][0] == "premise"
    assert text_columns(TextFormat(text="label"), ["label", "target"]) == (("label",), "target")
