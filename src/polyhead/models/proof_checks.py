"""What a small random model in float64 must do if its row says where its heads are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from polyhead.core.heads import HeadId, HeadMask
from polyhead.models.architectures import Architecture
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.pruning import fitted, full_state, prune, reorder_heads
from polyhead.models.repeating import repeating
from polyhead.models.sites import PROJECTIONS, AttentionSite
from polyhead.models.small_copies import NotProven, random_inputs

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

EXACT = 1e-10  # of the largest logit, in float64
LENGTH, _LONGEST = 9, 600
Inputs = dict[str, Tensor]


def logits_of(model: PreTrainedModel, inputs: Inputs, *, graph: bool = False) -> Tensor:
    """Logits, or hidden states of a bare encoder, at the real positions; of a sentence classifier those of every text."""
    with torch.set_grad_enabled(graph):
        found: Tensor = model(**inputs)[0]
        if found.dim() == 2 and len(found) == len(inputs["input_ids"]):
            return found
        if found.shape[:2] != inputs["input_ids"].shape:
            raise NotProven(f"the output has shape {[*found.shape]}, not one row per subword or per text")
        return found[inputs["attention_mask"].bool()]


def check_same(found: Tensor, expected: Tensor, what: str, bound: float = EXACT) -> None:
    """Refuse logits that are not those under masks.

    Raises:
        NotProven: They are further apart than `bound` times the largest.
    """
    apart = float((found - expected).abs().max() / expected.abs().max().clamp(min=1))
    if not apart <= bound:
        raise NotProven(f"{what} differ from the masked ones by {apart:.1e} (at most {bound:.0e})")


def uneven(full: HeadMask) -> HeadMask:
    """A mask that leaves another half of the heads in every layer."""
    keep = full.keep.copy()
    for layer in range(full.n_layers):
        keep[layer, layer % full.n_heads :: 2] = False
    return HeadMask(keep)


def _masks_to_try(full: HeadMask) -> Iterator[tuple[str, HeadMask]]:
    yield "uneven layers", uneven(full)
    for layer in range(full.n_layers):
        yield (
            f"no heads in layer {layer}",
            HeadMask.without(full.n_layers, full.n_heads, [HeadId(layer, head) for head in range(full.n_heads)]),
        )
    first = full.keep.copy()
    first[:, 1:] = False
    yield "one head a layer", HeadMask(first)
    yield "no heads", HeadMask(~full.keep)


def owned(small: PreTrainedModel, row: Architecture, sites: tuple[AttentionSite, ...]) -> None:
    """No weight of a head is also another's, and no matrix of the attention modules is left unexplained."""
    holders: dict[int, list[str]] = {}
    for name, parameter in small.named_parameters(remove_duplicate=False):
        holders.setdefault(id(parameter), []).append(name)
    for site in sites:
        parts = site.parts()
        known = {id(part.parameter) for part in parts}
        for part in parts:
            if len(names := holders[id(part.parameter)]) > 1:
                raise NotProven(f"{names[0]} and {names[1]} are one tensor: tied weights cannot be pruned apart")
        sizes = {len(site.kept), len(site.kept) * site.head_dim}
        for name, parameter in site.attention.named_parameters():
            is_shared = bool(row.shared_bias) and f".{name}".endswith(f".{row.shared_bias.rpartition('.')[2]}.weight")
            if parameter.ndim > 1 and id(parameter) not in known and not is_shared and sizes & {*parameter.shape}:
                shape = [*parameter.shape]
                raise NotProven(f"layer {site.layer}: the attention module's {name} {shape} belongs to no head; it may mix heads")


