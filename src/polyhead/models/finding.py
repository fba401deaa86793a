"""Heads of a model whose family has no row: proposed from shapes, and used only once proven."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError
from polyhead.models.architectures import ARCHITECTURES, PROVEN, Architecture
from polyhead.models.proofs import prove, prove_loaded, starts_after_padding
from polyhead.models.proposals import nearest_row, proposals
from polyhead.models.row_record import read_row
from polyhead.models.small_copies import NotProven, small_copy

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

# what was proven in this process: the settings of a model without its name and labels
_DONE: dict[str, Architecture] = {}
_IRRELEVANT = ("_name_or_path", "id2label", "label2id", "architectures", "dtype", "quantization_config", "transformers_version")


def find_sites(model: PreTrainedModel) -> Architecture:
    """Where a model's heads are; from then on gates, pruning, scoring, saving and loading support it in this process.

    A family of the table has its row. For another one, rows are proposed from the shapes of the modules and proven on a random
    copy in float64 with at most three layers: masked and pruned logits agree to 1e-10, gates have the right gradient, the order
    of heads changes nothing, and more; see `proofs`. Then masked and pruned logits must agree on the model itself. `load_tagger`,
    `rank`, `prune` and `doctor` call this where it is needed. Costs about a hundred passes of the small copy, once for a model's
    settings, and the memory of a second model without its embeddings.

    Args:
        model: What `from_pretrained` returns, in memory or on the meta device (then it is not tried itself), unpruned.

    Raises:
        ArchitectureError: No proposal was proven. It says what failed, the nearest row, and how to write one.

    >>> import polyhead as ph
    >>> find_sites(ph.Tagger.load("polyhead/tiny", task="pos", seed=42).model).model_type
    'xlm-roberta'
    """
    require(model=(model, nn.Module))
    kind = getattr(model.config, "model_type", None)
    if kind in ARCHITECTURES:
        return ARCHITECTURES[kind]
    settings = _settings(model)
    row = _DONE.get(settings)
    if row is None:
        row = _proven(model)
        _DONE[settings] = row
    if not any(parameter.is_meta for parameter in model.parameters()):
        try:
            prove_loaded(model, row)
        except NotProven as error:
            raise _refused(model, str(error)) from None
    return _use(model, row)


def find_recorded(model: PreTrainedModel, record: Mapping[str, object]) -> Architecture:
    """As `find_sites`, for an empty model that will be pruned to a record: a row in the record is used without a proof.

    Raises:
        ArchitectureError: As `find_sites`.
        CheckpointError: The record's row is none.
    """
    kind = model.config.model_type
    row = None if kind in ARCHITECTURES else read_row(record, kind, where=str(model.config.name_or_path))
    if row is None:
        return find_sites(model)
    return _use(model, row)


def _use(model: PreTrainedModel, row: Architecture) -> Architecture:
    known = PROVEN.setdefault(row.model_type, row)
    if replace(known, classifier=row.classifier) != row:
        raise _refused(model, "another model of this type, with other modules, is in use; load this one in a process of its own")
    if hasattr(model, row.classifier):  # a bare encoder does not say what its family calls the classifier
        PROVEN[row.model_type] = row
    return row


def _proven(model: PreTrainedModel) -> Architecture:
    proposed = proposals(model)
    if not proposed:
        raise _refused(model, "no list of equal layers with projections into and out of heads was found")
    reasons = []
    try:
        small = small_copy(model)
        for row in proposed:
            try:
                prove(small, row)
            except NotProven as error:
                reasons.append(str(error))
            else:
                return replace(row, positions_after_padding=starts_after_padding(small))
    except NotProven as error:
        reasons.append(str(error))
    raise _refused(model, reasons[0])


def _settings(model: PreTrainedModel) -> str:
    found = {name: value for name, value in model.config.to_dict().items() if name not in _IRRELEVANT}
    return json.dumps([type(model).__name__, found], sort_keys=True, default=str)


def _refused(model: PreTrainedModel, reason: str) -> ArchitectureError:
    kind = getattr(model.config, "model_type", None)
    step = f"the nearest row is {nearest_row(model)}; write one with polyhead.register_architecture"
    return ArchitectureError(f"model_type {kind!r}: not supported, and where its heads are could not be proven: {reason}; {step}")
