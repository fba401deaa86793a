"""What the cells of a run work with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress
from polyhead.core.store import Record
from polyhead.models.devices import Precision
from polyhead.studies.inputs import Inputs
from polyhead.studies.settings import RunSettings


class FitStore(Protocol):
    """Where fine-tunings are kept, each in a folder named by its fingerprint, and who may work on one.

    A run holds its whole folder; the workers of a study lease one fine-tuning each.
    """

    def folder_of(self, name: str) -> Path:
        """The folder of a fine-tuning; not created here."""
        ...

    def get(self, name: str) -> Record | None:
        """Its record, or None if it has not finished."""
        ...

    def put(self, record: Record) -> Path:
        """Write its record, and return the folder."""
        ...

    def records(self) -> Iterator[Record]:
        """The records of all finished fine-tunings."""
        ...

    def working(self, name: str) -> AbstractContextManager[None]:
        """Held while something is computed from or written to a fine-tuning; the same holder may enter again.

        Raises:
            Busy: Another worker holds it.
            Missing: This process only plans, or works on another one.
        """
        ...

    def check(self, name: str) -> None:
        """Return if this process, which works on a fine-tuning, still may write to it; asked before every write.

        Raises:
            LeaseLost: Another worker took it over meanwhile.
        """
        ...

    def each(self, items: Sequence[int], work: Callable[[int], object]) -> None:
        """Work on items that do not wait for one another, where others may work on some of them at the same time."""
        ...

    def forget(self, folders: Iterable[Path]) -> None:
        """Remove the weights of these fine-tunings unless somebody needs them; figures, counts and scores stay."""
        ...


@dataclass(frozen=True)
class RunContext:
    """What the cells of a run work with.

    Attributes:
        settings: Of the run.
        inputs: Its data, encoded.
        store: Store of finished fine-tunings.
        model_hash: Of the pre-trained encoder's files, or the commit of a hub id.
        present: Heads that the pre-trained encoder has.
        device: Where everything runs.
        precision: Of training, scoring and evaluation alike.
        progress: Updated after every step.
        saved: Folder of the run's pruned model, which has the weights of one of its fine-tunings.
        test_every_k: Whether every k that was tried is tested, not only the chosen one.
    """

    settings: RunSettings
    inputs: Inputs
    store: FitStore
    model_hash: str
    present: HeadMask
    device: torch.device
    precision: Precision
    progress: Progress
    saved: Path | None = None
    test_every_k: bool = False

    @property
    def tests_every_k(self) -> bool:
        """Whether every trial is tested: if asked for, and under the paper's protocols, which choose by the tests."""
        return self.test_every_k or self.settings.rules.reported_split

    def named(self, seed: int, arm: str) -> str:
        """A cell's name for progress lines.

        Sources come first: in a study neighbouring lines are about different ones.
        """
        return f"{'+'.join(source.name for source in self.inputs.sources)}, seed {seed}, {arm}"

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads of the unpruned encoder."""
        return self.present.n_layers, self.present.n_heads