def _alive(small: PreTrainedModel, sites: tuple[AttentionSite, ...], inputs: Inputs) -> None:
    """A forward pass runs every layer's projections, and leaves the modules in place."""
    ran: dict[nn.Module, int] = {}

    def count(module: nn.Module, *_: object) -> None:
        ran[module] = ran.get(module, 0) + 1

    with ExitStack() as stack:
        for site in sites:
            for module in {site.block, *site.inputs, site.output}:
                stack.callback(module.register_forward_hook(count).remove)
        logits_of(small, inputs)
    for site, after in zip(sites, attention_sites(small), strict=True):
        if (site.attention, site.query, site.output) != (after.attention, after.query, after.output):
            raise NotProven(f"layer {site.layer}: its modules are replaced while the model runs")
        for module in (site.block, *site.inputs, site.output):
            if ran.get(module) != site.uses:
                raise NotProven(
                    f"layer {site.layer}: a pass runs {type(module).__name__} {ran.get(module, 0)} times, not {site.uses}"
                )


def _masks(small: PreTrainedModel, sites: tuple[AttentionSite, ...], inputs: Inputs) -> None:
    """Masked and pruned logits agree, pruned weights fit back into the full model, and every head matters."""
    full = full_mask(small)
    whole = logits_of(small, inputs)
    limit = getattr(small.config, "max_position_embeddings", None)
    longer = min(_LONGEST, (limit if isinstance(limit, int) and limit > 0 else 64) - 8)
    texts = [inputs] if longer <= LENGTH else [inputs, {name: value[:1] for name, value in random_inputs(small, longer).items()}]
    for what, wanted in _masks_to_try(full):
        mask = fitted(small, wanted)
        cut = prune(copy.deepcopy(small), mask)
        for given in texts:
            with gated(small, mask):
                masked = logits_of(small, given)
            check_same(logits_of(cut, given), masked, f"pruned logits ({what}, {given['input_ids'].shape[1]} subwords)")
        back = copy.deepcopy(small)
        back.load_state_dict(full_state(cut))
        check_same(logits_of(back, inputs), _masked(small, mask, inputs), f"logits of densified weights ({what})")
    for site in sites:
        for head in site.kept:
            mask = HeadMask.without(full.n_layers, full.n_heads, [HeadId(site.layer, head)])
            if float((_masked(small, mask, inputs) - whole).abs().max()) < 1e-6:
                raise NotProven(f"head {site.layer}.{head}: masking it changes nothing")


def _masked(model: PreTrainedModel, mask: HeadMask, inputs: Inputs) -> Tensor:
    with gated(model, mask):
        return logits_of(model, inputs)


def _differences(small: PreTrainedModel, sites: tuple[AttentionSite, ...], inputs: Inputs) -> None:
    """The gradient of a gate is the finite difference of the loss."""
    shape = full_mask(small).shape
    gates = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    usual = logits_of(small, inputs)
    weights = torch.linspace(-1, 1, usual.shape[-1], dtype=torch.float64) / usual.abs().max()
    with gated(small, gates):
        (gradient,) = torch.autograd.grad((logits_of(small, inputs, graph=True) @ weights).sin().mean(), gates)
    for layer in range(shape[0]):
        head = layer % shape[1]
        found, expected = float(gradient[layer, head]), 0.0
        for step in (2.0**-8, 2.0**-12, 2.0**-5):  # some families round to float32 inside, others bend more
            sides = []
            for sign in (1, -1):
                moved = torch.ones(shape, dtype=torch.float64)
                moved[layer, head] += sign * step
                with gated(small, moved):
                    sides.append(float((logits_of(small, inputs) @ weights).sin().mean()))
            expected = (sides[0] - sides[1]) / (2 * step)
            if abs(found - expected) <= 1e-2 * abs(expected) + 1e-4 * float(gradient.abs().max()) + 1e-7:
                break
        else:
            wrong = f"its gate has the gradient {found:.3g}, but the finite difference is {expected:.3g}"
            raise NotProven(f"head {layer}.{head}: {wrong}")


def _order(small: PreTrainedModel, sites: tuple[AttentionSite, ...], inputs: Inputs) -> None:
    """Heads in another order in the weights give the same logits."""
    moved = copy.deepcopy(small)
    reorder_heads(moved)
    check_same(logits_of(moved, inputs), logits_of(small, inputs), "logits with the heads in another order")


