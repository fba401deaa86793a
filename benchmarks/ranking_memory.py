"""Peak memory of the work of `ranking.py`, measured in its own process.

python benchmarks/ranking_memory.py PRECISION SENTENCES SEED THREADS
"""

import json
import resource
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from environment import SHARED
from transformers import BertConfig, BertForTokenClassification, BertTokenizer

from polyhead.data.corpora import open_corpus
from polyhead.data.labels import label_set
from polyhead.data.tasks import task
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.encoding import encode
from polyhead.models.devices import Precision, pick_precision


def mbert_sample(n: int, seed: int) -> Encoded:
    data = open_corpus("ud/en_ewt", "dev", root=SHARED / "data")
    chosen = np.sort(np.random.default_rng(seed).choice(len(data.sentences), n, replace=False))
    tokenizer = BertTokenizer.from_pretrained(SHARED / "data" / "tokenizers" / "mbert")
    return encode([data.sentences[i] for i in chosen], tokenizer, label_set(task("pos"), [data]))


def mbert_shape(seed: int) -> BertForTokenClassification:
    torch.manual_seed(seed)
    return BertForTokenClassification(BertConfig(vocab_size=119_547, num_labels=17, attn_implementation="sdpa")).eval()


def memory_of_ranking(precision: Precision, n: int, seed: int) -> dict[str, float]:
    """Peak resident memory while ranking minus that of the loaded model, in GB; call it in a fresh process."""
    model, batches = mbert_shape(seed), scoring_batches(mbert_sample(n, seed))
    loaded = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    score_heads("gradient", model, batches, precision=precision)
    weights = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**30
    peak = _resident("VmHWM")
    return {
        "loaded_gb": loaded,
        "peak_gb": peak,
        "ranking_gb": peak - loaded,
        "allowed_gb": 0.3 * weights + 1,
        "process_peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def _resident(field: Literal["VmRSS", "VmHWM"]) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**20


def main() -> None:
    precision, sentences, seed, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    chosen = pick_precision(precision, torch.device("cpu"))  # type: ignore[arg-type]
    print(json.dumps(memory_of_ranking(chosen, int(sentences), int(seed))))


if __name__ == "__main__":
    main()
