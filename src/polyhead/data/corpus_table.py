"""The corpora that polyhead knows by name: their files, layouts and known faults.

File names are given without `.xz`. `advice` says what to do where a split does not exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from polyhead.data.column_format import ColumnFormat
from polyhead.data.columns import TRAILING, WORDLESS
from polyhead.data.layouts import LAYOUTS, Layout
from polyhead.data.schemes import INSIDE_STARTS, SHARED, WIDENED
from polyhead.data.spans import BEFORE, DECOMPOSED, read_stockmark
from polyhead.data.tasks import NLI
from polyhead.data.text_format import TextFormat

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
Quirks = Mapping[Split, Mapping[str, int]]


@dataclass(frozen=True)
class CorpusFile:
    """One split.

    Attributes:
        path: Below the data root.
        layout: Its layout if it differs from the corpus's.
        released: The released file, if `path` is a stand-in for it; read instead if it exists.
    """

    path: str
    layout: Layout | None = None
    released: "CorpusFile | None" = None


@dataclass(frozen=True)
class Corpus:
    """One row of the table.

    Attributes:
        language: BCP-47 code.
        task: Name in `TASKS`.
        splits: The file of each split. Treebank paths omit `.conllu`.
        layout: Layout of the files; None means CoNLL-U.
        advice: What to use in place of a missing split.
        made: Language of a generated corpus, as `data.phrases` names it; empty for a corpus of files.
        quirks: Known faults of each split's file and how often each occurs, by the description of the repair; splits not listed
            have none.
        merges_types: Whether span types are merged into those of the task (`Task.map_type`), as is usual for this corpus.
        parallel: Name shared by corpora whose sentence i says the same in every one, in each split; empty for all others.
        block: Number of neighbouring sentences that share a text, so that statistics resample them together; 1 if all are apart.
    """

    language: str
    task: str
    splits: Mapping[Split, CorpusFile] = field(hash=False)
    layout: Layout | None = None
    advice: str = ""
    made: str = ""
    quirks: Quirks = field(default_factory=dict, hash=False)
    merges_types: bool = False
    parallel: str = ""
    block: int = 1


def _files(pattern: str, **names: str) -> dict[Split, CorpusFile]:
    """A file for each split, `{}` in its path replaced by the split's name in `names`; without names, by the split itself."""
    return {split: CorpusFile(pattern.format(names.get(split, split))) for split in SPLITS if split in names or not names}


def _treebank(language: str, folder: str, stem: str, advice: str = "") -> Corpus:
    return Corpus(language, "pos", _files(f"ud/{folder}/{stem}-ud-{{}}"), advice=advice)


_UNER_TYPES = frozenset({"PER", "ORG", "LOC"})
_UNER = ColumnFormat("tab", token=2, tag=3, index=1, comments=True, scheme="iob2", types=_UNER_TYPES, n_columns=(5,))
# An early version of the released file: rows of O have three columns, and a type outside the guidelines was still in use.
_UNER_PRELIMINARY = replace(_UNER, n_columns=(3, 5), rewrites={"B-OTH": "O", "I-OTH": "O", "B-O": "O"})
_MASAKHANER = ColumnFormat("space", token=1, tag=2, scheme="iob2", types=frozenset({"PER", "ORG", "LOC", "DATE"}), n_columns=(2,))
_WIKINEURAL = ColumnFormat(
    "tab", token=2, tag=3, index=1, scheme="iob2", types=frozenset({"PER", "ORG", "LOC", "MISC"}), n_columns=(3,)
)
_AQMAR = ColumnFormat("space", token=1, tag=2, scheme="iob2", types=frozenset({"PER", "ORG", "LOC", "MIS"}), n_columns=(2,))
_WIKIANN = ColumnFormat("tab", token=1, tag=2, scheme="iob2", types=_UNER_TYPES, n_columns=(2,))
_BASE_TYPES = ("PER", "ORG", "LOC", "OTH")
# Derived words (`deutsch`) and parts of words (`deutschlandweit`) are not names themselves: most work leaves them out.
_GERMEVAL = ColumnFormat(
    "tab",
    token=2,
    tag=3,
    index=1,
    comments=True,
    scheme="iob2",
    types=frozenset(base + kind for base in _BASE_TYPES for kind in ("", "deriv", "part")),
    n_columns=(4,),
    trailing_separator=True,
    retyped={base + kind: "O" for base in _BASE_TYPES for kind in ("deriv", "part")},
)
_STOCKMARK_TYPES = {
    "人名": "PER",
    "法人名": "ORG",
    "政治的組織名": "ORG",
    "その他の組織名": "ORG",
    "地名": "LOC",
    "施設名": "FACILITY",
    "製品名": "PRODUCT",
    "イベント名": "EVENT",
}
_STOCKMARK = replace(LAYOUTS["stockmark"], read=partial(read_stockmark, types=_STOCKMARK_TYPES))
_ILNER_TYPES = ("NEP", "NEL", "NEO", "NEN", "NETI", "NEAR", "NEU", "NED", "NET", "NIMI")
# A tag that lost its prefix keeps its type: as I- it continues a span of its type or starts one.
_ILNER = ColumnFormat(
    "tab",
    token=1,
    tag=2,
    scheme="iob2",
    types=frozenset(_ILNER_TYPES),
    n_columns=(2,),
    rewrites={"-": "O", "-''": "O", **{f"-{span_type}": f"I-{span_type}" for span_type in _ILNER_TYPES}},
    skipped_rows={"O": "it has a tag but no word"},
)
_XSID = ColumnFormat("tab", token=2, tag=4, index=1, comments=True, scheme="iob2", n_columns=(4,))
PHRASE_COLUMNS = ColumnFormat("tab", token=2, tag=3, index=1, comments=True, scheme="iob2", n_columns=(3,))
_PHRASE_TABLES = ("en", "de", "nl", "es", "ar", "he", "zh", "ja", "tr")
_XSID_REBUILT = replace(_XSID, rewrites={"Orecurring_datetime": "O"})


