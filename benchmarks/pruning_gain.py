"""Does pruning heads help? A real encoder, one source, eight unseen languages: gains, controls, selection noise.

    python benchmarks/pruning_cells.py      # the fine-tunings; see there
    python benchmarks/pruning_gain.py       # seconds; writes results/pruning_gain.json from the cells that are there

Rows of one table use the seeds for which all cells they need are there, and say how many. The primary outcome is the mean gain
over the eight targets of the sweep over K = 12 (one fine-tuning for every k, chosen on English dev); every other p is
Holm-corrected. A gain is the test accuracy of the chosen model minus that of the same seed's ordinary fine-tuning, in points,
with a 95 % interval from seeds and sentences. No timings; cost is in fine-tunings.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from e5 import TARGETS, accuracy, kept
from environment import environment, rounded, write
from numpy.typing import NDArray
from pruning_cells import (
    AGREEMENT,
    ARMS,
    LARGEST,
    POOL,
    SEEDS,
    SENTENCES,
    SWEEP,
    SWEEP_SEEDS,
    VARIANT_SEEDS,
    cell,
    grid,
    rules,
    screened,
    source_dev,
)
from scipy.stats import pearsonr
from treebanks import TREEBANKS

from polyhead.selection.statistics import SeedMean, beyond_noise, holm, mean_gain, selection_noise

Counts = NDArray[np.int64]
Tests = Mapping[str, Counts]
"""Correct and scored words of every test sentence, `[sentences, 2]`, by language."""


def there(*names: str) -> bool:
    return all(cell(name).is_file() for name in names)


def ordinary(seed: int) -> Tests:
    """Test counts of the unpruned fine-tuning."""
    return tests_of(f"full.{seed}")


def tests_of(name: str) -> Tests:
    found = kept(cell(name))
    return {language: found[f"{language}.test"] for language in TREEBANKS}


def under(name: str, k: int) -> Tests:
    """Test counts of a nested model with k heads masked."""
    found = kept(cell(name))
    at = found["tested"].tolist().index(k)
    return {
        language: np.stack([found[f"{language}.test/correct"][at], found[f"{language}.test/scored"]], axis=-1)
        for language in TREEBANKS
    }


def gain(pairs: Sequence[tuple[Tests, Tests]], languages: Sequence[str] = TARGETS) -> SeedMean:
    """The mean over seeds and languages of one side minus the other."""
    sets = [(np.stack([one[name] for one, _ in pairs]), np.stack([other[name] for _, other in pairs])) for name in languages]
    return mean_gain(sets, accuracy, seed=1)


def row(found: SeedMean, ks: Sequence[int] | None = None) -> dict[str, Any]:
    interval = found.interval
    return {
        "gain": found.value,
        "interval": None if interval is None else [interval.low, interval.high],
        "p": found.p,
        "detectable": found.detectable,
        "seeds": len(found.by_seed),
        "by_seed": list(found.by_seed),
        **({} if ks is None else {"k": list(ks)}),
    }


def table(pairs: Sequence[tuple[Tests, Tests]], ks: Sequence[int]) -> dict[str, Any]:
    """The mean of the eight, then English and every target."""
    return {"mean of the eight": row(gain(pairs), ks)} | {name: row(gain(pairs, [name])) for name in TREEBANKS}


def best(scores: Mapping[int, float]) -> int:
    """The k with the highest score, ties to the larger."""
    return max(scores, key=lambda k: (round(scores[k], 9), k))


def sweep() -> dict[str, Any]:
    """K = 12 with a fine-tuning for every k."""
    seeds = [seed for seed in SWEEP_SEEDS if there(f"full.{seed}", *(f"sweep.{seed}.{k}" for k in range(1, SWEEP + 1)))]
    if not seeds:
        return {}
    by_k = {seed: {k: tests_of(f"sweep.{seed}.{k}") if k else ordinary(seed) for k in range(SWEEP + 1)} for seed in seeds}
    chosen = [best({k: source_dev(f"sweep.{seed}.{k}" if k else f"full.{seed}") for k in range(SWEEP + 1)}) for seed in seeds]
    sound = [(by_k[seed][k], by_k[seed][0]) for seed, k in zip(seeds, chosen, strict=True)]
    maxima = []
    for seed in seeds:
        picked = {name: best({k: points(by_k[seed][k][name]) for k in range(1, SWEEP + 1)}) for name in TREEBANKS}
        maxima.append(({name: by_k[seed][k][name] for name, k in picked.items()}, by_k[seed][0]))
    found = {"chosen on English dev": table(sound, chosen), "best of k = 1..12 on each test (no p: a maximum)": without_p(maxima)}
    pool = [seed for seed in POOL if there(f"full.{seed}")]
    if len(pool) >= 2 * (SWEEP + 1):
        dev = [source_dev(f"full.{seed}") for seed in pool]
        test = [[points(ordinary(seed)[name]) for name in TARGETS] for seed in pool]
        noise = selection_noise(dev, test, n=SWEEP + 1)
        value, interval = beyond_noise(gain(sound), noise)
        maximum = selection_noise(test, test, n=SWEEP)
        found["selection noise"] = {
            "runs": len(pool),
            "mean": noise.mean,
            "standard_error": noise.standard_error,
            "gain_minus_noise": value,
            "interval": None if interval is None else [interval.low, interval.high],
            "of the maximum on test": {"mean": maximum.mean, "standard_error": maximum.standard_error},
        }
    return found


def without_p(pairs: Sequence[tuple[Tests, Tests]]) -> dict[str, Any]:
    return {name: {**own, "p": None} for name, own in table(pairs, []).items()}


def points(counts: Counts) -> float:
    return float(accuracy(counts.sum(axis=0)))


def nested(largest: int) -> dict[str, Any]:
    """One fine-tuning for all k: against the ordinary fine-tuning, against its own k = 0, and against random heads."""
    found: dict[str, Any] = {}
    chosen: dict[str, dict[int, Tests]] = {}
    for arm in ARMS:
        seeds = [seed for seed in SEEDS if there(f"full.{seed}", f"nested.{largest}.{arm}.{seed}")]
        if not seeds:
            continue
        cells = {seed: kept(cell(f"nested.{largest}.{arm}.{seed}")) for seed in seeds}
        picks = {seed: rules(cells[seed], grid(largest)) for seed in seeds}
        own: dict[str, Any] = {}
        for rule in picks[seeds[0]]:
            ks = [picks[seed][rule] for seed in seeds]
            names = [f"nested.{largest}.{arm}.{seed}" for seed in seeds]
            sides = [under(name, k) if k else ordinary(seed) for name, k, seed in zip(names, ks, seeds, strict=True)]
            own[rule] = {
                "over the ordinary fine-tuning": table(
                    [(side, ordinary(seed)) for side, seed in zip(sides, seeds, strict=True)], ks
                ),
                "over its own k = 0": table([(under(name, k), under(name, 0)) for name, k in zip(names, ks, strict=True)], ks),
            }
            if rule == "source best":
                chosen[arm] = dict(zip(seeds, sides, strict=True))
        found[arm] = own
    for arm in ARMS[1:]:
        both = sorted({*chosen.get("ranked", {})} & {*chosen.get(arm, {})})
        if both:
            found[f"ranked - {arm}, source best"] = table([(chosen["ranked"][seed], chosen[arm][seed]) for seed in both], [])
    return found


def curves() -> dict[str, Any]:
    """Seed means over k = 0..12 of the mean of the eight: one fine-tuning per k against masks of one model."""

    def matrix(name: Callable[[int, int], Tests], seeds: Sequence[int]) -> NDArray[np.float64]:
        return np.array([[np.mean([points(name(seed, k)[own]) for own in TARGETS]) for k in range(SWEEP + 1)] for seed in seeds])

    swept = [seed for seed in SWEEP_SEEDS if there(f"full.{seed}", *(f"sweep.{seed}.{k}" for k in range(1, SWEEP + 1)))]
    masked = [seed for seed in SEEDS if there(f"nested.{SWEEP}.ranked.{seed}")]
    if len(swept) < 2 or len(masked) < 2:
        return {}
    own = {
        "sweep": matrix(lambda seed, k: tests_of(f"sweep.{seed}.{k}") if k else ordinary(seed), swept),
        "nested": matrix(lambda seed, k: under(f"nested.{SWEEP}.ranked.{seed}", k), masked),
    }
    return {
        "seeds": {"sweep": len(swept), "nested": len(masked)},
        "mean_by_k": {name: scores.mean(axis=0).tolist() for name, scores in own.items()},
        "correlation": correlation(own["sweep"].mean(axis=0), own["nested"].mean(axis=0)),
        "split_half_reliability": {name: reliability(scores) for name, scores in own.items()},
        "variance_of_differences_between_k": {name: between(scores) for name, scores in own.items()},
    }


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(pearsonr(one, other).statistic)


def reliability(scores: NDArray[np.float64]) -> float:
    """Correlation over k of two halves of the seeds, mean over 200 random halvings, stepped up to all seeds (Spearman-Brown)."""
    generator, found = np.random.default_rng(0), []
    for _ in range(200):
        order = generator.permutation(len(scores))
        half = len(scores) // 2
        r = correlation(scores[order[:half]].mean(axis=0), scores[order[half : 2 * half]].mean(axis=0))
        found.append(2 * r / (1 + r) if r > -1 else -1.0)
    return float(np.mean(found))


def between(scores: NDArray[np.float64]) -> float:
    """Variance over seeds of the difference between two k, mean over all pairs, in points²."""
    ks = range(scores.shape[1])
    return float(np.mean([np.var(scores[:, a] - scores[:, b], ddof=1) for a in ks for b in ks if a < b]))


def default_search() -> dict[str, Any]:
    """`nested` minus `screened` with K = 12, mean of the targets' dev, chosen on English dev; and fine-tunings used."""
    seeds = [seed for seed in SEEDS if there(f"screened.{seed}", f"nested.{SWEEP}.ranked.{seed}")]
    if not seeds:
        return {}
    pairs, used = [], []
    for seed in seeds:
        found = screened(seed, lambda k, seed=seed: source_dev(f"sweep.{seed}.{k}" if k else f"full.{seed}"))
        other = kept(cell(f"sweep.{seed}.{found.chosen}" if found.chosen else f"full.{seed}"))
        own = kept(cell(f"nested.{SWEEP}.ranked.{seed}"))
        at = grid(SWEEP).index(rules(own, grid(SWEEP))["source best"])
        full = kept(cell(f"full.{seed}"))
        one = {
            name: np.stack([own[f"{name}.dev/correct"][at], own[f"{name}.dev/scored"]], axis=-1) if at else full[f"{name}.dev"]
            for name in TARGETS
        }
        pairs.append((one, {name: other[f"{name}.dev"] for name in TARGETS}))
        used.append(len(found.trials))
    return {"nested minus screened, targets' dev": row(gain(pairs)), "fine-tunings": {"nested": 2, "screened": used}}


