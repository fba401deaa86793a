"""Tables of `docs/methods.md` on cost, on how many heads to cut and on repair, from `results/`; `method_page.py` sets them."""

from collections.abc import Callable
from typing import Any

from environment import RESULTS

from polyhead.core.files import read_json
from polyhead.report.tables import markdown

_STRATEGIES = {
    "screened": "`screened` (the default)",
    "sweep": "`sweep`",
    "always k = 0": "always k = 0",
    "five evenly spaced": "five evenly spaced k",
    "random fives": "five random k",
}
_REPAIRS = {"none": "no repair", "means": "`means`", "refit": "`refit`"}


def tables() -> dict[str, str]:
    """Markdown of each table that has its results, by the name between its markers."""
    made: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
        "cost": ("method_cost", cost),
        "search": ("search_for_k", search),
        "repair": ("repair", repair),
    }
    paths = {name: (RESULTS / f"{source}.json", table) for name, (source, table) in made.items()}
    return {name: table(read_json(path)) for name, (path, table) in paths.items() if path.is_file()}


def cost(measured: dict[str, Any]) -> str:
    """Seconds, their ratio to the default's, memory and passes."""
    unit = measured["methods"]["gradient"]["seconds"]
    rows = [
        [
            f"`{name}`",
            f"{row['forward']:.4g} + {row['backward']:.4g}",
            _digits(row["seconds"]),
            _digits(row["seconds"] / unit),
            f"{1024 * row['memory_gb']:.0f}",
        ]
        for name, row in measured["methods"].items()
    ]
    return markdown(["method", "passes", "seconds", "times `gradient`", "MiB beyond the model"], rows)


def search(measured: dict[str, Any]) -> str:
    """What each way of choosing k cost and regretted, means over the fine-tuning seeds."""
    seeds = [str(seed) for seed in measured["seeds"]]
    rows = []
    for name, title in _STRATEGIES.items():
        mean = measured["means"][name]
        chosen = [measured["by_seed"][seed]["strategies"][name]["k"] for seed in seeds]
        figures = [f"{mean['trainings']:g}", f"{mean['dev_regret']:.2f}", f"{mean['test_regret']:.2f}"]
        rows.append([title, *figures, "-" if None in chosen else ", ".join(map(str, chosen))])
    return markdown(["strategy", "fine-tunings", "dev regret", "test regret", f"k chosen, seeds {' '.join(seeds)}"], rows)


def repair(measured: dict[str, Any]) -> str:
    """Areas with and without repair in the lowest order, by language, and the gain on the languages not trained on."""
    found = measured["orders"]["lowest"]
    *languages, mean = found["area"]["none"]
    rows = []
    for how, title in _REPAIRS.items():
        gain = found["gain"][how][mean] if how in found["gain"] else None
        rows.append(
            [
                title,
                *(f"{found['area'][how][name]['value']:.3f}" for name in (*languages, mean)),
                f"{gain['value']:.3f} ({gain['low']:.3f} to {gain['high']:.3f})" if gain else "-",
            ]
        )
    return markdown(["area", *languages, "mean of the eight", "gain over no repair"], rows)


def _digits(value: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