def _uner(language: str, folder: str, stem: str, *, parallel: str = "", **names: str) -> Corpus:
    advice = "test only: train on another UNER corpus" if names else ""
    return Corpus(language, "ner", _files(f"ner/{folder}/{stem}-ud-{{}}.iob2", **names), _UNER, advice, parallel=parallel)


def _masakhaner(language: str, code: str) -> Corpus:
    return Corpus(language, "ner", _files(f"ner/{code}_MasakhaNER/{{}}.txt"), _MASAKHANER, merges_types=True)


def _wikineural(language: str) -> Corpus:
    files = _files(f"ner/{language}_WikiNEuRal/{{}}.conllu", train="val", test="test")
    advice = "its released `val` file serves as training data; polyhead run holds out a tenth of it for dev"
    return Corpus(language, "ner", files, _WIKINEURAL, advice)


def _ilner(language: str, name: str) -> Corpus:
    return Corpus(language, "ner", _files(f"ner/{language}_IL-NER/{name}-{{}}.txt"), _ILNER, merges_types=True)


def _xsid(language: str, code: str) -> Corpus:
    files = _files(f"slots/xSID-0.7/{code}.{{}}.conll", dev="valid", test="test")
    advice = "xSID has training data for English only: train on xsid/en"
    return Corpus(language, "slots", files, _XSID, advice, parallel="xsid")


def _phrases(task: str, table: str) -> Corpus:
    language = "zh-Hans" if table == "zh" else table
    files = _files(f"phrases/{table}/{{}}{'' if task == 'pos' else f'.{task}.tsv'}")
    return Corpus(language, task, files, None if task == "pos" else PHRASE_COLUMNS, made=table, parallel="phrases")


def _with_train(corpus: Corpus, path: str, layout: Layout, released: str = "") -> Corpus:
    train: dict[Split, CorpusFile] = {"train": CorpusFile(path, layout, CorpusFile(released) if released else None)}
    return replace(corpus, splits=train | {split: corpus.splits[split] for split in SPLITS[1:]}, advice="")


def _dialogues(language: str, quirks: Quirks) -> Corpus:
    files = _files(f"slots/fb-multilingual-tod/{language}/{{}}-{language}.tsv", train="train", dev="eval", test="test")
    return Corpus(language, "slots", files, LAYOUTS["facebook"], quirks=quirks)


def _massive(locale: str) -> Corpus:
    layout = LAYOUTS["massive:words=characters" if locale in ("ja-JP", "zh-CN", "zh-TW") else "massive"]
    language = {"zh-CN": "zh-Hans", "zh-TW": "zh-Hant"}.get(locale, locale.partition("-")[0])
    return Corpus(language, "slots", _files(f"slots/MASSIVE-1.1/{locale}/{{}}.jsonl"), layout, parallel="massive")


def _xnli(code: str) -> Corpus:
    files = _files(f"nli/{code}.{{}}.tsv", **({} if code == "en" else {"dev": "dev", "test": "test"}))
    language = "zh-Hans" if code == "zh" else code
    advice = "" if code == "en" else "xnli has training data for English only: train on xnli/en"
    return Corpus(language, "nli", files, _NLI, advice, parallel="xnli", block=3)


