"""Where the neurons of one layer's feed-forward block are in its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from polyhead.core.errors import ArchitectureError
from polyhead.models.sites import Part, blocks, module_at


@dataclass(frozen=True, eq=False)
class NeuronSite:
    """The feed-forward block of one layer: live modules, and the neurons they still hold.

    Attributes:
        layer: 0-based index.
        inputs: The linear layers into the neurons: one, or two whose outputs are multiplied.
        output: The linear layer out of the neurons; its input `[..., len(kept)]` is the activations, products included.
        kept: Neurons still present, in the unpruned numbering and in the order of their columns.
        uses: Times that a forward pass runs the layer: more than 1 where layers share weights.
        fused: Whether the only layer into the neurons has rows `[2, neurons]`.
    """

    layer: int
    inputs: tuple[nn.Linear, ...]
    output: nn.Linear
    kept: tuple[int, ...]
    uses: int = 1
    fused: bool = False

    @property
    def width(self) -> int:
        """Entries of one neuron in the input of `output`."""
        return 1

    @property
    def weights_per_neuron(self) -> int:
        """Weights that belong to one neuron, biases included."""
        return sum(part.per_block for part in self.parts())

    def input_rows(self) -> Tensor:
        """Rows of each layer of `inputs` for each kept neuron: int64 `[len(kept), 1]`, or 2 where they are fused; on the CPU."""
        n = len(self.kept)
        return blocks(2 * n, 1).view(2, n).T if self.fused else blocks(n, 1)

    def parts(self) -> tuple[Part, ...]:
        """Every parameter that has entries per neuron: the layers into the neurons with their biases, then the columns out."""
        rows = self.input_rows()
        into = [
            Part(module, name, 0, rows)
            for module in self.inputs
            for name in ("weight", "bias")
            if getattr(module, name, None) is not None
        ]
        return (*into, Part(self.output, "weight", 1, blocks(len(self.kept), 1)))


def neuron_module(base: nn.Module, layer: nn.Module, path: str, number: int) -> Any:
    """The module that a path of a row names: from the layer, or from the base model where the path starts with `/`.

    Raises:
        AttributeError: There is none.
    """
    if path.startswith("/"):
        return module_at(base, path[1:].replace("*", str(number)))
    return module_at(layer, path)


def check_neuron_site(site: NeuronSite) -> None:
    """Refuse modules that are no plain linear layers, or whose shapes do not fit the neurons.

    Raises:
        ArchitectureError: Names the layer.
    """
    if not 1 <= len(site.inputs) <= (1 if site.fused else 2):
        found = f"{len(site.inputs)} linear layers lead into its neurons"
        raise ArchitectureError(f"layer {site.layer}: {found}; expected {'one' if site.fused else 'one or two'}")
    for module in (*site.inputs, site.output):
        if not isinstance(module, nn.Linear):
            kind = f"{type(module).__module__}.{type(module).__qualname__}"
            wanted = "torch.nn.Linear (merge adapters, load unquantized)"
            raise ArchitectureError(f"layer {site.layer}: a layer of the feed-forward block is a {kind}; expected {wanted}")
    parts = [part for part in site.parts() if part.name == "weight"]
    sizes = tuple(part.parameter.shape[part.dim] for part in parts)
    expected = tuple(part.index.numel() for part in parts)
    if sizes != expected:
        need = f"the config has {len(site.kept)} neurons, which need {expected}"
        step = "the config and the weights belong to different models"
        raise ArchitectureError(f"layer {site.layer}: the feed-forward block has {sizes} rows and columns, but {need}; {step}")
