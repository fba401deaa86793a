"""Speed and accuracy of `fit` on `mini` and UD English-EWT, against a loop that pads everything to 256.

    python benchmarks/training.py --stage speed       # about five minutes; run nothing else
    python benchmarks/training.py --stage accuracy    # about an hour; continues after a stop; no timings

The baseline is a plain loop: batches of 16 padded to 256 subwords, float32, torch's default AdamW over the whole model. It runs
in the same process with the same torch, threads and attention kernel. Both stages write `results/training.json`.
"""

import argparse
import contextlib
import dataclasses
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from environment import environment
from torch.nn.functional import cross_entropy
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedModel

from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import task
from polyhead.learning.batching import Batch, training_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.encoding import encode, model_limit
from polyhead.learning.inference import Labelled, evaluate
from polyhead.learning.optimiser import rate_factor
from polyhead.learning.training import fit
from polyhead.models.devices import Precision, pick_device, pick_precision
from polyhead.studies.settings import run_settings

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
MODEL = SHARED / "models" / "mini"
CORPUS = "ud/en_ewt"
POS = task("pos")
LABELS = LabelSet(POS.labels)
SEEDS = (42, 43, 44)
PAD_TO = 256
PROTOCOLS = {
    **{
        name: run_settings(model="m", task="pos", sources=["phrases/en"], targets=["phrases/de"], protocol=name).train
        for name in ("sound", "paper")
    },
    # the baseline trains as `sound` does, but in float32, on shuffled sentences, without optimisations
    "baseline": TrainSpec(order="shuffled", precision="fp32"),
}
ROUNDS, FIT_STEPS, PLAIN_STEPS, PADDED_STEPS = 5, 50, 20, 3


class Enough(Exception):
    """Raised to end a `fit` that has been timed."""


class Clock:
    """Records when each step ends and stops the training after `n` timed steps; the first step is the warm-up."""

    def __init__(self, n: int) -> None:
        self.n, self.times = n, list[float]()

    def start(self, total: int, what: str) -> None:
        """Nothing to show."""

    def advance(self, n: int) -> None:
        """Note a step."""
        if n:
            self.times.append(time.perf_counter())
            if len(self.times) > self.n:
                raise Enough

    def stop(self) -> None:
        """Nothing to end."""


def new_model(seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    return AutoModelForTokenClassification.from_pretrained(MODEL, num_labels=len(LABELS.names))


def read(split: str, spec: TrainSpec) -> tuple[Encoded, list[tuple[str | None, ...]]]:
    sentences = open_corpus(CORPUS, split, root=SHARED / "data").sentences
    limit = model_limit(new_model(0).config)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    encoded = encode(sentences, tokenizer, LABELS, max_length=spec.max_length, model_limit=limit, anchor=spec.anchor)
    return encoded, [sentence.labels for sentence in sentences]


def epoch(encoded: Encoded, spec: TrainSpec, number: int, pad_to: int | None = None) -> Sequence[Batch]:
    options = {"batch_size": spec.batch_size, "order": spec.order, "seed": spec.seed, "epoch": number}
    return training_batches(encoded, pad_to=pad_to, **options)


def plain_training(model: PreTrainedModel, batches: Iterable[Batch], spec: TrainSpec, *, total: int, clock: Clock) -> None:
    """The usual training loop, not optimised for speed."""
    device = pick_device()
    model.to(device).train()
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in model.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    rate = spec.rate_for(model.config.hidden_size)
    optimiser = torch.optim.AdamW(groups, lr=rate)
    torch.manual_seed(spec.seed)
    for step, batch in enumerate(batches):
        batch = batch.to(device)
        for group in optimiser.param_groups:
            group["lr"] = rate * rate_factor(step, total=total, warmup=spec.warmup)
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        loss = cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.clip)
        optimiser.step()
        optimiser.zero_grad()
        loss.item()
        clock.advance(1)


def timed_plain(encoded: Encoded, spec: TrainSpec, n: int, pad_to: int | None) -> float:
    """Sentences per second of the plain loop; building batches is not timed."""
    batches = [epoch(encoded, spec, 0, pad_to)[i] for i in range(n + 1)]
    clock = Clock(n)
    with contextlib.suppress(Enough):
        plain_training(new_model(spec.seed), batches, spec, total=1000, clock=clock)
    return spec.batch_size * n / (clock.times[-1] - clock.times[0])


def timed_fit(encoded: Encoded, spec: TrainSpec, n: int) -> float:
    """Sentences per second of `fit` on the whole corpus, stopped after n + 1 steps; building batches is timed."""
    clock = Clock(n)
    with contextlib.suppress(Enough):
        fit(new_model(spec.seed), encoded, spec, device="auto", progress=clock)
    return spec.batch_size * n / (clock.times[-1] - clock.times[0])


