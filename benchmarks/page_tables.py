"""Tables of `docs/` other than those of methods, from `results/`; `method_page.py` writes them into the pages."""

import re
from collections.abc import Callable, Iterable, Sequence
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
_WITH_LABELS = {
    "signs": "prune by sign",
    "gates": "learn gates",
    "tuned": "fine-tune",
    "tuned then pruned": "fine-tune, then prune by sign",
    "pruned then tuned": "prune by sign, then fine-tune",
}
_REPAIRS = {"none": "no repair", "means": "`means`", "refit": "`refit`"}


def tables() -> dict[str, str]:
    """Markdown of each table whose results exist, by the name between its markers."""
    made: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
        "cost": ("method_cost", cost),
        "search": ("search_for_k", search),
        "repair": ("repair", repair),
        "simulation": ("statistics_simulation", simulation),
        "variances": ("seed_variance", variances),
        "few labels": ("few_labels", few_labels),
        "variants of nested": ("pruning_gain", nested_variants),
        "scale": ("study_scale", scale),
        "vocabulary": ("vocabulary", vocabulary),
        "segmentation": ("vocabulary", segmentation),
        "latency": ("latency_plans", latency),
        "predictions": ("latency_plans", predictions),
        "exports": ("export_latency", exports),
        "runtimes": ("export_latency", runtimes),
    }
    paths = {name: (RESULTS / f"{source}.json", table) for name, (source, table) in made.items()}
    return {name: table(read_json(path)) for name, (path, table) in paths.items() if path.is_file()}


