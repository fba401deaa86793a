"""Training of the tiny model under nested masks, with or without a teacher: a batch, its sentences one by one, and a stop."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from training_case import tiny_encoded, tiny_model, weights
from watch import Crash, Watch

from polyhead.core.specs import TrainSpec
from polyhead.learning.batching import Batch, collate, training_batches
from polyhead.learning.nested import NestedMasks
from polyhead.learning.teaching import Teacher
from polyhead.learning.training import fit

SPEC = TrainSpec(epochs=2, batch_size=4, learning_rate=1e-2, precision="fp32", seed=3)


def batch_of(n: int) -> Batch:
    return next(iter(training_batches(tiny_encoded(), batch_size=n, order="file", seed=0, epoch=0)))


def one_by_one(batch: Batch) -> Iterator[Batch]:
    """Every sentence of the batch in a batch of its own."""
    encoded = tiny_encoded()
    for sentence in batch.sentences:
        yield collate([[window for window in encoded.windows if window.sentence == sentence]], pad_id=encoded.pad_id)


def trained(nested: NestedMasks | None, teacher: Teacher | None = None, **options: object) -> dict[str, torch.Tensor]:
    model = tiny_model()
    fit(model, tiny_encoded(), SPEC, mask=nested, teacher=teacher, device="cpu", **options)  # type: ignore[arg-type]
    return weights(model)


def crashed(file: Path, nested: NestedMasks, teacher: Teacher | None = None) -> None:
    """Train up to the seventh step, saving every step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyhead.learning.training_state.TrainingState.is_due", lambda self: True)
        with pytest.raises(Crash):
            trained(nested, teacher, resume_file=file, progress=Watch(7))


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def check_gradients(model: torch.nn.Module, expected: dict[str, torch.Tensor]) -> None:
    found = gradients(model)
    for name, own in expected.items():
        assert torch.allclose(found[name], own, atol=1e-6), name