VARIANTS = ("front", "taught")


def variants() -> dict[str, Any]:
    """Dev alone: what draws, teaching and a tenth of an epoch change, K = 72, each minus the uniform draws of the same seed."""
    found: dict[str, Any] = {}
    ks = grid(LARGEST[-1])
    names = {arm: [f"nested.{LARGEST[-1]}.{arm}.{seed}" for seed in VARIANT_SEEDS] for arm in ("ranked", *VARIANTS)}
    if not there(*names["ranked"]):
        return {}

    def counts(name: str, k: int, language: str) -> Counts:
        own, at = kept(cell(name)), ks.index(k)
        return np.stack([own[f"{language}.dev/correct"][at], own[f"{language}.dev/scored"]], axis=-1)

    for k in (0, 12, 36, 72):
        for arm in VARIANTS:
            if there(*names[arm]):
                pairs = [
                    ({own: counts(one, k, own) for own in TREEBANKS}, {own: counts(base, k, own) for own in TREEBANKS})
                    for one, base in zip(names[arm], names["ranked"], strict=True)
                ]
                found[f"{arm}, k = {k}"] = {"targets": row(gain(pairs)), "en": row(gain(pairs, ["en"]))}
        if there(*(f"tenth.{k}.{seed}" for seed in VARIANT_SEEDS)):
            more = [kept(cell(f"tenth.{k}.{seed}")) for seed in VARIANT_SEEDS]
            pairs = [
                ({own: one[f"{own}.dev"] for own in TREEBANKS}, {own: counts(base, k, own) for own in TREEBANKS})
                for one, base in zip(more, names["ranked"], strict=True)
            ]
            found[f"a tenth of an epoch more, k = {k}"] = {"targets": row(gain(pairs)), "en": row(gain(pairs, ["en"]))}
    return found