def _roles(small: PreTrainedModel, sites: tuple[AttentionSite, ...], inputs: Inputs) -> None:
    """A head's value scales what the head writes; its query acts on its own position only, its key on others too."""
    given = {name: value[:1] for name, value in inputs.items()}
    place = LENGTH // 2
    for site in sites[:1]:
        usual = _written(small, site, given)
        for projection in PROJECTIONS:
            module, rows = getattr(site, projection), site.head_rows(projection)[0]

            def double(module: nn.Module, args: object, output: Tensor, rows: Tensor = rows) -> Tensor:
                return output.index_copy(-1, rows, 2 * output[..., rows])

            def disturb(module: nn.Module, args: object, output: Tensor, rows: Tensor = rows) -> Tensor:
                if output.ndim != 3 or output.shape[1] <= place:
                    return output
                changed = output.clone()
                changed[:, place, rows] += 1
                return changed

            if projection == "value" and not site.also:
                found = _written(small, site, given, module, double)
                wanted = usual.clone()
                wanted[..., 0, :] *= 2
                if site.group == 1 and float((found - wanted).abs().max()) > 1e-6:
                    raise NotProven(
                        "doubling what the row calls a head's value does not double what that head writes, and only that"
                    )
            found = _written(small, site, given, module, disturb)
            moved = ((found - usual).abs() > 1e-9).any(-1)[0]  # [positions, heads]
            elsewhere = moved[torch.arange(len(moved)) != place, 0].any()
            if moved[:, site.group :].any():
                raise NotProven(f"the {projection} of head 0 acts on other heads")
            if bool(elsewhere) == (projection == "query") or (projection == "query" and not moved[place, 0]):
                raise NotProven(f"what the row calls the {projection} does not act as one: it may be another projection")


def _written(
    small: PreTrainedModel,
    site: AttentionSite,
    inputs: Inputs,
    module: nn.Module | None = None,
    change: Callable[..., Tensor] | None = None,
) -> Tensor:
    """What a layer's heads write, `[rows, positions, heads, head_dim]`, optionally with a projection's output changed."""
    seen: list[Tensor] = []
    with ExitStack() as stack:
        stack.callback(site.output.register_forward_pre_hook(lambda module, args: seen.append(site.split(args[0]))).remove)
        if module is not None and change is not None:
            stack.callback(module.register_forward_hook(change).remove)
        logits_of(small, inputs)
    return seen[0]


def _used(small: PreTrainedModel, sites: tuple[AttentionSite, ...], inputs: Inputs) -> None:
    """Every weight of every head has a gradient; a key's bias need not, for it adds the same to all scores of a query."""
    whole = {id(part.parameter): part for site in sites for part in site.parts()}
    small.zero_grad()
    with torch.enable_grad():
        small.requires_grad_(True)
        logits_of(small, inputs, graph=True).sin().sum().backward()
    for part in whole.values():
        gradient = part.parameter.grad
        if part.name == "bias" and part.module is not sites[0].output and part.index.shape[1] == sites[0].head_dim:
            continue
        if gradient is None or not bool((gradient != 0).any()):
            raise NotProven(f"a {[*part.parameter.shape]} {part.name} of {type(part.module).__name__} is never used")
    small.zero_grad()


def _passed_on(small: PreTrainedModel, sites: tuple[AttentionSite, ...], inputs: Inputs) -> None:
    """Layers below a changed one can be repeated from their outputs, as ranking does."""
    if sites[0].uses > 1:
        return
    mask = fitted(small, uneven(full_mask(small)))
    stored: dict[nn.Module, list[Any]] = {site.block: [] for site in sites[:-1]}
    with ExitStack() as stack:
        for block, kept in stored.items():
            stack.callback(block.register_forward_hook(lambda module, args, output, kept=kept: kept.append(output)).remove)
        expected = _masked(small, mask, inputs)
    with ExitStack() as stack:
        for block, kept in stored.items():
            stack.enter_context(repeating(block, kept))
        check_same(_masked(small, mask, inputs), expected, "logits with the outputs of lower layers repeated")


CHECKS = (_alive, _masks, _differences, _order, _roles, _used, _passed_on)
"""Each takes the small copy, its sites and inputs, and raises `NotProven`."""
