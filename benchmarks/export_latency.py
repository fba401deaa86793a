"""Latency and memory of one model in torch, ONNX Runtime (float32 and int8) and OpenVINO, and what each export costs.

    POLYHEAD_E5=FOLDER python benchmarks/export_latency.py [--quick] [--share 0.5] [--seed 42]

The model is the encoder of POLYHEAD_E5 (see `recipes/real_encoder.py`) with a new classifier, whole and with a share of its heads
pruned; --quick takes `polyhead/tiny` and few repetitions, and writes its own file. All runtimes take the same batches in turn, so
that a slow moment of the machine affects all; speed-ups are medians of ratios within a turn. Each export runs in a fresh process:
`seconds` are those of the export alone, `export_peak_megabytes` the most that the process had, packages and model included, and
`loaded_megabytes` what it had with the model before it exported. `resident_megabytes` is the growth of another fresh process by
opening the graph and running the largest batch. Writes `results/export_latency.json`. Run nothing else.
"""

import argparse
import json
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
    parser.add_argument("--export", nargs=3, metavar=("KIND", "FROM", "TO"), help="print what one export costs as JSON and stop")
    parser.add_argument("--memory-of", nargs=2, metavar=("KIND", "PATH"), help="print the memory of one runtime and stop")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(memory_here(*options.memory_of))
        return
    if options.export:
        print(json.dumps(exported_here(*options.export)))
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
    for kind, (to, _) in RUNTIMES.items():
        made = exported(kind, folder / "torch", folder / kind, threads=options.threads)
        graph = folder / kind / str(made.pop("file"))
        runs[kind] = open_graph(graph, to=to)
        exports.append({"runtime": kind, "pruned_share": share, **made, "megabytes": size(folder / kind)})
        exports[-1]["resident_megabytes"] = memory_of(kind, graph, threads=options.threads)
    torch_row = {"runtime": "torch", "pruned_share": share, "megabytes": size(folder / "torch")}
    exports.append({**torch_row, "resident_megabytes": memory_of("torch", folder / "torch", threads=options.threads)})
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


def exported(kind: str, model: Path, folder: Path, *, threads: int) -> dict[str, object]:
    """What `exported_here` finds in a fresh process."""
    return dict(json.loads(_in_fresh_process("--export", kind, str(model), str(folder), threads=threads)))


def exported_here(kind: str, model: str, folder: str) -> dict[str, object]:
    """Seconds of an export, the peak of this process in megabytes before and after, and how far the graph is from the model."""
    to, int8 = RUNTIMES[kind]
    tagger = Tagger.load(model, device="cpu", precision="fp32")
    loaded, started = _peak_megabytes(), time.perf_counter()
    record = export(tagger, folder, to=to, int8=int8)
    seconds = time.perf_counter() - started
    return {
        "file": record.file,
        "seconds": seconds,
        "loaded_megabytes": loaded,
        "export_peak_megabytes": _peak_megabytes(),
        "difference": record.difference,
        "int8_difference": record.int8_difference,
    }


def memory_of(kind: str, path: Path, *, threads: int) -> float:
    """What `memory_here` finds in a fresh process, in megabytes."""
    return float(_in_fresh_process("--memory-of", kind, str(path), threads=threads))


def _in_fresh_process(*arguments: str, threads: int) -> str:
    """The last line that this script prints with these arguments."""
    command = [sys.executable, __file__, *arguments, "--threads", str(threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]


def _peak_megabytes() -> float:
    """Of this program; `ru_maxrss` would count what the process that started it had."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def memory_here(kind: str, path: str) -> float:
    """Megabytes by which opening a model and running the largest batch raise this process's peak."""
    batch = example_inputs(*SHAPES[-1], argparse.Namespace(pad_token_id=1, vocab_size=200))
    before = _peak_megabytes()
    if kind == "torch":
        model = load_saved(path).eval()
        with torch.inference_mode():
            model(**batch)
    else:
        open_graph(Path(path), to=RUNTIMES[kind][0])(**batch)
    return _peak_megabytes() - before


if __name__ == "__main__":
    main()
