"""A table with a fault is refused in one line that names file and entry, and says what was expected."""

import copy
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from polyhead.core.errors import DataFormatError
from polyhead.data.phrases import grammar as grammars
from polyhead.data.phrases import inventory as inventories
from polyhead.data.phrases.grammar import Grammar
from polyhead.data.phrases.inventory import OPENER, inventory, read_table
from polyhead.data.phrases.realise import NOTHING, realised

GONE = object()


def spoiled(table: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    table = copy.deepcopy(table)
    *way, last = place.split("/")
    inner = table
    for key in way:
        inner = inner[key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return table


def read(monkeypatch: pytest.MonkeyPatch, name: str, place: str, value: object) -> Grammar:
    bad = spoiled(read_table(name), place, value)
    monkeypatch.setattr(grammars, "read_table", lambda asked: bad if asked == name else read_table(asked))
    return grammars.grammar.__wrapped__(name)


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        (
            "nl",
            "closing",
            GONE,
            r"^nl\.toml: missing \['closing'\], unknown \[\]; expected cased, closing, fillers, .*words \(optional\)$",
        ),
        ("nl", "contraction", {}, r"^nl\.toml: missing \[\], unknown \['contraction'\]; expected .*contractions \(optional\)"),
        ("nl", "templates/remind", GONE, r"^nl\.toml: templates: missing \['remind'\], .*expected the names of frames\.toml$"),
        ("nl", "templates/remnid", "a/DET", r"^nl\.toml: templates: .*not in frames\.toml \['remnid'\]"),
        (
            "nl",
            "templates/remind",
            "help me/PRON",
            r"^nl\.toml: templates\.remind: 'help' has no part of speech; expected word/TAG",
        ),
        ("nl", "templates/remind", "help/VREB", r"'help/VREB' has no part of speech; expected word/TAG with a UPOS tag$"),
        ("nl", "templates/remind", "{day", r"^nl\.toml: templates\.remind: '\{day'; expected \{role:form@controller\+affix\}"),
        ("nl", "fillers/item/umbrella", GONE, r"^nl\.toml: fillers\.item: missing \['umbrella'\]"),
        (
            "nl",
            "fillers/todo/buy_milk",
            "melk",
            r"^nl\.toml: fillers\.todo\.buy_milk: 1 form in 'melk'; expected 3, separated by ;$",
        ),
        ("nl", "fillers/room/suite", "een/DET [suite", r"^nl\.toml: fillers\.room\.suite: .*expected .* one pair of brackets$"),
        ("nl", "fillers/room/suite", "[suite]]", r"^nl\.toml: fillers\.room\.suite: .*expected one pair around the core$"),
        (
            "es",
            "contractions",
            {"a el la": "al/ADP"},
            r"^es\.toml: contractions\.'a el la': expected \"two words\" = \"one/TAG\"$",
        ),
        (
            "es",
            "sandhi",
            [{"word": "y", "before": "["}],
            r"^es\.toml: sandhi: missing \['becomes'\].*expected becomes, before, word$",
        ),
        (
            "es",
            "sandhi",
            [{"word": "y", "before": "[", "becomes": "e"}],
            r"^es\.toml: sandhi: before = '\[': .*expected a regular",
        ),
        (
            "tr",
            "affixes/dat",
            {"sufix": "(y)A"},
            r"^tr\.toml: affixes\.dat: missing \[\], unknown \['sufix'\]; expected fuse \(optional\)",
        ),
        ("de", "words/my/acc.m", "meinen/DTE", r"^de\.toml: words\.my: 'meinen/DTE' has no part of speech"),
    ],
)
def test_a_bad_table_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, place: str, value: object, said: str) -> None:
    with pytest.raises(DataFormatError, match=said) as caught:
        read(monkeypatch, name, place, value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("templates/lost_item", "{clour} {item}", r"lost_item: 'clour' in the form ''; expected a role of lost_item, or a form"),
        ("templates/lost_item", "{my:dat@item} {item}", r"'my' in the form 'dat\.m'; expected a role of lost_item, or a form"),
        ("templates/lost_item", "{item:acc}", r"lost_item: item in the form 'acc'; expected no form: there is only one$"),
        ("templates/lost_item", "{colour:gen} {item}", r"colour in the form 'gen'; expected acc\.m, acc\.f, acc\.n, nom, dat$"),
        ("templates/lost_item", "{my:acc@itme} {item}", r"'itme' after @; expected one of opener, colour, item$"),
        ("templates/lost_item", "{item+dat}", r"lost_item: affix 'dat'; expected none: no affixes are declared$"),
        ("fillers/item/hat", "Hut", r"lost_item: item\.hat has no gender; write one after \|$"),
    ],
)
def test_a_form_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, place: str, value: str, said: str) -> None:
    table = read(monkeypatch, "de", place, value)
    with pytest.raises(DataFormatError, match=said) as caught:
        realised(inventory().frames["lost_item"], {OPENER: NOTHING, "colour": "black", "item": "hat"}, table)
    assert str(caught.value).startswith("de.toml: templates.lost_item: ")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("roles/place", ["town", "location"], r"^frames\.toml: role place takes 'town'; expected a class under fillers$"),
        (
            "frames/remind",
            ["set_reminder", "todo dya"],
            r"^frames\.toml: frame remind has the role 'dya'; expected one under roles$",
        ),
        ("fillers/number", "three four three", r"^frames\.toml: fillers\.number has a duplicate; expected each name once$"),
    ],
)
def test_a_bad_inventory_is_refused(monkeypatch: pytest.MonkeyPatch, place: str, value: object, said: str) -> None:
    bad = spoiled(read_table("frames"), place, value)
    monkeypatch.setattr(inventories, "read_table", lambda _: bad)
    with pytest.raises(DataFormatError, match=said):
        inventories.inventory.__wrapped__()


def test_a_table_that_is_no_toml_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/nl.toml").write_text('language = "nl\n')
    monkeypatch.setattr(inventories, "files", lambda _: tmp_path)
    with pytest.raises(DataFormatError, match=r"^nl\.toml: .*\(at line 1, column \d+\); expected TOML$"):
        read_table("nl")


def test_every_table_is_part_of_the_package() -> None:
    """What `package-data` in pyproject.toml takes along: all of them lie in one folder and end alike."""
    folder = files("polyhead.data.phrases").joinpath("tables")
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.toml" for name in (*inventory().languages, "frames", "checksums")
    }
    settings = Path(__file__).resolve().parents[3].joinpath("pyproject.toml").read_text(encoding="utf-8")
    assert '"data/checksums.txt", "data/phrases/tables/*.toml"' in settings
