"""Training only the embedding rows that occur in the training data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from transformers import PreTrainedModel


class SeenRows(nn.Module):
    """Some rows of an embedding, looked up by the ids of the whole embedding.

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
        # other rows have index 0, which is a trained row
        self.padding_idx = int(index[padding]) if padding is not None and bool((rows == padding).any()) else None

    def forward(self, ids: Tensor) -> Tensor:
        """The rows of `ids`, which must all be kept."""
        return embedding(self.index[ids], self.weight, padding_idx=self.padding_idx)


@contextmanager
def seen_rows(model: PreTrainedModel, ids: Tensor, *, decay: Callable[[], float]) -> Iterator[None]:
    """A context in which the model's input embedding holds only the rows of `ids`; at the end they return to the whole embedding.

    A row that no batch reads has zero gradient and moments, so AdamW only decays it. Leaving it out and multiplying it once by
    the product of all decays gives the same result up to rounding, and saves a pass over the vocabulary for gradients, their
    norm and the optimiser at every step.

    Does nothing where the embedding is frozen, tied, or not a plain `nn.Embedding`.

    Args:
        model: Changed in place.
        ids: int64 `[n]`, in any order, with repeats; every id of the training data and the padding id.
        decay: Called at the end: the factor for the other rows.
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