def speed() -> dict[str, Any]:
    """Throughput of every variant, interleaved in rounds to share machine noise; each round uses other batches."""
    data = {anchor: read("train", TrainSpec(anchor=anchor))[0] for anchor in ("text", "first")}
    rates: dict[str, dict[str, list[float]]] = {"sound": {}, "paper": {}}
    for number in range(ROUNDS):
        shared = dataclasses.replace(PROTOCOLS["baseline"], seed=number)
        padded = timed_plain(data["text"], shared, PADDED_STEPS, PAD_TO)
        for name, found in rates.items():
            encoded, spec = data[PROTOCOLS[name].anchor], dataclasses.replace(PROTOCOLS[name], seed=number)
            # file order does not depend on the seed: start elsewhere in the file, so that rounds differ
            encoded = rotated(encoded, number) if spec.order == "file" else encoded
            for variant, value in {
                "baseline": padded,
                "unpadded": timed_plain(encoded, spec, PLAIN_STEPS, None),
                "fit_fp32": timed_fit(encoded, dataclasses.replace(spec, precision="fp32"), FIT_STEPS),
                "fit": timed_fit(encoded, spec, FIT_STEPS),
            }.items():
                found.setdefault(variant, []).append(value)
                print(f"round {number + 1}/{ROUNDS} {name:6} {variant:9} {value:8.1f} sentences/s", flush=True)
    return {name: summary(found, data[PROTOCOLS[name].anchor], PROTOCOLS[name]) for name, found in rates.items()}


def rotated(encoded: Encoded, number: int) -> Encoded:
    """The same sentences, starting at another place in the file."""
    n = encoded.n_sentences
    start = number * n // ROUNDS
    windows = (dataclasses.replace(w, sentence=(w.sentence - start) % n) for w in encoded.windows)
    words = encoded.words_per_sentence[start:] + encoded.words_per_sentence[:start]
    ordered = tuple(sorted(windows, key=lambda window: window.sentence))
    return dataclasses.replace(encoded, windows=ordered, words_per_sentence=words)


def summary(found: dict[str, list[float]], encoded: Encoded, spec: TrainSpec) -> dict[str, Any]:
    median = {variant: statistics.median(values) for variant, values in found.items()}
    return {
        "precision": pick_precision(spec.precision, pick_device()),
        "sentences_per_second": {variant: round(value, 2) for variant, value in median.items()},
        "all_rounds": {variant: [round(value, 2) for value in values] for variant, values in found.items()},
        "gain": {
            "padding": round(median["unpadded"] / median["baseline"], 2),
            "gradients": round(median["fit_fp32"] / median["unpadded"], 2),
            "precision": round(median["fit"] / median["fit_fp32"], 2),
            "all": round(median["fit"] / median["baseline"], 2),
        },
        "padding_share": round(padding_share(epoch(encoded, spec, 0)), 4),
        "baseline_padding_share": round(padding_share(epoch(encoded, spec, 0, PAD_TO)), 4),
        "timed_steps": {"fit": ROUNDS * FIT_STEPS, "unpadded": ROUNDS * PLAIN_STEPS, "baseline": ROUNDS * PADDED_STEPS},
        "note": "padding: batches padded to their longest sentence; gradients: rows of the embedding that occur, fused AdamW, "
        "block-drawn dropout; precision: bf16 autocast. Building batches is inside the time of fit, outside that of the others.",
    }


def accuracy(name: str, seed: int) -> dict[str, Any]:
    """Dev accuracy after three epochs."""
    spec = dataclasses.replace(PROTOCOLS[name], seed=seed)
    encoded, _ = read("train", spec)
    dev, gold = read("dev", spec)
    model, device = new_model(seed), pick_device()
    precision: Precision = pick_precision(spec.precision, device)
    if name == "baseline":
        epochs = [epoch(encoded, spec, number) for number in range(spec.epochs)]
        total = sum(len(batches) for batches in epochs)
        clock = Clock(total)
        plain_training(model, (batch for batches in epochs for batch in batches), spec, total=total, clock=clock)
    else:
        fit(model, encoded, spec, device=device)
    options = {"device": device, "precision": precision}
    metrics = evaluate(model, {"dev": Labelled(dev, gold)}, POS, LABELS, **options)["dev"].metrics
    result: dict[str, Any] = {"dev_accuracy": round(metrics["accuracy"], 5), "warmup": spec.warmup}
    if name == "baseline":
        result["note"] = "trained without padding: the same batches, loss and updates as padded to 256, which masks the padding"
    return result


def store(path: Path, stage: str, found: dict[str, Any]) -> None:
    """Add a stage's results to the file."""
    results = read_json(path) if path.exists() else {"schema": 1}
    results[stage] = {**found, "environment": environment()}
    write_json_atomic(path, results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stage", choices=["speed", "accuracy"], required=True)
    parser.add_argument("--only", choices=list(PROTOCOLS), help="only this row of the accuracy stage")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "training.json")
    arguments = parser.parse_args()
    path: Path = arguments.out
    if arguments.stage == "speed":
        store(path, "speed", speed())
        return
    found = read_json(path).get("accuracy", {}) if path.exists() else {}
    for name in [arguments.only] if arguments.only else PROTOCOLS:
        for seed in SEEDS:
            runs = found.setdefault(name, {})
            if str(seed) not in runs:
                runs[str(seed)] = accuracy(name, seed)
                store(path, "accuracy", found)
            print(f"{name} seed {seed}: dev accuracy {100 * runs[str(seed)]['dev_accuracy']:.2f}", flush=True)


def padding_share(batches: Sequence[Batch]) -> float:
    """Share of padding among all positions."""
    return 1 - sum(batch.n_tokens for batch in batches) / sum(batch.n_positions for batch in batches)


if __name__ == "__main__":
    main()
