"""Whether a smaller tagger answers alike wherever it is loaded: stock Transformers with and without polyhead, OpenVINO."""

import copy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load_file, save_file
from torch import Tensor, inference_mode
from transformers import PreTrainedModel

from polyhead.models.graphs import INPUTS, example_inputs
from polyhead.models.saving import densify
from polyhead.studies.exporting import export
from polyhead.studies.tagger import Tagger

SHAPES = ((5, 16), (2, 33), (1, 128))
LOAD = """
import sys
{first}
from safetensors.torch import load_file, save_file
from torch import inference_mode
from transformers import AutoModelForTokenClassification

folder, batches, answers = sys.argv[1:]
model, given = AutoModelForTokenClassification.from_pretrained(folder).float().eval(), load_file(batches)
with inference_mode():
    found = {{
        str(i): model(input_ids=given[f"{{i}}/input_ids"], attention_mask=given[f"{{i}}/attention_mask"]).logits
        for i in range(len(given) // 2)
    }}
assert ("polyhead" in sys.modules) == {with_polyhead}
save_file(found, answers)
"""
"""What a fresh process does with a folder."""


def round_trips(small: Tagger) -> dict[str, float]:
    """The greatest difference between the tagger's logits in float32 and those of what it is saved as, on random subwords.

    `from_pretrained` loads the checkpoint with stock Transformers after `import polyhead`, `densified` the dense copy without
    polyhead, each in a fresh process; `openvino` is the record of an export.

    Raises:
        ArchitectureError: A graph differs by more than 1e-4.
    """
    plain = copy.deepcopy(small.model).cpu().float().eval()
    batches = [example_inputs(*shape, plain.config, names=INPUTS, seed=seed) for seed, shape in enumerate(SHAPES)]
    with TemporaryDirectory() as name:
        root = Path(name)
        small.save(root / "own")
        densify(small.model, root / "dense", tokenizer=small.tokenizer)
        found = {
            "from_pretrained": _difference(plain, root / "own", batches, with_polyhead=True),
            "densified": _difference(plain, root / "dense", batches, with_polyhead=False),
        }
        return found | {"openvino": export(small, root / "openvino", to="openvino").difference}


def _difference(model: PreTrainedModel, folder: Path, batches: Sequence[dict[str, Tensor]], *, with_polyhead: bool) -> float:
    given, answers = folder.with_suffix(".batches"), folder.with_suffix(".answers")
    save_file({f"{i}/{name}": own.contiguous() for i, batch in enumerate(batches) for name, own in batch.items()}, given)
    code = LOAD.format(first="import polyhead" if with_polyhead else "", with_polyhead=with_polyhead)
    subprocess.run([sys.executable, "-c", code, str(folder), str(given), str(answers)], check=True, stdout=subprocess.DEVNULL)
    found = load_file(answers)
    with inference_mode():
        return max(float((model(**batch).logits - found[str(i)]).abs().max()) for i, batch in enumerate(batches))
