"""Several masks in one model, by name: heads that no mask keeps are gone, all others are gated sentence by sentence.

`prune(model, {"de": mask, "ja": other})` makes such a model. Its forward pass takes `mask_names`, one name for each row of the
batch, in the manner of PEFT's `adapter_names`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError, SettingError, allowed_names
from polyhead.core.heads import HeadMask
from polyhead.models import pruning_record
from polyhead.models.gates import gated, only_this_thread
from polyhead.models.model_heads import full_mask, recorded_mask

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

MaskNames = Sequence[str | None]
_NAME = re.compile(r"[\w-]+", re.ASCII)
_COMPILED = "mask_names: compiled and exported code has no gates; call the model that is not compiled, or one pruned to one mask"
_PATIENCE = 600.0  # seconds that a call waits for calls from other threads


def head_masks(model: PreTrainedModel) -> dict[str, HeadMask]:
    """The named masks of a model, True = keep, in the unpruned numbering; empty if it has none.

    Raises:
        ArchitectureError: The family has no row.
        CheckpointError: The record of pruned heads is corrupt.

    >>> import polyhead as ph
    >>> model = ph.Tagger.load("polyhead/tiny", task="pos", seed=42).model
    >>> masks = {"de": ph.HeadMask.without(4, 8, [ph.HeadId(2, 5)]), "ja": ph.HeadMask.full(4, 8)}
    >>> head_masks(ph.prune(model, masks)) == masks
    True
    """
    require(model=(model, nn.Module))
    record = getattr(model.config, pruning_record.KEY, None)
    if record is None or not pruning_record.is_ours(record):
        return {}
    return pruning_record.read_masks(record, recorded_mask(model), folder=model.config.name_or_path)


def check_masks(masks: Mapping[str, HeadMask], has: HeadMask) -> None:
    """Check that named masks fit a model whose own mask, of whatever heads, is `has`.

    Raises:
        TypeError: One is not a `HeadMask`.
        SettingError: There is none, a name is not allowed, or one does not have the shape of the unpruned model.
    """
    if not masks:
        raise SettingError("masks: there is none; give one for each name")
    for name, mask in masks.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SettingError(f"mask name {name!r}: expected letters, digits, - and _, such as de or zh-Hans")
        require(**{f"mask {name}": (mask, HeadMask)})
        if mask.shape != has.shape:
            unpruned = f"{has.n_layers} x {has.n_heads} before pruning"
            raise SettingError(f"mask {name} of {mask.n_layers} layers x {mask.n_heads} heads: this model has {unpruned}")


def check_names(model: PreTrainedModel, names: MaskNames) -> dict[str, HeadMask]:
    """The model's masks, once each name is that of one; None stands for all heads that the model has.

    Raises:
        SettingError: A name is unknown, or the model has no masks.
    """
    masks = head_masks(model)
    if isinstance(names, str):
        raise SettingError(f"mask_names is {names!r}; expected one name for each sentence, in a list")
    if not masks:
        raise SettingError(
            "mask names were given, but this model has no masks; polyhead prune --mask NAME=FILE makes one that has"
        )
    for name in names:
        if name is not None and name not in masks:
            raise SettingError(f"mask {name!r}: this model has no such mask; {allowed_names(str(name), masks)}")
    return masks


def with_all_heads(masks: Mapping[str, HeadMask], what: Iterable[str] = ()) -> str:
    """What to say where a model has masks and text is read under none of them; `what` names the text.

    >>> with_all_heads({"de": HeadMask.full(1, 2), "ja": HeadMask.full(1, 2)}, ["sw", "sw"])
    'read with all heads, because the model has masks for de, ja only: sw'
    >>> with_all_heads({"de": HeadMask.full(1, 2)})
    'read with all heads, because no mask is named; the model has masks for de'
    """
    listed = ", ".join(dict.fromkeys(what))
    there = f"the model has masks for {', '.join(masks)}"
    return (
        f"read with all heads, because {there} only: {listed}"
        if listed
        else f"read with all heads, because no mask is named; {there}"
    )


def gated_by_name(model: PreTrainedModel, names: MaskNames, *, rows: Tensor | None = None) -> AbstractContextManager[None]:
    """A context in which each sentence of a batch is read under its own mask, as `gated` does it.

    Args:
        model: With named masks.
        names: One for each sentence; None for all heads that the model has.
        rows: int64 `[batch rows]`, the sentence of each row of the batch; default: one row for each, in order.

    Raises:
        SettingError: A name is unknown, or the model has no masks.
    """
    masks: dict[str | None, HeadMask] = {None: full_mask(model)}
    masks.update(check_names(model, names))
    distinct = list(dict.fromkeys(names))
    if not distinct or distinct == [None]:
        return nullcontext()
    if len(distinct) == 1:
        return gated(model, masks[distinct[0]])
    index = torch.tensor([distinct.index(name) for name in names])
    table = torch.from_numpy(np.stack([masks[name].keep for name in distinct]))
    return gated(model, table, rows=index if rows is None else index[rows.cpu()])


def take_mask_names(model: PreTrainedModel) -> None:
    """Let the model's forward pass take `mask_names`; a second call does nothing."""
    if not any(isinstance(getattr(hook, "__self__", None), _ByName) for hook in model._forward_pre_hooks.values()):
        by_name = _ByName()
        model.register_forward_pre_hook(by_name.begin, with_kwargs=True)
        model.register_forward_hook(by_name.end, always_call=True)


