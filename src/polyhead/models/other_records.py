"""Records of pruned heads that others write: Transformers 4's `pruned_heads`, and `per_layer_config` from 5.24 on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polyhead.core.errors import CheckpointError
from polyhead.core.heads import HeadMask
from polyhead.models import pruning_record
from polyhead.models.checks import config_path
from polyhead.models.model_heads import full_mask_of

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PretrainedConfig


def read_old_record(config: PretrainedConfig) -> None:
    """Convert the pruned heads that other records name to polyhead's, in place: Transformers 4's, and those by layer.

    Raises:
        CheckpointError: A record names impossible heads, or two records differ.
    """
    path, full = config_path(config), full_mask_of(config)
    n_layers, n_heads = full.shape
    old, by_layer = config.__dict__.get(pruning_record.OLD_KEY), pruning_record.per_layer_heads(config, where=str(path))
    record = getattr(config, pruning_record.KEY, None)
    if old and record is not None:
        raise CheckpointError(f"{path}: pruned_heads and {pruning_record.KEY} both record pruned heads; keep one")
    if record is not None and pruning_record.is_ours(record):
        check_per_layer(config, pruning_record.read_record(record, full, folder=str(path.parent)))
    elif record is None and (old or by_layer):
        found = [pruning_record.read_heads(own, n_layers, n_heads, where=str(path)) for own in (old, by_layer) if own]
        masks = [HeadMask.without(n_layers, n_heads, heads) for heads in found]
        if len({*masks}) > 1:
            raise _differ(path, pruning_record.OLD_KEY)
        config.__dict__.pop(pruning_record.OLD_KEY, None)
        if masks[0] != full:
            pruning_record.keep_record(config, masks[0], {})


def says_pruned(config: PretrainedConfig) -> bool:
    """Whether any record names pruned heads, so that the weights may be smaller than the config says.

    Raises:
        CheckpointError: `per_layer_config` is malformed.
    """
    others = config.__dict__.get(pruning_record.OLD_KEY), pruning_record.per_layer_heads(config, where=str(config_path(config)))
    return hasattr(config, pruning_record.KEY) or any(others)


def check_per_layer(config: PretrainedConfig, mask: HeadMask) -> None:
    """Check that `per_layer_config`, if it names pruned heads, names those of the record.

    Raises:
        CheckpointError: It names others.
    """
    path = config_path(config)
    if by_layer := pruning_record.per_layer_heads(config, where=str(path)):
        heads = pruning_record.read_heads(by_layer, mask.n_layers, mask.n_heads, where=f"{path}: {pruning_record.PER_LAYER}")
        if HeadMask.without(mask.n_layers, mask.n_heads, heads) != mask:
            raise _differ(path, pruning_record.KEY)


def _differ(path: Path, other: str) -> CheckpointError:
    step = "keep the one that fits the weights"
    return CheckpointError(f"{path}: {pruning_record.PER_LAYER} and {other} record different pruned heads; {step}")
