"""The orders that `polyhead curve` compares: each file's ranking from both ends, random orders, and the oracle's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transformers import PreTrainedModel

from polyhead.core.heads import HeadId, HeadMask, HeadScores, Normalisation
from polyhead.core.progress import Progress
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.inference import Labelled
from polyhead.models.devices import Precision
from polyhead.selection.curves import Curve, pruning_curves, random_order
from polyhead.selection.oracle import greedy_order
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
        data_hash: Hash of the text that was scored, as stated in the file.
    """

    group: str
    name: str
    direction: Direction
    heads: tuple[HeadId, ...]
    seed: int | None = None
    file: str | None = None
    data_hash: str = ""

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
    normalisation: Normalisation,
    n_random: int,
    seed: int,
    model: str,
    present: HeadMask,
) -> list[Order]:
    """Every file's order, lowest first and highest first, then random orders with seeds from `seed` up.

    Raises:
        SettingError: Scores are for a model of another shape, or lack a head that this one has.
    """
    found = []
    for name, (path, scores) in files.items():
        check_scores(path, scores, model=model, present=present)
        ranking = tuple(head for head in rank(scores, normalisation=normalisation) if present.keep[head.layer, head.head])
        both: dict[Direction, tuple[HeadId, ...]] = {"lowest": ranking, "highest": ranking[::-1]}
        found += [
            Order(f"{name}, {direction} first", name, direction, heads, file=str(path), data_hash=scores.data_hash)
            for direction, heads in both.items()
        ]
    group = f"random ({n_random} {'order' if n_random == 1 else 'orders'})"
    for number in range(seed, seed + n_random):
        found.append(Order(group, "random", "random", random_order(present, seed=number), seed=number))
    return found


def judged_orders(
    model: PreTrainedModel,
    labelled: Labelled,
    task: Task,
    labels: LabelSet,
    judged: list[Order],
    *,
    precision: Precision,
    depth: int,
    with_oracle: bool,
    oracle_file: Path | None,
    progress: Progress,
) -> tuple[list[Order], dict[str, Curve]]:
    """All orders, including the oracle's if requested, and their curves by key."""
    if with_oracle:
        steps = greedy_order(
            model, labelled, task, labels, n_steps=depth, precision=precision, progress=progress, resume_file=oracle_file
        ).order
        judged = [*judged, Order("greedy oracle", "greedy oracle", "oracle", steps)]
    by_key = {order.key: order.heads for order in judged}
    return judged, pruning_curves(model, labelled, task, labels, by_key, max_pruned=depth, precision=precision, progress=progress)
