"""Which sources and targets belong together in each setting."""

import pytest

from polyhead.studies.study_cells import Setting
from polyhead.studies.study_pairs import Pair, pairs, unpaired

EN, DE, HDT, NL = "ud/en_ewt", "ud/de_gsd", "ud/de_hdt", "ud/nl_alpino"


@pytest.mark.parametrize(
    ("setting", "sources", "targets", "wanted"),
    [
        ("cross-lingual", [EN, DE], [EN, DE, NL], [((EN,), (DE, NL)), ((DE,), (EN, NL))]),
        ("multi-lingual", [EN, DE], [DE, NL], [((EN, DE), (DE,)), ((EN, NL), (NL,)), ((DE, NL), (NL,))]),
        ("low-resource", [EN], [DE], [((EN, DE), (DE,))]),
        ("multi-source", [EN, HDT, NL], [DE, EN], [((EN, NL), (DE,)), ((HDT, NL), (EN,))]),
        ("monolingual", [EN, HDT], [DE], [((EN,), (EN,)), ((HDT,), (DE,))]),
        ("monolingual", ["en=a:b:c", "und=a:b:c"], [], [(("en=a:b:c",), ("en=a:b:c",)), (("und=a:b:c",), ("und=a:b:c",))]),
        ("cross-lingual", ["en=a"], ["en-GB=b", "zh-Hant=c", "und=d"], [(("en=a",), ("zh-Hant=c", "und=d"))]),
        ("cross-lingual", ["uner/zh_gsdsimp"], ["uner/zh_pud", "uner/en_pud"], [(("uner/zh_gsdsimp",), ("uner/en_pud",))]),
    ],
)
def test_pairs(setting: Setting, sources: list[str], targets: list[str], wanted: list[Pair]) -> None:
    assert pairs(setting, sources, targets) == wanted
    assert list(unpaired(setting, sources, targets)) == []


@pytest.mark.parametrize(
    ("setting", "sources", "targets", "key"),
    [
        ("cross-lingual", [EN], [EN], "sources"),
        ("multi-lingual", [EN, DE], [DE], "sources"),
        ("multi-source", [EN, DE], [DE], "targets"),
        ("monolingual", [EN, HDT], [], "sources"),
        ("low-resource", [EN], [], "settings"),
    ],
)
def test_what_has_no_partner_is_named(setting: Setting, sources: list[str], targets: list[str], key: str) -> None:
    ((found, said),) = unpaired(setting, sources, targets)
    assert found == key
    assert said.startswith("'")
