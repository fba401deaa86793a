"""What a whole search for a smaller model costs at the shapes of mBERT and XLM-R base: processor seconds and memory.

    python benchmarks/shrink_cost.py [--batch 1] [--length 32] [--speedup 2]   # about 0.7 hours a shape; writes a result
    python benchmarks/shrink_cost.py --try --speedup 1.2                       # a minute: two narrow layers, few sentences

Random weights of the published shapes, mBERT's own tokenizer and that of `e5.py`, which is XLM-R's. `polyhead.shrink` is called
once for each, with its defaults: a latency table, eight rounds of scores on 256 dev sentences in each of five languages, a
correction by measured time, the repair, and the judgement on as many sentences again (`max_loss` 100, because random weights have
no accuracy to lose). Each shape runs in a process of its own on one thread. Seconds are those of the processor, which other work
hardly changes; memory is the most that the process had at a time, the model's weights included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

import torch
from e5 import tokenizer as e5_tokenizer
from environment import environment, rounded, write
from shrink_cells import SETTINGS
from transformers import AutoModelForTokenClassification, BertConfig, PreTrainedConfig, XLMRobertaConfig
from treebanks import LABELS, POS
from vocabulary import mbert_tokenizer

import polyhead as ph
from polyhead.compression.latency import cached_latency
from polyhead.compression.latency_cache import CACHE_VARIABLE
from polyhead.models.devices import pick_precision

SHAPES = ("mBERT", "XLM-R base")
NARROW = {"hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 128}
SENTENCES, FEW = 512, 16


def tagger(shape: str, *, narrow: bool) -> ph.Tagger:
    """A tagger of a shape with random weights."""
    own = mbert_tokenizer() if shape == "mBERT" else e5_tokenizer()
    names = dict(enumerate(LABELS.names))
    settings: dict[str, Any] = {
        "vocab_size": len(own),
        "id2label": names,
        "label2id": {name: number for number, name in names.items()},
        "pad_token_id": own.pad_token_id,
        **(NARROW if narrow else {}),
    }
    config: PreTrainedConfig = BertConfig(**settings)
    if shape != "mBERT":
        settings |= {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
        config = XLMRobertaConfig(**settings)
    torch.manual_seed(42)
    model = AutoModelForTokenClassification.from_config(config).eval()
    precision = pick_precision("auto", model.device)
    return ph.Tagger(shape, model, own, LABELS, POS, precision, anchor="text", max_length=256)


def measured(shape: str, options: argparse.Namespace) -> dict[str, Any]:
    """One search, for a fresh process with an empty cache folder."""
    torch.set_num_threads(1)
    own = tagger(shape, narrow=options.trial)
    setting, n = SETTINGS["pos"], FEW if options.trial else SENTENCES
    dev = [setting.split(language, "dev", n) for language in setting.languages]
    started = time.process_time()
    cached_latency(own.model, batch=options.batch, length=options.length, precision=own.precision)
    table = time.process_time() - started
    speed = {"speedup": options.speedup, "batch": options.batch, "length": options.length}
    found = ph.shrink(own, dev, max_loss=100, **speed)
    return {
        "asked": f"{options.speedup:g}×, {options.batch} × {options.length}",
        "weights": sum(parameter.numel() for parameter in own.model.parameters()),
        "sentences": {one.language: len(one.sentences) for one in dev},
        "cpu_seconds": time.process_time() - started,
        "table_cpu_seconds": table,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "met": found.met,
        "layers": [list(own) for own in found.plan.counts],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--speedup", type=float, default=2.0)
    parser.add_argument(
        "--try", action="store_true", dest="trial", help="two narrow layers, few sentences; prints, writes nothing"
    )
    parser.add_argument("--shape", choices=SHAPES, help="print the figures of one shape as JSON and stop")
    options = parser.parse_args()
    if options.shape:
        print(json.dumps(measured(options.shape, options)))
        return
    found = {}
    for shape in SHAPES:
        with TemporaryDirectory() as folder:
            command = [sys.executable, __file__, *sys.argv[1:], "--shape", shape]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, CACHE_VARIABLE: folder}
            )
        found[shape] = json.loads(done.stdout.splitlines()[-1])
        print(shape, f"{found[shape]['cpu_seconds']:.0f} s, {found[shape]['peak_megabytes']:.0f} MB", file=sys.stderr, flush=True)
    if options.trial:
        print(rounded(found))
        return
    content = {"environment": environment(seed=42), "work": (__doc__ or "").split("\n\n")[2], "shapes": rounded(found)}
    print(f"written to {write('shrink_cost', content)}", file=sys.stderr)


if __name__ == "__main__":
    main()