def _wikiann(code: str) -> Corpus:
    return Corpus(code, "ner", _files(f"ner/WikiANN-1.1.0/{code}/{{}}.tsv"), _WIKIANN)


_NLI = TextFormat("tsv", text="premise", pair="hypothesis", label="label", types=NLI, n_texts=2)
_XNLI_CODES = "ar bg de el en es fr hi ru sw th tr ur vi zh"
_LOCALES = """
    af-ZA am-ET ar-SA az-AZ bn-BD ca-ES cy-GB da-DK de-DE el-GR en-US es-ES fa-IR fi-FI fr-FR he-IL hi-IN hu-HU hy-AM id-ID is-IS
    it-IT ja-JP jv-ID ka-GE km-KH kn-IN ko-KR lv-LV ml-IN mn-MN ms-MY my-MM nb-NO nl-NL pl-PL pt-PT ro-RO ru-RU sl-SL sq-AL sv-SE
    sw-KE ta-IN te-IN th-TH tl-PH tr-TR ur-PK vi-VN zh-CN zh-TW
"""
# The forty languages of XTREME (Hu et al. 2020).
_WIKIANN_CODES = """
    af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi yo zh
"""

CORPORA: dict[str, Corpus] = {
    "ud/en_ewt": _treebank("en", "UD_English-EWT", "en_ewt"),
    "ud/de_gsd": _treebank("de", "UD_German-GSD", "de_gsd", advice="or train German on ud/de_hdt"),
    "ud/de_hdt": Corpus(
        "de",
        "pos",
        {"train": CorpusFile("ud/UD_German-HDT/de_hdt-ud-dev")},
        advice="its released dev file serves as German training data; take dev and test from ud/de_gsd",
    ),
    "ud/nl_alpino": _treebank("nl", "UD_Dutch-Alpino", "nl_alpino"),
    "ud/ar_padt": _treebank("ar", "UD_Arabic-PADT", "ar_padt"),
    "ud/he_htb": _treebank("he", "UD_Hebrew-HTB", "he_htb"),
    "ud/zh_gsdsimp": _treebank("zh-Hans", "UD_Chinese-GSDSimp", "zh_gsdsimp"),
    "ud/ja_gsd": _treebank("ja", "UD_Japanese-GSD", "ja_gsd"),
    "ud/ur_udtb": _treebank("ur", "UD_Urdu-UDTB", "ur_udtb"),
    "ud/fa_seraji": _treebank("fa", "UD_Persian-Seraji", "fa_seraji"),
    "uner/en_ewt": replace(
        _with_train(
            _uner("en", "en_UNER-EWT", "en_ewt"),
            "ner/en_UNER-EWT/en_ewt-ud-train.prelim-2022-12.iob2",
            _UNER_PRELIMINARY,
            released="ner/en_UNER-EWT/en_ewt-ud-train.iob2",
        ),
        quirks={"train": {"tag B-O read as O": 540, "tag B-OTH read as O": 888, "tag I-OTH read as O": 227}},
    ),
    "uner/zh_gsdsimp": _uner("zh-Hans", "zh_UNER-GSDSimp", "zh_gsdsimp"),
    "uner/pt_bosque": _uner("pt", "pt_UNER-Bosque", "pt_bosque"),
    "uner/sv_talbanken": _uner("sv", "sv_UNER-Talbanken", "sv_talbanken"),
    "uner/da_ddt": replace(
        _uner("da", "da_UNER-DDT", "da_ddt"), quirks={"train": {INSIDE_STARTS: 6}, "test": {INSIDE_STARTS: 1}}
    ),
    "uner/en_pud": _uner("en", "en_UNER-PUD", "en_pud", test="test", parallel="pud"),
    "uner/de_pud": _uner("de", "de_UNER-PUD", "de_pud", test="test", parallel="pud"),
    "uner/zh_pud": _uner("zh-Hant", "zh_UNER-PUD", "zh_pud", test="test"),  # the same sentences in another order
    "uner/pt_pud": _uner("pt", "pt_UNER-PUD", "pt_pud", test="test", parallel="pud"),
    "uner/tl_trg": _uner("tl", "tl_UNER-TRG", "tl_trg", test="test"),
    "wikineural/en": replace(_wikineural("en"), quirks={"train": {INSIDE_STARTS: 439}, "test": {INSIDE_STARTS: 559}}),
    "wikineural/de": _wikineural("de"),
    "wikineural/nl": _wikineural("nl"),
    "wikineural/es": _wikineural("es"),
    "masakhaner/amh": _masakhaner("am", "amh"),
    "masakhaner/hau": replace(_masakhaner("ha", "hau"), quirks={"train": {INSIDE_STARTS: 1}, "test": {INSIDE_STARTS: 1}}),
    "masakhaner/ibo": _masakhaner("ig", "ibo"),
    "masakhaner/kin": _masakhaner("rw", "kin"),
    "masakhaner/swa": _masakhaner("sw", "swa"),
    "ilner/hi": replace(
        _ilner("hi", "Hindi"),
        quirks={
            "train": {
                INSIDE_STARTS: 68,
                "row 'O' left out: it has a tag but no word": 1,
                "tag - read as O": 79,
                "tag -NEAR read as I-NEAR": 3,
                "tag -NEL read as I-NEL": 30,
                "tag -NEN read as I-NEN": 10,
                "tag -NEO read as I-NEO": 7,
                "tag -NEP read as I-NEP": 4,
                "tag -NETI read as I-NETI": 17,
            },
            "dev": {
                INSIDE_STARTS: 8,
                "tag - read as O": 8,
                "tag -NEL read as I-NEL": 1,
                "tag -NEN read as I-NEN": 2,
                "tag -NEO read as I-NEO": 2,
                "tag -NETI read as I-NETI": 3,
            },
            "test": {
                INSIDE_STARTS: 6,
                "tag - read as O": 24,
                "tag -NEN read as I-NEN": 3,
                "tag -NEO read as I-NEO": 2,
                "tag -NETI read as I-NETI": 1,
            },
        },
    ),
    "ilner/ur": replace(
        _ilner("ur", "Urdu"),
        quirks={
            "train": {
                INSIDE_STARTS: 6,
                "tag - read as O": 5,
                "tag -NEL read as I-NEL": 4,
                "tag -NEO read as I-NEO": 1,
                "tag -NEP read as I-NEP": 2,
            },
            "dev": {"tag - read as O": 3},
            "test": {INSIDE_STARTS: 1, "tag -NEL read as I-NEL": 1},
        },
    ),
    "aqmar/ar": Corpus("ar", "ner", _files("ner/ar_AQMAR/{}.txt"), _AQMAR, merges_types=True),
    "xsid/en": replace(
        _with_train(_xsid("en", "en"), "slots/xSID-0.7/en.train.rebuilt.conll", _XSID_REBUILT),
        quirks={"train": {INSIDE_STARTS: 40, "tag Orecurring_datetime read as O": 357}},
    ),
    "xsid/ar": _xsid("ar", "ar"),
    "xsid/da": _xsid("da", "da"),
    "xsid/de": _xsid("de", "de"),
    "xsid/id": _xsid("id", "id"),
    "xsid/it": _xsid("it", "it"),
    "xsid/ja": _xsid("ja", "ja"),
    "xsid/kk": _xsid("kk", "kk"),
    "xsid/nl": _xsid("nl", "nl"),
    "xsid/sr": _xsid("sr-Latn", "sr"),
    "xsid/tr": _xsid("tr", "tr"),
    "xsid/zh": replace(
        _xsid("zh-Hans", "zh"),
        layout=replace(_XSID, skip_wordless=True),
        quirks={"dev": {WORDLESS: 1}, "test": {WORDLESS: 6}},
    ),
    "germeval/de": Corpus(
        "de",
        "ner",
        _files("ner/de_GermEval2014/NER-de-{}.tsv"),
        _GERMEVAL,
        quirks={"test": {TRAILING: 1}},
        merges_types=True,
    ),
    "stockmark/ja": Corpus(
        "ja",
        "ner",
        {"train": CorpusFile("ner/ja_Stockmark/ner.json")},
        _STOCKMARK,
        advice="it is one file; polyhead run holds out a tenth for dev; its words are characters",
        merges_types=True,
    ),
    "facebook/en": _dialogues("en", {"dev": {WIDENED: 69}, "test": {SHARED: 1, WIDENED: 132}}),
    "facebook/es": _dialogues(
        "es",
        {
            "train": {DECOMPOSED: 172, WIDENED: 18},
            "dev": {DECOMPOSED: 91, SHARED: 1, WIDENED: 9},
            "test": {BEFORE: 1, DECOMPOSED: 143, WIDENED: 18},
        },
    ),
    **{f"massive/{locale}": _massive(locale) for locale in _LOCALES.split()},
    **{f"wikiann/{code}": _wikiann(code) for code in _WIKIANN_CODES.split()},
    **{f"xnli/{code}": _xnli(code) for code in _XNLI_CODES.split()},
    **{f"phrases/{table}": _phrases("pos", table) for table in _PHRASE_TABLES},
    **{f"phrases-ner/{table}": _phrases("ner", table) for table in _PHRASE_TABLES},
    **{f"phrases-slots/{table}": _phrases("slots", table) for table in _PHRASE_TABLES},
}
