"""Training of an embedding that touches only the rows that occur in the training data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from transformers import PreTrainedModel


class SeenRows(nn.Module):
    """Some rows of an embedding, looked up by the ids of the whole one.

    Attributes:
        weight: The rows, trained in place of the whole embedding.
        rows: int64 `[n]`, ids of these rows, ascending.
    """

    index: Tensor

    def __init__(self, whole: nn.Embedding, rows: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(whole.weight.detach()[rows])
        self.rows = rows
        index = torch.zeros(whole.num_embeddings, dtype=torch.int64, device=rows.device)
        index[rows] = torch.arange(len(rows), device=rows.device)
        self.register_buffer("index", index, persistent=False)
        padding = whole.padding_idx
        # the index of a row that was left out is 0, which is a row that is trained
        self.padding_idx = int(index[padding]) if padding is not None and bool((rows == padding).any()) else None

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of `ids`, all of which must be among those kept."""
        return embedding(self.index[ids], self.weight, padding_idx=self.padding_idx)


@contextmanager
def seen_rows(model: PreTrainedModel, ids: Tensor, *, decay: Callable[[], float]) -> Iterator[None]:
    """Inside, the model's input embedding holds only the rows of `ids`; afterwards it is whole again, seen rows as trained.

    A row that no batch reads has a gradient of zero and moments of zero, so that AdamW does nothing to it but decay: leaving it
    out and multiplying it once by the product of all decays gives the plain training's result to rounding, and saves a pass
    over the vocabulary in the gradients, their norm and the optimiser, at every step.

    Does nothing where the embedding is not trained, is shared with another part, or is not a plain one.

    Args:
        model: Changed in place.
        ids: int64 `[n]`, any order, repeats allowed; every id of the training data and the padding id.
        decay: Called at the end: what to multiply the other rows by.
    """
    whole = model.get_input_embeddings()
    if not _replaceable(model, whole):
        yield
        return
    rows = torch.unique(ids).to(whole.weight.device)
    part = SeenRows(whole, rows)
    model.set_input_embeddings(part)
    try:
        yield
    finally:
        model.set_input_embeddings(whole)
        with torch.no_grad():
            whole.weight.mul_(decay())
            whole.weight[rows] = part.weight


def _replaceable(model: PreTrainedModel, whole: nn.Module) -> bool:
    if type(whole) is not nn.Embedding or not whole.weight.requires_grad:
        return False
    owners = sum(p is whole.weight for _, p in model.named_parameters(remove_duplicate=False))
    plain = whole.max_norm is None and not whole.scale_grad_by_freq and not whole.sparse
    return owners == 1 and plain and not whole._forward_hooks and not whole._forward_pre_hooks