def corrected(content: Any, primary: tuple[str, ...]) -> None:
    """Give every p but the primary one its Holm-corrected value, in place."""
    rows: list[dict[str, Any]] = []

    def walk(value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            if value.get("p") is not None and path != primary:
                rows.append(value)
            for name, own in value.items():
                walk(own, (*path, name))

    walk(content, ())
    for own, p in zip(rows, holm([own["p"] for own in rows]), strict=True):
        own["p_holm"] = p


def main() -> None:
    tables = {
        "sweep, K = 12": sweep(),
        **{f"nested, K = {largest}": nested(largest) for largest in LARGEST},
        "curves over k": curves(),
        "default search": default_search(),
        "variants": variants(),
    }
    corrected(tables, ("sweep, K = 12", "chosen on English dev", "mean of the eight"))
    content: dict[str, object] = {
        "environment": environment(seed=SEEDS[0]) | {"note": "one thread each, beside other work; no timings are claimed"},
        "work": f"e5 fine-tuned on {SENTENCES} sentences of EWT; accuracy in points; 95 % intervals from seeds and sentences",
        "primary": "sweep, K = 12: chosen on English dev: mean of the eight",
        "rules": {
            "source best": "highest English dev score, ties to more heads",
            "source within 0.5": "most heads that lose at most 0.5 points on English dev",
            "pooled best": "highest mean of nine dev scores",
            "pooled within 0.5": "most heads that lose at most 0.5 points of it",
            "agreement": f"most heads with which {AGREEMENT:g} % of the targets' words keep the full model's label, no gold read",
        },
        "tables": rounded(tables, 4),
    }
    print(f"written to {write('pruning_gain', content)}", file=sys.stderr)


if __name__ == "__main__":
    main()
