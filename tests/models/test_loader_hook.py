import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conformance.tiny import MASKS, logits, tiny_inputs, tiny_model
from transformers import AutoModelForTokenClassification
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING, AUTO_QUANTIZER_MAPPING

import polyhead.models.loader_hook
from polyhead.models.loader_hook import install_loader_hook
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned
from polyhead.models.transformers_loader import register

LOAD = """
model = AutoModelForTokenClassification.from_pretrained(sys.argv[1])
assert model.bert.encoder.layer[1].attention.self.query.out_features == 0
"""
HOOK = "from polyhead.models.loader_hook import install_loader_hook; install_loader_hook()\n"
ORDERS = {
    "polyhead first": f"""
{HOOK}{HOOK}
assert not {{"torch", "transformers"}} & set(sys.modules)
before = list(sys.meta_path)
assert len([finder for finder in before if "polyhead" in type(finder).__module__]) == 1
import transformers.quantizers.auto as auto
assert "polyhead" in auto.AUTO_QUANTIZER_MAPPING
assert "polyhead" not in type(auto.__loader__).__module__ + type(auto.__spec__.loader).__module__
assert set(before) <= set(sys.meta_path)  # taking one out would hide another from threads that are importing
from transformers import AutoModelForTokenClassification
{LOAD}""",
    # what README.md of a checkpoint says happens without polyhead, then the hook in the other order
    "transformers first": f"""
from transformers import AutoModelForTokenClassification
try:
    AutoModelForTokenClassification.from_pretrained(sys.argv[1])
except RuntimeError as error:
    assert "mismatch" in str(error), error
else:
    raise AssertionError("loaded without polyhead")
model = AutoModelForTokenClassification.from_pretrained(sys.argv[1], ignore_mismatched_sizes=True)
assert model.bert.encoder.layer[1].attention.self.query.out_features == 16
{HOOK}{LOAD}""",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pruned(prune(tiny_model("bert"), MASKS["zero-head-layer"]), tmp_path_factory.mktemp("hook") / "model")


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", f"import sys\n{code}", str(folder)], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("code", ORDERS.values(), ids=ORDERS)
def test_either_import_order_in_a_fresh_process(saved: Path, code: str) -> None:
    result = run(code, saved)
    assert result.returncode == 0, result.stderr


def predict_in_worker(folder: str) -> torch.Tensor:
    polyhead.models.loader_hook.install_loader_hook()
    return logits(AutoModelForTokenClassification.from_pretrained(folder), tiny_inputs()).numpy()


@pytest.mark.slow
def test_in_a_spawned_worker(saved: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(predict_in_worker, (str(saved),))
    expected = logits(prune(tiny_model("bert"), MASKS["zero-head-layer"]), tiny_inputs())
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=0)


def test_other_loaders_are_left_alone_and_twice_is_once() -> None:
    install_loader_hook()
    before = dict(AUTO_QUANTIZER_MAPPING)
    register()
    install_loader_hook()
    assert before == AUTO_QUANTIZER_MAPPING
    ours = {name for name, found in AUTO_QUANTIZER_MAPPING.items() if "polyhead" in found.__module__}
    assert ours == {"polyhead"} == {n for n, c in AUTO_QUANTIZATION_CONFIG_MAPPING.items() if "polyhead" in c.__module__}


def test_an_unpruned_checkpoint_is_not_touched(tmp_path: Path) -> None:
    tiny_model("bert").save_pretrained(tmp_path)
    model = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert not hasattr(model.config, "quantization_config")
    assert torch.equal(logits(model, tiny_inputs()), logits(tiny_model("bert"), tiny_inputs()))
