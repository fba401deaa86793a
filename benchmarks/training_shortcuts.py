"""What each shortcut of training and scoring saves: CPU time without it, divided by CPU time with all of them.

    POLYHEAD_E5=folder python benchmarks/training_shortcuts.py [--rounds 15]

`seen_embeddings` and `fast_dropout` are measured on `fit`: sentences of UD English-EWT, multilingual E5 small (12 layers of 12
heads, 250,037 subwords) as a token classifier. On and off alternate, and ratios of CPU time are little affected by other work on
the machine. Writes `results/training_shortcuts.json`. The committed file also has the check for gates of one, measured on
`gradient` before it was removed for saving too little.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import torch
from environment import SHARED, environment, median, write

from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import LabelSet
from polyhead.data.sampling import sample
from polyhead.data.tasks import task
from polyhead.learning import training
from polyhead.learning.encoding import encode, model_limit
from polyhead.learning.fast_dropout import RandomBits
from polyhead.learning.training import fit
from polyhead.models.devices import pick_precision
from polyhead.models.loading import load_tagger, load_tokenizer

E5 = Path(os.environ.get("POLYHEAD_E5", SHARED / "models" / "e5" / "e5"))
STEPS, SEED = 20, 42


@contextmanager
def torch_dropout(model: object) -> Iterator[RandomBits]:
    yield RandomBits()


OFF = {
    "seen_embeddings": (training, "seen_rows", lambda *_, **__: nullcontext()),
    "fast_dropout": (training, "cheap_dropout", torch_dropout),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    tagging = task("pos")
    labels = LabelSet(tagging.labels)
    model = load_tagger(str(E5), labels=labels, seed=SEED)
    spec = TrainSpec(epochs=1, seed=SEED)
    train = sample(open_corpus("ud/en_ewt", "train", root=SHARED / "data"), STEPS * spec.batch_size, seed=SEED)
    encoded = encode(train.sentences, load_tokenizer(str(E5)), labels, model_limit=model_limit(model.config))

    def trained() -> None:
        fit(model, encoded, spec, device=torch.device("cpu"))

    load = os.getloadavg()[0]
    rows: dict[str, dict[str, object]] = {}
    trained()  # warm-up: kernels are set up on first use
    for shortcut in OFF:
        pairs = [pair(trained, shortcut, first=number % 2 == 0) for number in range(rounds)]
        ratios = sorted(off / on for on, off in pairs)
        rows[shortcut] = {
            "work": "fit",
            "off_over_on": median(ratios),
            "quartiles": statistics.quantiles(ratios, n=4)[::2],
            "cpu_seconds": {"on": [on for on, _ in pairs], "off": [off for _, off in pairs]},
        }
        print(shortcut, rows[shortcut], flush=True)
    content = {
        "environment": environment(seed=SEED),
        "precision": pick_precision("auto", torch.device("cpu")),
        "load": {"before": load, "after": os.getloadavg()[0]},
        "work": f"fit: {STEPS} steps of {spec.batch_size} sentences",
        "shortcuts": rows,
    }
    print(f"written to {write('training_shortcuts', content)}")


def pair(work: Callable[[], None], shortcut: str, *, first: bool) -> tuple[float, float]:
    """CPU time with the shortcut and without it, measured one after the other; `first`: with it comes first."""
    found = {}
    for on in (first, not first):
        with nullcontext() if on else patch.object(*OFF[shortcut]):
            found[on] = cpu_seconds(work)
    return found[True], found[False]


def cpu_seconds(work: Callable[[], None]) -> float:
    """CPU time of this process for one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