@dataclass(eq=False)
class _ByName:
    """Opens the gates before a forward pass and closes them after it.

    Calls from several threads wait for one another: gates are on the modules, so another call would be read under them too.

    Attributes:
        open: One for each pass that has begun.
    """

    open: list[ExitStack] = field(default_factory=list)

    def begin(self, model: PreTrainedModel, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        """Take `mask_names` out of the arguments."""
        names = named.get("mask_names")
        if torch.compiler.is_compiling():  # locks and gates cannot be traced
            if names is not None:
                raise ArchitectureError(_COMPILED)
            return args, {key: value for key, value in named.items() if key != "mask_names"}
        if names is not None and "torch._dynamo" in sys.modules:
            try:
                torch.compiler.set_stance("default").__exit__(None, None, None)
            except RuntimeError:  # between the parts of a compiled call
                raise ArchitectureError(_COMPILED) from None
        _plainly(self._enter)(model, args, named, names)
        return args, {key: value for key, value in named.items() if key != "mask_names"}

    def _enter(self, model: PreTrainedModel, args: tuple[Any, ...], named: dict[str, Any], names: MaskNames | None) -> None:
        with ExitStack() as stack:
            stack.enter_context(only_this_thread(model, patience=_PATIENCE))
            if names is not None:
                _check_rows(args, named, len(names))
                recomputes = any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
                if model.training and torch.is_grad_enabled() and recomputes:
                    step = "call backward inside polyhead.gated, or turn gradient checkpointing off"
                    raise SettingError(f"mask_names: the backward pass would read the sentences without their masks; {step}")
                stack.enter_context(gated_by_name(model, names))
            self.open.append(stack.pop_all())

    def end(self, model: PreTrainedModel, args: tuple[Any, ...], output: Any) -> None:
        """Close what `begin` opened."""
        if self.open:
            _plainly(self.open.pop().close)()


def _plainly(work: Callable[..., None]) -> Callable[..., None]:
    """The function, which is not compiled where it is called between the parts of a compiled call."""
    # importing Dynamo takes seconds
    return torch.compiler.disable(work) if "torch._dynamo" in sys.modules else work


def _check_rows(args: tuple[Any, ...], named: Mapping[str, Any], n: int) -> None:
    batch = next((value for value in (*args[:1], named.get("input_ids"), named.get("inputs_embeds")) if value is not None), None)
    if batch is not None and len(batch) != n:
        raise SettingError(f"mask_names: {n} names for a batch of {len(batch)} rows; give one for each row")
