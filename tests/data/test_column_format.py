import pytest

from polyhead.core.errors import SettingError
from polyhead.data.column_format import ColumnFormat, parse_columns


def test_the_compact_text():
    assert parse_columns("tab:token=2,tag=3,index=1,comments=hash,scheme=BIO,columns=3/5") == ColumnFormat(
        "tab", token=2, tag=3, index=1, comments=True, scheme="iob2", n_columns=(3, 5)
    )
    assert parse_columns("space") == ColumnFormat("space")
    assert parse_columns("auto: tag=none, token=last") == ColumnFormat("auto", token=-1, tag=None)
    assert parse_columns("tab:tag=last") == ColumnFormat("tab", tag=-1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "comma:token=1",
        "tab:token=0",
        "tab:token=x",
        "tab:token",
        "tab:tok=1",
        "tab:token=none",
        "tab:comments=yes",
        "tab:columns=a",
        "tab:scheme=biluo",
        "tab:header=x",
        "tab:header=-1",
        "tab:empty=yes",
        "tab:token=2,tag=2",
        "space:comments=hash",
        "auto:comments=hash",
        "tab:token=-2",
        "tab:columns=",
    ],
)
def test_wrong_texts_are_one_setting_error(text):
    with pytest.raises(SettingError, match=r"expected|declare|both|needs") as caught:
        parse_columns(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"token": 0}, {"tag": -2}, {"index": 1, "token": 1}, {"token": 2, "tag": 2}])
def test_impossible_columns(options):
    with pytest.raises(SettingError, match=r"column format|--columns"):
        ColumnFormat("tab", **options)
