"""Save and load over every family: the same logits, bit for bit."""

import copy
from pathlib import Path
from typing import Literal

import pytest
import torch
from conformance.tiny import FAMILIES, KERNELS, logits, masks_of, tiny_inputs, tiny_model
from transformers import AutoModelForTokenClassification

from polyhead.models.loader_hook import install_loader_hook
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.models.saving import densify, save_pruned

install_loader_hook()


@pytest.mark.parametrize(("family", "kernel"), [(family, kernel) for family in FAMILIES for kernel in KERNELS[family]])
def test_save_then_load_gives_the_same_logits(family: str, kernel: Literal["sdpa", "eager"], tmp_path: Path) -> None:
    inputs = tiny_inputs("left")
    for name, mask in masks_of(tiny_model(family)).items():
        model = prune(tiny_model(family, kernel=kernel), mask)
        save_pruned(model, tmp_path / name)
        loaded = AutoModelForTokenClassification.from_pretrained(tmp_path / name, attn_implementation=kernel)
        assert head_mask(loaded) == mask
        assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())
        # some matrix products of DeBERTa depend on where in memory a file's tensors begin
        read = copy.deepcopy(loaded) if family.startswith("deberta") else loaded
        assert torch.equal(logits(read, inputs), logits(model, inputs)), name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_densified_model_gives_the_same_logits(family: str, tmp_path: Path) -> None:
    inputs = tiny_inputs()
    for name, mask in masks_of(tiny_model(family)).items():
        model = prune(tiny_model(family), mask)
        dense = AutoModelForTokenClassification.from_pretrained(densify(model, tmp_path / name))
        torch.testing.assert_close(logits(dense, inputs), logits(model, inputs), atol=1e-5, rtol=0)
