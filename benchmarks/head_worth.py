"""What attention, pre-training and single heads are worth on `mini`: reproduces the figures of its README.

    python benchmarks/head_worth.py [--seeds 42]    # three fine-tunings and the twin's, unless they exist; then a minute

Fine-tuned on UD English-EWT, surface words, protocol `sound`; no retraining after ablation. Intervals (95 %) are about this model
on other sentences. `--seeds` selects fine-tunings, `--no-twin` leaves out the twin; the file says what was measured. No timings.
Writes `results/head_worth.json`.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from environment import SHARED, environment, write
from fine_tuned import SEEDS, batches, fine_tuned, sentences
from transformers import PreTrainedModel
from treebanks import LABELS, POS, TREEBANKS

from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.corpora import open_corpus
from polyhead.importance.methods import score_heads
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.metrics import metric_from_counts, sentence_counts
from polyhead.models.devices import pick_precision
from polyhead.selection.ranking import masks_for, rank
from polyhead.selection.resampling import percentile_interval, redrawn

KS = (6, 12, 24)
DRAWS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--no-twin", action="store_true", help="leave out the twin without pre-training")
    options = parser.parse_args()
    content: dict[str, object] = {
        "environment": environment(seed=SEEDS[0]),
        "work": "512 sentences of EWT dev drawn by seed 42; accuracy in points; nothing retrained",
        "heads": {str(seed): worth_of_heads(fine_tuned(seed)) for seed in options.seeds},
        "languages": worth_of_pretraining(fine_tuned(SEEDS[0]), with_twin=not options.no_twin),
    }
    print(f"written to {write('head_worth', content)}", file=sys.stderr)


def worth_of_heads(model: PreTrainedModel) -> dict[str, Any]:
    """All heads, none, each layer off, and k heads off in several orders."""
    n_layers, n_heads = model.config.num_hidden_layers, model.config.num_attention_heads
    lowest = rank(score_heads("gradient", model, batches("en")))
    orders: dict[str, tuple[HeadId, ...]] = {"lowest": lowest, "highest": lowest[::-1]}
    for draw in range(DRAWS):
        orders[f"random {draw}"] = tuple(lowest[i] for i in np.random.default_rng(draw).permutation(len(lowest)))
    full = HeadMask.full(n_layers, n_heads)
    layers = [HeadMask.without(n_layers, n_heads, [HeadId(layer, h) for h in range(n_heads)]) for layer in range(n_layers)]
    cuts = {name: masks_for(order, KS, (n_layers, n_heads)) for name, order in orders.items()}
    masks = [full, HeadMask.without(n_layers, n_heads, full.kept), *reversed(layers), *(m for own in cuts.values() for m in own)]
    scores = dict(zip(masks, accuracies(model, {"en": sentences("en")}, masks)["en"], strict=True))
    return {
        "all_heads": scores[full],
        "no_head": scores[masks[1]],
        "layer_ablated": [scores[mask] for mask in layers],
        "ablated": {name: {str(k): scores[mask] for k, mask in zip(KS, own, strict=True)} for name, own in cuts.items()},
    }


def worth_of_pretraining(model: PreTrainedModel, *, with_twin: bool) -> dict[str, Any]:
    """Test accuracy by language of the tagger, of a twin without pre-training, and of an English word list."""
    tests = {language: sentences(language, split="test", n=None) for language in TREEBANKS}
    full = [HeadMask.full(model.config.num_hidden_layers, model.config.num_attention_heads)]
    taggers = {"fine_tuned": model, **({"random_twin_fine_tuned": fine_tuned(SEEDS[0], pretrained=False)} if with_twin else {})}
    found = {
        name: {language: points for language, (points,) in accuracies(tagger, tests, full).items()}
        for name, tagger in taggers.items()
    }
    return found | {"majority_tag_of_known_words": word_list()}


def accuracies(
    model: PreTrainedModel, datasets: Mapping[str, Labelled], masks: Sequence[HeadMask]
) -> dict[str, list[dict[str, float]]]:
    """Accuracy in points with its interval, by data set and mask."""
    precision = pick_precision("auto", torch.device("cpu"))
    found = masked_counts(model, datasets, POS, LABELS, masks, precision=precision)
    return {name: [with_interval(counts[name]) for counts in found] for name in datasets}


def with_interval(counts: np.ndarray) -> dict[str, float]:
    interval = percentile_interval(100 * redrawn(counts, partial(metric_from_counts, POS), seed=0))
    point = 100 * float(metric_from_counts(POS, counts.sum(axis=0)))
    return {"points": round(point, 2), "low": round(interval.low, 2), "high": round(interval.high, 2)}


def word_list() -> dict[str, dict[str, float]]:
    """Every English training word gets its most frequent tag, every other word NOUN."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in open_corpus(TREEBANKS["en"], "train", root=SHARED / "data").sentences:
        for word, label in zip(sentence.words, sentence.labels, strict=True):
            if label is not None:
                seen[word][label] += 1
    best = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
    found = {}
    for language, corpus in TREEBANKS.items():
        test = open_corpus(corpus, "test", root=SHARED / "data").sentences
        predicted = [[best.get(word, "NOUN") for word in sentence.words] for sentence in test]
        found[language] = with_interval(sentence_counts(POS, [sentence.labels for sentence in test], predicted))
    return found


if __name__ == "__main__":
    main()
