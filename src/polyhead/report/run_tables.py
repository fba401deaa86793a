"""The table by seed: what every seed scored on every target, with mean and standard deviation."""

from collections.abc import Sequence
from statistics import fmean, stdev

from polyhead.report.reading import RANKED, Record, main_metric, seed_scores, seeds, target_names
from polyhead.report.tables import markdown, shown_points, title


def seed_table(record: Record, *, arm: str = RANKED) -> str:
    """For every target a row a seed, then mean and standard deviation (n − 1) over seeds; empty with one seed.

    Of several targets the last block is their mean in every seed. A seed that chose k = 0 counts with its unpruned score.
    """
    if len(seeds(record)) < 2:
        return ""
    by_target, names = seed_scores(record, arm), target_names(record)
    rows: list[list[object]] = []
    for name, scores in by_target.items():
        pairs = [(score.unpruned, score.pruned) for score in scores]
        rows += _block(names[name], [score.seed for score in scores], pairs, [score.k for score in scores])
    by_seed = {seed: [score for scores in by_target.values() for score in scores if score.seed == seed] for seed in seeds(record)}
    if len(by_target) > 1:
        means = [(fmean(s.unpruned for s in found), fmean(s.pruned for s in found)) for found in by_seed.values() if found]
        met = [seed for seed, found in by_seed.items() if found]
        rows += _block("mean over targets", met, means, [""] * len(met))
    return markdown(["target", "seed", f"unpruned {title(main_metric(record))}", "pruned", "gain", "heads pruned (k)"], rows)


def _block(name: str, ids: Sequence[int], pairs: Sequence[tuple[float, float]], ks: Sequence[object]) -> list[list[object]]:
    """The rows of one target."""
    columns = [[a for a, _ in pairs], [b for _, b in pairs], [b - a for a, b in pairs]]
    rows: list[list[object]] = [
        [name, seed, shown_points(a), shown_points(b), shown_points(gain, signed=True), k]
        for seed, a, b, gain, k in zip(ids, *columns, ks, strict=True)
    ]
    mean = [fmean(column) for column in columns]
    rows.append([name, "mean", shown_points(mean[0]), shown_points(mean[1]), shown_points(mean[2], signed=True), ""])
    spread = [stdev(column) if len(column) > 1 else None for column in columns]
    return [*rows, [name, "standard deviation", *map(shown_points, spread), ""]]
