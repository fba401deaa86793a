"""The figures of Ma et al. 2021, which polyhead's stand beside; `facts/paper/` holds them."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from polyhead.report.language_facts import fact_rows

_ARMS: Final = {"highest-ranked": "highest", "random": "random"}
PAPER_CONTROLS: Final = tuple(_ARMS.values())
PAPER_MODELS: Final = {"mbert": "mBERT", "xlmr": "XLM-R"}
_MODELS: Final = {"bert-base-multilingual-cased": "mbert", "xlm-roberta-base": "xlmr"}


@dataclass(frozen=True)
class Scored:
    """Scores of the paper in points; `pruned` of its best k = 1..12 on the reported split."""

    unpruned: float
    pruned: float


def paper_models(model: str) -> tuple[str, ...]:
    """The paper's models that stand beside one of ours: the same model, or both if it is another.

    >>> paper_models("FacebookAI/xlm-roberta-base"), paper_models("intfloat/multilingual-e5-small")
    (('xlmr',), ('mbert', 'xlmr'))
    """
    same = _MODELS.get(model.rpartition("/")[2])
    return (same,) if same else tuple(PAPER_MODELS)


def paper_scores(task: str, model: str, setting: str, source: str, target: str) -> Scored | None:
    """A cell of the paper's tables 1 to 4, by BCP-47 codes of the languages; None if it has none.

    >>> paper_scores("pos", "mbert", "cross-lingual", "en", "zh-Hans")
    Scored(unpruned=59.88, pruned=59.99)
    """
    return _scores().get((task, model, setting, _base(source), _base(target)))


def paper_control(task: str, model: str, setting: str, source: str, target: str, arm: str) -> float | None:
    """A cell of its table 5: change in points with random or the highest-ranked heads pruned."""
    return _controls().get((task, model, setting, _base(source), _base(target), arm))


def paper_multi_source(task: str, model: str, combine: str, target: str) -> float | None:
    """A cell of its table 6; `combine` may be `unpruned`."""
    return _multi_source().get((task, model, combine, _base(target)))


def paper_correlation(task: str, model: str, one: str, other: str) -> float | None:
    """Spearman's ρ of its figure 1."""
    return _correlations().get((task, model, frozenset((_base(one), _base(other)))))


def _base(language: str) -> str:
    return language.partition("-")[0]


@cache
def _scores() -> dict[tuple[str, ...], Scored]:
    return {
        (row["task"], row["model"], row["setting"], row["source"], row["target"]): Scored(
            float(row["f1_unpruned"]), float(row["f1_pruned"])
        )
        for row in fact_rows("paper/scores.tsv")
    }


@cache
def _controls() -> dict[tuple[str, ...], float]:
    return {
        (row["task"], row["model"], row["setting"], row["source"], row["target"], _ARMS[row["control"]]): float(row["f1_change"])
        for row in fact_rows("paper/controls.tsv")
    }


@cache
def _multi_source() -> dict[tuple[str, ...], float]:
    return {
        (row["task"], row["model"], row["heuristic"], row["target"]): float(row["f1"])
        for row in fact_rows("paper/multi_source.tsv")
    }


@cache
def _correlations() -> dict[tuple[str, str, frozenset[str]], float]:
    return {
        (row["task"], row["model"], frozenset((row["language_a"], row["language_b"]))): float(row["spearman_rho"])
        for row in fact_rows("paper/rank_correlation.tsv")
    }