def page_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose cells are Markdown already, so nothing in them is escaped."""
    return re.sub(r"\\([^\w\s])", r"\1", markdown(headers, rows))


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
    return page_table(["method", "passes", "seconds", "times `gradient`", "MiB beyond the model"], rows)


def search(measured: dict[str, Any]) -> str:
    """Cost and regret of each strategy for k, means over the fine-tuning seeds."""
    seeds = [str(seed) for seed in measured["seeds"]]
    rows = []
    for name, title in _STRATEGIES.items():
        mean = measured["means"][name]
        chosen = [measured["by_seed"][seed]["strategies"][name]["k"] for seed in seeds]
        figures = [f"{mean['trainings']:g}", f"{mean['dev_regret']:.2f}", f"{mean['test_regret']:.2f}"]
        rows.append([title, *figures, "-" if None in chosen else ", ".join(map(str, chosen))])
    return page_table(["strategy", "fine-tunings", "dev regret", "test regret", f"k chosen, seeds {' '.join(seeds)}"], rows)


def repair(measured: dict[str, Any]) -> str:
    """Areas with and without repair in the lowest-first order, by language, and the gain on unseen languages."""
    found = measured["orders"]["lowest"]
    *languages, mean = found["area"]["none"]
    rows = []
    for how, title in _REPAIRS.items():
        gain = found["gain"][how][mean] if how in found["gain"] else None
        rows.append(
            [
                title,
                *(f"{found['area'][how][name]['value']:.3f}" for name in (*languages, mean)),
                with_interval(gain, is_gain=True),
            ]
        )
    return page_table(["area", *languages, "mean of the eight", "gain over no repair"], rows)


def simulation(measured: dict[str, Any]) -> str:
    """Coverage and false alarms by the number of seeds, before and after, for every setting."""
    rows = []
    for setting in measured["settings"]:
        share = setting["share_of_seeds_that_prune"]
        name = setting["variances"] if share == 1 else f"{setting['variances']}, {100 * (1 - share):.0f} % of seeds k = 0"
        for n_seeds, found in setting["by_seeds"].items():
            figures = [found[when][what] for what in ("coverage", "false_alarms") for when in ("before", "after")]
            rows.append([name, n_seeds, *("none" if figure is None else f"{figure:.1f}" for figure in figures)])
    headers = ["coverage before", "coverage after", "false alarms before", "false alarms after"]
    return page_table(["variances of", "seeds", *headers], rows)


def variances(measured: dict[str, Any]) -> str:
    """The gain of 24 pruned heads by language, its variances, and its interval over five seeds."""
    rows = []
    for name, row in measured["gain"].items():
        low, high = row["interval"]
        missed = f"{row['detectable']:.2f}" if row["p"] >= 0.05 else "–"
        sure = [f"{row['standard_error']:.2f}", f"{row['degrees_of_freedom']:.1f}", f"{low:+.2f} to {high:+.2f}"]
        parts = [f"{row[key]:.4f}" for key in ("s2", "v", "u")]
        rows.append([name, f"{row['value']:+.2f}", *parts, *sure, f"{row['p']:.4f}", missed])
    headers = ["gain", "s²", "v", "u", "SE", "degrees of freedom", "95 % interval", "p", "detectable gain"]
    return page_table(["test set", *headers], rows)


def few_labels(measured: dict[str, Any]) -> str:
    """Accuracy by target and both gains in the mean of the targets, for every number of labelled sentences and every arm."""
    targets = measured["targets"]
    rows: list[list[str]] = []
    for n, found in measured["by_n"].items():
        if not rows:
            rows.append(["0", "as it is", *(f"{found['source']['accuracy'][name]:.1f}" for name in targets), "", "", ""])
        for arm, title in _WITH_LABELS.items():
            own = found["arms"][arm]
            heads = sorted({k for by_draw in own.get("heads_pruned", {}).values() for k in by_draw})
            rows.append(
                [
                    n,
                    title,
                    *(f"{own['accuracy'][name]:.1f}" for name in targets),
                    *(_gained(own.get(base)) for base in ("over the source model", "over fine-tuning")),
                    " to ".join(map(str, dict.fromkeys((heads[0], heads[-1])))) if heads else "",
                ]
            )
    headers = ["gain over the model as it is", "gain over fine-tuning", "heads pruned"]
    return page_table(["n", "what", *targets, *headers], rows)


def _gained(found: dict[str, Any] | None) -> str:
    """A gain in the mean of the targets and its interval, in points."""
    if found is None:
        return ""
    value, interval = found["mean"]["gain"], found["mean"]["interval"]
    return f"{value:+.1f}" + ("" if interval is None else f" ({interval[0]:+.1f} to {interval[1]:+.1f})")


def with_interval(found: dict[str, Any] | None, *, is_gain: bool = False) -> str:
    """A mean over fine-tunings, its interval if any, and the smallest detectable gain if none was found."""
    if not found or "value" not in found:
        return "-"
    value, low, high = found["value"], found["low"], found["high"]
    if low is None:
        return f"{value:z.3f}"
    missed = f"; detectable {found['detectable']:z.3f}" if is_gain and low <= 0 <= high else ""
    return f"{value:z.3f} ({low:z.3f} to {high:z.3f}{missed})"


def _digits(value: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"


def scale(measured: dict[str, Any]) -> str:
    """Overhead per cell by workers, and what a finished store costs to read, by its number of cells."""
    rows = []
    for n, row in measured["rows"].items():
        store = row["finished_store"]
        rows.append(
            [
                f"{int(n):,}",
                *(f"{found['overhead_ms_per_cell']:.1f} ms" for found in row["by_workers"].values()),
                *(f"{store[name]:.3f} s" for name in ("list_seconds", "check_seconds", "resume_seconds")),
                f"{store['files']:,}",
                f"{store['bytes'] / 1000:,.0f} kB",
                f"{store['bytes_on_disk'] / 1000:,.0f} kB",
            ]
        )
    names = ["1 worker", "2 workers", "8 workers", "list", "read and check", "resume", "files", "bytes", "on disk"]
    return page_table(["cells", *(f"overhead, {name}" if "worker" in name else name for name in names)], rows)


_TRIMMED = {"e5": "multilingual E5 small", "xlmr": "XLM-R base's shape", "mbert": "mBERT's shape"}


def vocabulary(measured: dict[str, Any]) -> str:
    """Rows and megabytes before and after trimming, and the part of the tokenizer."""
    costs = {"cpu_seconds": "processor s", "peak_megabytes": "peak memory, MB"}
    if not all("cpu_seconds" in row for row in measured["e5"].values()):
        costs = {}
    rows = []
    for key, title in _TRIMMED.items():
        for name, row in measured.get(key, {}).items():
            languages, _, limit = name.partition(", ")
            (before, after), (whole, left) = row["subwords"], row["megabytes"]
            share = f"{100 * left / whole:.0f} %"
            sizes = [f"{before:,}", f"{after:,}", f"{whole:.0f}", f"{left:.0f}", share, f"{row['tokenizer_megabytes']:.1f}"]
            took = [f"{row[name]:.0f}" for name in costs]
            rows.append([title, languages, limit, *sizes, *took])
    names = ["subwords", "kept", "MB", "MB kept", "share", "tokenizer.json, MB", *costs.values()]
    return page_table(["encoder", "languages", "kept", *names], rows)


def segmentation(measured: dict[str, Any]) -> str:
    """Words of the test splits that are segmented otherwise, by language, and the language with the most unknown and added."""
    named = list(dict.fromkeys(language for row in measured["e5"].values() for language in row["held_out"]))
    rows = []
    for key in ("e5", "mbert"):  # a shape with the same tokenizer has the same rows
        for name, row in measured[key].items():
            title = _TRIMMED[key]
            languages, _, limit = name.partition(", ")
            own = row["held_out"]
            changed = [f"{100 * own[language]['changed']:.1f}" if language in own else "–" for language in named]
            unknown = max(100 * one["unknown"] for one in own.values())
            longer = max(100 * (one["subwords_per_word"][1] / one["subwords_per_word"][0] - 1) for one in own.values())
            rows.append([title, languages, limit, *changed, f"{unknown:.3f}", f"{longer:.1f}"])
    headers = [*(f"changed: {language}, %" for language in named), "new unknown, most, %", "more subwords, most, %"]
    return page_table(["encoder", "languages", "kept", *headers], rows)


def latency(measured: dict[str, Any]) -> str:
    """Milliseconds of the whole model, the shares of its parts, and how much faster it is without some of them."""
    rows = []
    for row in measured["rows"]:
        whole, layers = row["full_ms"], row["n_layers"]
        shares = [100 * layers * row[part][-1][1] / whole for part in ("attention", "feed_forward")]
        left = ("half of the heads", "half of the neurons", "half of both", "half of the layers", "all heads and neurons")
        faster = [f"{whole / row['smaller_ms'][name]:.2f}" for name in left]
        rows.append([*_conditions(row), f"{whole:.1f}", *(f"{share:.0f} %" for share in shares), *faster])
    without = ("½ heads", "½ neurons", "½ of both", "½ layers", "all heads and neurons")
    names = ["backend", "precision", "batch", "ms", "attention", "feed-forward", *(f"without {name}" for name in without)]
    return page_table(names, rows)


def predictions(measured: dict[str, Any]) -> str:
    """Random plans: how far predictions are from measurements."""
    rows = []
    for row in measured["rows"]:
        faster = [row["full_ms"] / plan["measured_ms"] for plan in row["plans"]]
        spread = f"{min(faster):.2f} to {max(faster):.2f}"
        errors = [f"{100 * row[name]:.1f} %" for name in ("median_error", "largest_error")]
        rows.append([*_conditions(row), len(row["plans"]), spread, *errors, f"{row['table_seconds']:.0f}"])
    names = [
        "backend",
        "precision",
        "batch",
        "plans",
        "speed-up of the plans",
        "median error",
        "largest error",
        "seconds to measure",
    ]
    return page_table(names, rows)


def _conditions(row: dict[str, Any]) -> list[str]:
    return [row["backend"], row["precision"], f"{row['batch']} × {row['length']}"]


def exports(measured: dict[str, Any]) -> str:
    """What each export takes, what it gives, and how far it is from the model."""
    rows = []
    for row in measured["exports"]:
        took = [f"{row[name]:.0f}" if name in row else "" for name in ("seconds", "export_peak_megabytes")]
        far = row.get("difference") if row.get("int8_difference") is None else row["int8_difference"]
        size = [f"{row[name]:.0f}" for name in ("megabytes", "resident_megabytes")]
        rows.append([_share(row), row["runtime"], *took, *size, "" if far is None else f"{far:.1e}"])
    names = [
        "heads pruned",
        "runtime",
        "export, s",
        "its peak memory, MB",
        "MB on disk",
        "memory to run, MB",
        "greatest difference",
    ]
    return page_table(names, rows)


def runtimes(measured: dict[str, Any]) -> str:
    """Milliseconds of every runtime, and how many times as fast as torch it is."""
    rows = []
    for row in measured["rows"]:
        low, high = row["speed_up_quartiles"]
        batch, faster = f"{row['batch']} × {row['length']}", f"{row['speed_up']:.2f} ({low:.2f} to {high:.2f})"
        rows.append([_share(row), batch, row["runtime"], f"{1e3 * row['median_seconds']:.1f}", faster])
    return page_table(["heads pruned", "batch", "runtime", "ms", "times as fast as torch (quartiles)"], rows)


def _share(row: dict[str, Any]) -> str:
    return f"{100 * row['pruned_share']:.0f} %"


def nested_variants(measured: dict[str, Any]) -> str:
    """What variants of nested training change on dev, minus the uniform draws of the same seed."""
    names = {
        "front": "small k drawn more often",
        "taught": "masked sentences also learn from the full model's predictions",
        "a tenth of an epoch more": "a tenth of an epoch more, pruned to this k",
    }
    found = measured["tables"]["variants"]
    rows = []
    for name, title in names.items():
        for key, row in found.items():
            if key.startswith(f"{name}, "):
                shown = [f"{row[part]['gain']:+.2f} ({_bounds(row[part]['interval'])})" for part in ("targets", "en")]
                rows.append([title, key.rpartition(" = ")[2], *shown])
    return page_table(["variant", "k", "mean of eight targets", "English"], rows)


def _bounds(interval: Sequence[float]) -> str:
    return f"{interval[0]:+.2f} to {interval[1]:+.2f}"
