"""Latency and memory of one model in torch, ONNX Runtime (float32 and int8) and OpenVINO, and what each export costs.

    POLYHEAD_E5=FOLDER python benchmarks/export_latency.py [--quick] [--share 0.5] [--seed 42]

The model is the encoder of POLYHEAD_E5 (see `recipes/real_encoder.py`) with a new classifier, whole and with a share of its
heads pruned; --quick takes `polyhead/tiny` and few repetitions, and writes its own file. All runtimes take the same batches in
turn, so that a slow moment of the machine affects all; speed-ups are medians of ratios within a turn. Memory is the growth of a
fresh process's resident set by opening the model and running the largest batch. Writes `results/export_latency.json`. Run
nothing else.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from e5 import encoder
from environment import environment, median, write
from treebanks import LABELS, POS

from polyhead.core.heads import HeadMask
from polyhead.models.graphs import GraphName, example_inputs, open_graph
from polyhead.models.loading import load_saved
from polyhead.models.model_heads import full_mask
from polyhead.studies.exporting import export
from polyhead.studies.tagger import Tagger

RUNTIMES: dict[str, tuple[GraphName, bool]] = {
    "onnx": ("onnx", False),
    "onnx int8": ("onnx", True),
    "openvino": ("openvino", False),
}
SHAPES = ((1, 16), (1, 64), (16, 64))
Run = Callable[[torch.Tensor, torch.Tensor], object]


def main() -> None:
    parser = argparse.ArgumentParser(description="latency of exported models")
    parser.add_argument("--quick", action="store_true", help="polyhead/tiny, two repetitions; writes its own file")
    parser.add_argument("--share", type=float, default=0.5, help="share of the heads that the pruned model lacks")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-of", nargs=2, metavar=("KIND", "PATH"), help="print the memory of one runtime and stop")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(memory_here(*options.memory_of))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows, exports = [], []
        for share in (0.0, options.share):
            found, made = measured(Path(folder) / f"{share}", share, options)
            rows += found
            exports += made
    content = {
        "environment": environment(seed=options.seed),
        "work": "one forward pass of a token classifier, random subwords, rows of a batch padded; float32 but for int8",
        "model": "polyhead/tiny" if options.quick else "e5 (12 x 12 heads)",
        "quick": options.quick,
        "exports": exports,
        "rows": rows,
    }
    print(f"written to {write('export_latency-quick' if options.quick else 'export_latency', content)}", file=sys.stderr)


def measured(folder: Path, share: float, options: argparse.Namespace) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Latencies of the model with a share of its heads pruned, and the cost and size of each export."""
    name = "polyhead/tiny" if options.quick else str(encoder())
    tagger = Tagger.load(name, task=POS, labels=LABELS, seed=options.seed, device="cpu", precision="fp32")
    whole = full_mask(tagger.model)
    order = np.random.default_rng(options.seed).random(whole.shape).argsort(axis=None)
    keep = np.ones(whole.keep.size, dtype=bool)
    keep[order[: round(share * keep.size)]] = False
    tagger.prune(HeadMask(keep.reshape(whole.shape)))
    tagger.save(folder / "torch")
    model = tagger.model.eval()
    runs: dict[str, Run] = {"torch": lambda ids, mask: model(input_ids=ids, attention_mask=mask)}
    exports: list[dict[str, object]] = []
    for kind, (to, int8) in RUNTIMES.items():
        started = time.perf_counter()
        record = export(tagger, folder / kind, to=to, int8=int8)
        seconds = time.perf_counter() - started
        graph = folder / kind / record.file
        runs[kind] = open_graph(graph, to=to)
        exports.append({"runtime": kind, "pruned_share": share, "seconds": seconds, "megabytes": size(folder / kind)})
        exports[-1] |= {"difference": record.difference, "int8_difference": record.int8_difference}
        exports[-1]["resident_megabytes"] = memory_of(kind, graph, options)
    torch_row = {"runtime": "torch", "pruned_share": share, "megabytes": size(folder / "torch")}
    exports.append({**torch_row, "resident_megabytes": memory_of("torch", folder / "torch", options)})
    rows: list[dict[str, object]] = []
    for batch, length in SHAPES:
        repetitions = 2 if options.quick else (100 if batch == 1 else 15)
        found = times(runs, example_inputs(batch, length, model.config), repetitions)
        for kind, seconds_ in found.items():
            ratios = [one / own for one, own in zip(found["torch"], seconds_, strict=True)]
            rows.append({"runtime": kind, "pruned_share": share, "batch": batch, "length": length})
            rows[-1] |= {"median_seconds": median(seconds_), "speed_up": median(ratios)}
            rows[-1] |= {"speed_up_quartiles": statistics.quantiles(ratios, n=4)[::2], "seconds": seconds_}
            print(json.dumps({key: value for key, value in rows[-1].items() if key != "seconds"}), file=sys.stderr, flush=True)
    return rows, exports


def times(runs: dict[str, Run], batch: dict[str, torch.Tensor], repetitions: int) -> dict[str, list[float]]:
    """Seconds of one forward pass by runtime, in turn; one warm-up each."""
    found: dict[str, list[float]] = {kind: [] for kind in runs}
    with torch.inference_mode():
        for turn in range(repetitions + 1):
            for kind, run in runs.items():
                started = time.perf_counter()
                run(batch["input_ids"], batch["attention_mask"])
                if turn:
                    found[kind].append(time.perf_counter() - started)
    return found


def size(folder: Path) -> float:
    """Megabytes of all weights and graphs in a folder."""
    kinds = (".onnx", ".data", ".xml", ".bin", ".safetensors")
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in kinds) / 1e6


def memory_of(kind: str, path: Path, options: argparse.Namespace) -> float:
    """What `memory_here` prints in a fresh process, in megabytes."""
    command = [sys.executable, __file__, "--memory-of", kind, str(path), "--threads", str(options.threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def memory_here(kind: str, path: str) -> float:
    """Megabytes by which opening a model and running the largest batch raise this process's peak."""
    batch = example_inputs(*SHAPES[-1], argparse.Namespace(pad_token_id=1, vocab_size=200))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if kind == "torch":
        model = load_saved(path).eval()
        with torch.inference_mode():
            model(**batch)
    else:
        open_graph(Path(path), to=RUNTIMES[kind][0])(**batch)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


if __name__ == "__main__":
    main()
