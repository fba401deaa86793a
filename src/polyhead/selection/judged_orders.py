"""The orders that `polyhead curve` compares: rankings from both ends, random orders, and the oracle's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from polyhead.core.heads import HeadId, HeadMask, HeadScores, Normalisation
from polyhead.core.values import counted
from polyhead.selection.curves import random_order
from polyhead.selection.ranking import rank
from polyhead.selection.score_files import check_scores, read_each

Direction = Literal["lowest", "highest", "random", "oracle"]


@dataclass(frozen=True)
class Order:
    """One order of heads.

    Attributes:
        group: Name in tables; random orders share one.
        name: Name of its ranking: the method, with the file name if several files have the same method.
        direction: Which heads of the ranking are pruned first, or how else the order was made.
        heads: All heads of the model in pruning order; for the oracle, those that it pruned.
        seed: Seed of a random order.
        file: Source of the scores.
        n_read: How many of the judged sentences its ranking has read with their labels.
        crossed: The order made on the other half of the sentences, if every sentence is judged by the order made without it;
            `heads` was then made on the first half. None: one order for all sentences.
    """

    group: str
    name: str
    direction: Direction
    heads: tuple[HeadId, ...]
    seed: int | None = None
    file: str | None = None
    n_read: int = 0
    crossed: tuple[HeadId, ...] | None = None

    @property
    def key(self) -> str:
        """A unique name."""
        return self.group if self.seed is None else f"{self.group}, seed {self.seed}"


def read_files(paths: Sequence[Path]) -> dict[str, tuple[Path, HeadScores]]:
    """Scores by name: the method, with the file name if the method is unknown or several files have it.

    Raises:
        DataFormatError: A file cannot be read as scores.
        SettingError: A file is named twice.
    """
    found = read_each(paths)
    titles, stems = Counter(scores.title for _, scores in found), Counter(path.stem for path in paths)
    files = [path.stem if stems[path.stem] == 1 else str(path) for path in paths]
    names = [
        file if scores.method == "unknown" else scores.title if titles[scores.title] == 1 else f"{scores.title} ({file})"
        for file, (_, scores) in zip(files, found, strict=True)
    ]
    taken = Counter(names)  # a file without a method may be called as another's method is
    return {name if taken[name] == 1 else f"{name} ({own[0]})": own for name, own in zip(names, found, strict=True)}


def orders(
    files: dict[str, tuple[Path, HeadScores]],
    *,
    n_read: Mapping[str, int],
    normalisation: Normalisation,
    n_random: int,
    seed: int,
    model: str,
    present: HeadMask,
) -> list[Order]:
    """Every file's order, lowest first and highest first, then random orders with seeds from `seed` up.

    Args:
        files: From `read_files`.
        n_read: How many of the judged sentences each ranking has read with their labels.
        normalisation: Scaling before ranking.
        n_random: Random orders.
        seed: Of the first random order.
        model: Its name, for messages.
        present: Heads that it has.

    Raises:
        SettingError: Scores are for a model of another shape, or lack a head that this one has.
    """
    found = []
    for name, (path, scores) in files.items():
        check_scores(path, scores, model=model, present=present)
        found += both_ways(Order("", name, "lowest", ranked(scores, present, normalisation), file=str(path), n_read=n_read[name]))
    group = f"random ({counted(n_random, 'order')})"
    for number in range(seed, seed + n_random):
        found.append(Order(group, "random", "random", random_order(present, seed=number), seed=number))
    return found


def ranked(scores: HeadScores, present: HeadMask, normalisation: Normalisation) -> tuple[HeadId, ...]:
    """The heads that the model has, least important first."""
    return tuple(head for head in rank(scores, normalisation=normalisation) if present.keep[head.layer, head.head])


def both_ways(order: Order) -> list[Order]:
    """The order and its reverse, named in tables by the name of their ranking."""
    turned = None if order.crossed is None else order.crossed[::-1]
    return [
        replace(order, group=f"{order.name}, lowest first"),
        replace(order, group=f"{order.name}, highest first", direction="highest", heads=order.heads[::-1], crossed=turned),
    ]
