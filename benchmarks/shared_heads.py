"""Heads that languages share, and an unseen language's scores predicted from the others, on `mini` fine-tuned on EWT.

    python benchmarks/shared_heads.py    # minutes; writes results/shared_heads.json

Gate gradients of 512 dev sentences in nine languages, three fine-tunings. A head belongs to one end of a language's ranking if
it is there in at least 90 % of the replicates: resampled sentences of one fine-tuning, or the fine-tunings.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from environment import environment, write
from fine_tuned import SEEDS, SENTENCES, batches, fine_tuned
from numpy.typing import NDArray
from treebanks import TREEBANKS

from polyhead.core.heads import HeadScores
from polyhead.importance.gate_pass import sentence_gradients
from polyhead.selection.combining import Combination, leave_one_out
from polyhead.selection.resampling import redrawn
from polyhead.selection.sharing import Sharing, head_sharing

K = 12
DRAWS = 200
HOWS: tuple[Combination, ...] = ("merged", "summed", "mean-rank", "worst-case", "regret")
Array = NDArray[np.float64]


def main() -> None:
    gradients = {seed: gradients_of(seed) for seed in SEEDS}
    first = gradients[SEEDS[0]]
    resampled = {language: over_resamples(own) for language, own in first.items()}
    by_seed = {name: np.stack([np.abs(gradients[seed][name]).mean(axis=0) for seed in SEEDS]) for name in TREEBANKS}
    content = {
        "environment": environment(seed=SEEDS[0]),
        "work": f"gradient on {SENTENCES} dev sentences a language; the {K} lowest and highest of 48 heads; nothing retrained",
        "over_resamples_of_sentences": {"draws": DRAWS, "seed": SEEDS[0], **facts(head_sharing(resampled, k=K))},
        "over_fine_tunings": {"seeds": list(SEEDS), **facts(head_sharing(by_seed, k=K))},
        "leave_one_language_out": {how: predicted(gradients, how) for how in HOWS},
    }
    print(f"written to {write('shared_heads', content)}", file=sys.stderr)


def over_resamples(contributions: Array) -> Array:
    """Scores `[draws, layers, heads]` over resampled sentences, from signed contributions `[sentences, layers, heads]`."""
    n, *shape = contributions.shape
    return redrawn(np.abs(contributions).reshape(n, -1), lambda sums: sums / n, seed=0, draws=DRAWS).reshape(DRAWS, *shape)


def gradients_of(seed: int) -> dict[str, Array]:
    """Signed gradients `[sentences, layers, heads]` by language."""
    model = fine_tuned(seed)
    found = {}
    for language in TREEBANKS:
        found[language] = sentence_gradients(model, batches(language), precision="fp32")
        print(f"{language} {seed}", file=sys.stderr, flush=True)
    return found


def redrawn_scores(gradients: Array) -> Array:
    """Scores of one fine-tuning over resampled sentences, `[draws, layers, heads]`."""
    n, *shape = gradients.shape
    return redrawn(np.abs(gradients).reshape(n, -1), lambda sums: sums / n, seed=0, draws=DRAWS).reshape(DRAWS, *shape)


def facts(sharing: Sharing) -> dict[str, Any]:
    """For both ends: heads shared, specific, nowhere, unsettled; mean overlap of replicates within and between languages."""
    return {
        name: {
            "shared": [str(head) for head in end.shared],
            "specific": {language: [str(head) for head in heads] for language, heads in end.specific.items() if heads},
            "nowhere": len(end.nowhere),
            "unsettled": [str(head) for head in end.unsettled],
            "overlap_within": {language: round(value, 3) for language, value in end.within.items()},
            "overlap_between": round(float(np.mean(list(end.between.values()))), 3),
            "least_overlap_between": min((round(value, 3), "-".join(pair)) for pair, value in end.between.items()),
        }
        for name, end in (("lowest", sharing.lowest), ("highest", sharing.highest))
    }


def predicted(gradients: Mapping[int, Mapping[str, Array]], how: Combination) -> dict[str, Any]:
    """By language, the prediction from the eight others: rho, shared lowest and highest; means over fine-tunings."""
    rows: dict[str, list[list[float]]] = {language: [] for language in TREEBANKS}
    for by_language in gradients.values():
        scores = {name: scores_of(own) for name, own in by_language.items()}
        for language, found in leave_one_out(scores, how, k=K).items():
            rows[language].append([found.spearman.value, found.lowest.value, found.highest.value])
    means = {language: np.mean(own, axis=0).round(3).tolist() for language, own in rows.items()}
    return {"mean": np.mean(list(means.values()), axis=0).round(3).tolist(), **means}


def scores_of(gradients: Array) -> HeadScores:
    sizes = np.abs(gradients)
    return HeadScores(sizes.mean(axis=0), "gradient", total=sizes.sum(axis=0), n=len(sizes))


if __name__ == "__main__":
    main()
