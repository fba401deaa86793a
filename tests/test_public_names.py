"""Snapshots of every name that users write: a change here is a change of what polyhead promises."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import polyhead
from polyhead.data.corpus_table import CORPORA
from polyhead.data.layouts import LAYOUTS
from polyhead.data.tasks import TASKS
from polyhead.importance.methods import METHODS
from polyhead.models.architectures import ARCHITECTURES
from polyhead.studies.protocols import PROTOCOLS

PUBLIC = [
    "METHODS",
    "Architecture",
    "Dataset",
    "ElasticSpec",
    "HeadId",
    "HeadMask",
    "HeadScores",
    "LabelSet",
    "Labelled",
    "NeuronMask",
    "PolyheadError",
    "SearchSpec",
    "Sentence",
    "Tagger",
    "Teacher",
    "TrainSpec",
    "densify",
    "elastic_plans",
    "encode",
    "evaluate",
    "export",
    "find_sites",
    "fit",
    "gated",
    "head_mask",
    "head_masks",
    "label_set",
    "load_tagger",
    "load_tokenizer",
    "neuron_mask",
    "open_corpus",
    "open_file",
    "pipeline",
    "predict",
    "prune",
    "prune_lowest",
    "rank",
    "read_scores",
    "register_architecture",
    "run",
    "run_settings",
    "sample",
    "save_pruned",
    "score_heads",
    "score_until_settled",
    "scoring_batches",
    "shrink",
    "task",
    "trim",
    "write_scores",
]
TABLES = {
    "methods": (
        METHODS,
        """
        gradient gradient-token gradient-batch fisher weight-gradient weight-gradient-released integrated ablation ablation-mean
        shapley relevance relevance-attn l0 subset confidence entropy magnitude random
        """,
    ),
    "architectures": (
        ARCHITECTURES,
        """
        bert roberta xlm-roberta xlm-roberta-xl camembert electra rembert distilbert mpnet albert deberta deberta-v2 modernbert
        gte jina_embeddings_v3 nomic_bert eurobert xlm flaubert t5 mt5 umt5
        """,
    ),
    "tasks": (TASKS, "pos ner slots nli classification mlm"),
    "layouts": (LAYOUTS, "facebook stockmark massive massive:words=characters multiatis multiatis:uneven=skip"),
    "protocols": (PROTOCOLS, "sound paper paper-released"),
    "corpora": (
        CORPORA,
        """
        ud/en_ewt ud/de_gsd ud/de_hdt ud/nl_alpino ud/ar_padt ud/he_htb ud/zh_gsdsimp ud/ja_gsd ud/ur_udtb ud/fa_seraji
        uner/en_ewt uner/zh_gsdsimp uner/pt_bosque uner/sv_talbanken uner/da_ddt
        uner/en_pud uner/de_pud uner/zh_pud uner/pt_pud uner/tl_trg
        wikineural/en wikineural/de wikineural/nl wikineural/es
        masakhaner/amh masakhaner/hau masakhaner/ibo masakhaner/kin masakhaner/swa
        ilner/hi ilner/ur aqmar/ar
        xsid/en xsid/ar xsid/da xsid/de xsid/id xsid/it xsid/ja xsid/kk xsid/nl xsid/sr xsid/tr xsid/zh
        germeval/de stockmark/ja facebook/en facebook/es
        massive/af-ZA massive/am-ET massive/ar-SA massive/az-AZ massive/bn-BD massive/ca-ES massive/cy-GB massive/da-DK
        massive/de-DE massive/el-GR massive/en-US massive/es-ES massive/fa-IR massive/fi-FI massive/fr-FR massive/he-IL
        massive/hi-IN massive/hu-HU massive/hy-AM massive/id-ID massive/is-IS massive/it-IT massive/ja-JP massive/jv-ID
        massive/ka-GE massive/km-KH massive/kn-IN massive/ko-KR massive/lv-LV massive/ml-IN massive/mn-MN massive/ms-MY
        massive/my-MM massive/nb-NO massive/nl-NL massive/pl-PL massive/pt-PT massive/ro-RO massive/ru-RU massive/sl-SL
        massive/sq-AL massive/sv-SE massive/sw-KE massive/ta-IN massive/te-IN massive/th-TH massive/tl-PH massive/tr-TR
        massive/ur-PK massive/vi-VN massive/zh-CN massive/zh-TW
        wikiann/af wikiann/ar wikiann/bg wikiann/bn wikiann/de wikiann/el wikiann/en wikiann/es wikiann/et wikiann/eu wikiann/fa
        wikiann/fi wikiann/fr wikiann/he wikiann/hi wikiann/hu wikiann/id wikiann/it wikiann/ja wikiann/jv wikiann/ka wikiann/kk
        wikiann/ko wikiann/ml wikiann/mr wikiann/ms wikiann/my wikiann/nl wikiann/pt wikiann/ru wikiann/sw wikiann/ta wikiann/te
        wikiann/th wikiann/tl wikiann/tr wikiann/ur wikiann/vi wikiann/yo wikiann/zh
        phrases/en phrases/de phrases/nl phrases/es phrases/ar phrases/he phrases/zh phrases/ja phrases/tr
        phrases-ner/en phrases-ner/de phrases-ner/nl phrases-ner/es phrases-ner/ar phrases-ner/he phrases-ner/zh
        phrases-ner/ja phrases-ner/tr
        phrases-slots/en phrases-slots/de phrases-slots/nl phrases-slots/es phrases-slots/ar phrases-slots/he
        phrases-slots/zh phrases-slots/ja phrases-slots/tr
        """,
    ),
}


def test_the_public_names() -> None:
    assert polyhead.__all__ == PUBLIC
    # `gated` and `prune` take a NeuronMask and neuron_mask gives one, as HeadMask and head_mask do for heads
    # and `fit` takes a Teacher, and the plans that elastic_plans gives for an ElasticSpec, as it does the scores of `score`
    assert len(PUBLIC) <= 50


@pytest.mark.parametrize("table", TABLES)
def test_no_name_leaves_a_table(table: str) -> None:
    """Users have these names in their files. A new row needs nothing here."""
    rows, names = TABLES[table]
    assert {*names.split()} <= {*rows}


def sources() -> dict[str, str]:
    """The module of every public name, as a type checker reads it."""
    tree = ast.parse(Path(polyhead.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {alias.name: str(node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_is_found_where_the_checker_is_told_it_is(name: str) -> None:
    assert sorted(sources()) == sorted(PUBLIC)
    assert getattr(polyhead, name) is getattr(importlib.import_module(sources()[name]), name)
    assert name in dir(polyhead)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_has_an_example_that_runs(name: str) -> None:
    """Those of functions and classes are run where they stand; a table has its example at the top of its file."""
    value = getattr(polyhead, name)
    module = importlib.import_module(sources()[name])
    described = value if callable(value) else module
    found = doctest.DocTestFinder(recurse=callable(value)).find(described, name, module=module)
    assert any(name in example.source for test in found for example in test.examples), f"{name}: no example uses it"


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_is_in_the_reference(name: str) -> None:
    reference = (Path(__file__).resolve().parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    assert reference.count(f"\n::: {sources()[name]}.{name}\n") == 1


def test_another_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"'prunes'; it has .*\bprune\b"):
        _ = polyhead.prunes  # type: ignore[attr-defined]
