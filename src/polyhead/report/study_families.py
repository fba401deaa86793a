"""Families of a study's cells: those that differ only in seed, arm and target."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from polyhead.core.values import fingerprint
from polyhead.data.corpora import CORPORA
from polyhead.report.study_record import NOISE, StudyCellFacts, StudyCellRecord

OTHERS: Final = "all others"
_OF_A_FAMILY: Final = frozenset(StudyCellFacts.model_fields) - {"sources", "targets", "arm", "train", "data"}
_OF_AN_UNPRUNED_MODEL: Final = ("method", "normalisation", "rank_on", "combine", "search")
_OF_A_RANKING: Final = ("revision", "normalisation", "protocol", "train_limit", "columns", "scheme", "strict")


@dataclass(frozen=True, eq=False)
class Family:
    """Cells that differ only in seed, arm and targets, and for the paper's other settings in the target trained on.

    Attributes:
        facts: The fields of its first cell.
        source: Its sources in a table, without a target that is trained on too.
        key: Of all that its cells share.
        cells: Its cells.
    """

    facts: StudyCellFacts
    source: str
    key: str
    cells: tuple[StudyCellRecord, ...]


def families(cells: Iterable[StudyCellRecord]) -> list[Family]:
    """The cells in families, in a stable order; cells of the arm `noise` belong to none."""
    found: dict[str, list[StudyCellRecord]] = defaultdict(list)
    for cell in cells:
        if cell.cell.arm != NOISE:
            found[family_key(cell.cell)].append(cell)
    for own in found.values():
        own.sort(key=lambda cell: cell.cell.targets)
    made = [Family(own[0].cell, source_of(own[0].cell), key, tuple(own)) for key, own in found.items()]
    return sorted(made, key=lambda one: (one.facts.task, one.facts.model, one.facts.setting, one.source, one.key))


def source_of(facts: StudyCellFacts) -> str:
    """A cell's sources in a table: without the target, and `all others` where one language is left out."""
    if facts.setting == "multi-source":
        return OTHERS
    own = [name for name in facts.sources if name not in facts.targets]
    return ", ".join(own or facts.sources)


def family_key(facts: StudyCellFacts) -> str:
    """Fingerprint of what the cells of a family share."""
    train = facts.train
    values = {name: getattr(facts, name) for name in _OF_A_FAMILY}
    return fingerprint([values, source_of(facts), {**vars(train), "seed": 0}])


def unpruned_key(facts: StudyCellFacts) -> str:
    """Fingerprint of what unpruned fine-tunings share that differ only in their seed."""
    values = {name: getattr(facts, name) for name in _OF_A_FAMILY if name not in _OF_AN_UNPRUNED_MODEL}
    return fingerprint([values, facts.sources, {**vars(facts.train), "seed": 0}])


def ranking_key(facts: StudyCellFacts) -> str:
    """Fingerprint of what rankings of one model and method share that differ only in their sources and seed."""
    return fingerprint(ranking_settings(facts))


def ranking_settings(facts: StudyCellFacts) -> dict[str, object]:
    """Settings of data and training that decide a ranking, besides source and seed."""
    trained = {f"train.{name}": value for name, value in vars(facts.train).items() if name != "seed"}
    return {name: getattr(facts, name) for name in _OF_A_RANKING} | trained


def language_of(corpus: str) -> str:
    """BCP-47 code of a corpus or of a file named like `de=FILE`."""
    return CORPORA[corpus].language if corpus in CORPORA else corpus.partition("=")[0]
