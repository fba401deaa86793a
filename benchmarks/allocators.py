"""What another memory allocator saves: CPU time under it, divided by CPU time under the C library's.

    POLYHEAD_E5=folder python benchmarks/allocators.py /usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4 [...] [--rounds 5]

Each round trains and ranks in a fresh process for every allocator, set by `LD_PRELOAD`: 40 steps of multilingual E5 small (12
layers of 12 heads, 250,037 subwords) on sentences of UD English-EWT, then `gradient` on the same sentences, one thread. The
trained weights and the scores must be equal to the last bit. CPU time is little affected by other work on the machine. Writes
`results/allocators.json`.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from environment import SHARED, environment, median, write

from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import LabelSet
from polyhead.data.sampling import sample
from polyhead.data.tasks import task
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoding import encode, model_limit
from polyhead.learning.training import fit
from polyhead.models.devices import pick_precision
from polyhead.models.loading import load_tagger, load_tokenizer

E5 = Path(os.environ.get("POLYHEAD_E5", SHARED / "models" / "e5" / "e5"))
STEPS, SEED = 40, 42
C_LIBRARY = "C library"


def work() -> dict[str, object]:
    """CPU seconds of training and of ranking, and a hash of what came out; in this process."""
    torch.set_num_threads(1)
    tagging = task("pos")
    labels = LabelSet(tagging.labels)
    model = load_tagger(str(E5), labels=labels, seed=SEED)
    spec = TrainSpec(epochs=1, seed=SEED)
    data = sample(open_corpus("ud/en_ewt", "train", root=SHARED / "data"), STEPS * spec.batch_size, seed=SEED)
    encoded = encode(data.sentences, load_tokenizer(str(E5)), labels, model_limit=model_limit(model.config))
    started = time.process_time()
    fit(model, encoded, spec, device=torch.device("cpu"))
    trained = time.process_time()
    scores = score_heads("gradient", model, scoring_batches(encoded), precision=pick_precision("auto", model.device))
    ranked = time.process_time()
    content = hashlib.sha256(scores.values.tobytes())
    for _, tensor in sorted(model.state_dict().items()):
        content.update(tensor.numpy().tobytes())
    return {"fit": trained - started, "rank": ranked - trained, "sha256": content.hexdigest()}


def under(library: str) -> dict[str, object]:
    """The same in a fresh process, under an allocator."""
    preload = {} if library == C_LIBRARY else {"LD_PRELOAD": library}
    command = [sys.executable, __file__, "--work"]
    done = subprocess.run(command, env={**os.environ, **preload}, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help="shared libraries of allocators")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work()))
        return
    if missing := [library for library in options.libraries if not Path(library).is_file()]:
        parser.error(f"{missing[0]}: no such file")
    load = os.getloadavg()[0]
    names = [C_LIBRARY, *options.libraries]
    rounds = [{name: under(name) for name in (names if number % 2 == 0 else names[::-1])} for number in range(options.rounds)]
    hashes = {own["sha256"] for found in rounds for own in found.values()}
    if len(hashes) != 1:
        sys.exit(f"the allocators gave {len(hashes)} different results; expected one")
    rows: dict[str, object] = {}
    for name in options.libraries:
        ratios = {part: [found[name][part] / found[C_LIBRARY][part] for found in rounds] for part in ("fit", "rank")}  # type: ignore[operator]
        rows[Path(name).name.partition(".")[0]] = {
            part: {
                "ratio": median(own),
                "quartiles": statistics.quantiles(own, n=4)[::2] if len(own) > 1 else None,
                "rounds": own,
            }
            for part, own in ratios.items()
        }
    content = {
        "environment": environment(seed=SEED),
        "precision": pick_precision("auto", torch.device("cpu")),
        "load": {"before": load, "after": os.getloadavg()[0]},
        "work": f"fit: {STEPS} steps; rank: gradient on the same sentences",
        "equal_to_the_last_bit": True,
        "over_c_library": rows,
    }
    print(f"written to {write('allocators', content)}")


if __name__ == "__main__":
    main()
