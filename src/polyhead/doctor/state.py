"""Snapshots of a model's state; comparing two shows what was not restored."""

from collections.abc import Mapping

from torch import nn
from transformers import PreTrainedModel

from polyhead.learning.resumable import hash_of

State = Mapping[str, Mapping[str, object]]


def state_of(model: PreTrainedModel, *, hashed: bool = True) -> State:
    """The state of every weight and module, by kind and name.

    Args:
        model: Not changed.
        hashed: Hash every weight (about a second per gigabyte); otherwise rely on torch's count of writes to it.
    """
    parameters = dict(model.named_parameters())
    modules = dict(model.named_modules())
    weights = parameters | dict(model.named_buffers())
    return {
        "weights": {name: hash_of([("", weight)]) if hashed else weight._version for name, weight in weights.items()},
        "tensors behind the weights": {name: (id(weight), weight.dtype, weight.device) for name, weight in weights.items()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in parameters.items()},
        "gradients": {name: None if parameter.grad is None else id(parameter.grad) for name, parameter in parameters.items()},
        "hooks": {name: _hooks(module) for name, module in modules.items()},
        "training modes": {name: module.training for name, module in modules.items()},
        "config": {"config": str(model.config.to_dict()), "kernel": model.config._attn_implementation},
    }


def changes(before: State, after: State) -> list[str]:
    """The differences, one text per kind; empty if there are none."""
    texts = []
    for kind, old in before.items():
        new = after[kind]
        names = [name for name in {**old, **new} if name not in old or name not in new or old[name] != new[name]]
        if names:
            texts.append(f"{kind}: {len(names)} changed, such as {names[0] or 'the model itself'}")
    return texts


def _hooks(module: nn.Module) -> int:
    kinds = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return sum(map(len, kinds))
