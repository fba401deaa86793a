"""What the cells of a run work with."""

from dataclasses import dataclass
from pathlib import Path

import torch

from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress
from polyhead.core.store import RunStore
from polyhead.models.devices import Precision
from polyhead.studies.inputs import Inputs
from polyhead.studies.settings import RunSettings


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
    """

    settings: RunSettings
    inputs: Inputs
    store: RunStore
    model_hash: str
    present: HeadMask
    device: torch.device
    precision: Precision
    progress: Progress
    saved: Path | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads of the unpruned encoder."""
        return self.present.n_layers, self.present.n_heads
