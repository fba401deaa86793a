"""Tables of `docs/shrink.md`, from results/shrink.json, elastic.json and shrink_cost.json; `method_page.py` writes them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from environment import RESULTS
from page_tables import page_table

from polyhead.core.files import read_json

Found = Mapping[str, Any]
ARMS = {"none": "pruned", "refit": "repaired", "distil": "distilled", "int8": "int8"}
"""How a plan is finished, in the words of the page."""

RULES = {
    "joint": "polyhead",
    "uniform": "same scores, spread evenly",
    "magnitude": "magnitude",
    "one-shot": "gradient, one shot (TextPruner)",
    "random": "random",
    "half-layers": "whole layers (DistilBERT)",
}
TRIPS = {
    "from_pretrained": "`from_pretrained` with polyhead",
    "densified": "densified, without polyhead",
    "onnx": "ONNX",
    "openvino": "OpenVINO",
}
ELASTIC = "elastic"
CLAIMS = ("pos: 2x, 32 x 128", "pos: 2x, 1 x 32")
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "images"


def tables() -> dict[str, str]:
    """Markdown of each table that has a row, and of each picture that was drawn, by the name between its markers."""
    asked, sizes, cost = (results_of(name) for name in ("shrink", "elastic", "shrink_cost"))
    made = {
        "what a speed costs": losses(asked.get("asked", {}), sizes.get("sizes", {})),
        "fronts": pictures(),
        "rules": rules(asked.get("asked", {})),
        "polyhead over other rules": over(asked.get("asked", {})),
        "what a size costs": size_losses(asked.get("asked", {}), asked.get("whole_in_int8", {})),
        "round trips": round_trips(asked.get("asked", {})),
        "what was taken": taken(asked.get("asked", {})),
        "entities": entities(asked.get("asked", {})),
        "one fine-tuning or many": elastic(sizes.get("sizes", {})),
        "one fine-tuning over other rules": elastic_over(sizes.get("sizes", {})),
        "cost of a search": search_cost(cost.get("shapes", {})),
    }
    return {name: table for name, table in made.items() if table}


def results_of(name: str) -> Found:
    """A file of results; empty if it is not there."""
    path = RESULTS / f"{name}.json"
    return read_json(path) if path.is_file() else {}


def pictures() -> str:
    """Links to the pictures that there are, in the order of their names."""
    drawn = sorted(PICTURES.glob("shrink-*.svg"), key=lambda path: -len(path.stem))
    return "\n\n".join(f"![Points lost by how many times as fast, {_batch(path)}](images/{path.name})" for path in drawn)


def _batch(path: Path) -> str:
    return f"batches of {path.stem.removeprefix('shrink-').replace('x', ' × ')}"


def losses(asked: Found, sizes: Found) -> str:
    """What every speed costs in each language: pruned, repaired, distilled, and taken from an elastic fine-tuning."""
    rows, languages = [], []
    for key, found in asked.items():
        if (own := found["rules"].get("joint")) is None or not key.startswith("pos: ") or "size" in key:
            continue
        speed, batch = key.removeprefix("pos: ").split(", ")
        for arm, name in ARMS.items():
            if arm in own:
                rows.append([*_asked(speed, batch), name, got(own), *lost(own[arm]["gain"]), len(own[arm]["seeds"])])
                languages = [*own[arm]["gain"]]
        one, short = default_sizes(sizes), batch.replace(" ", "")
        if (other := one.get(f"{speed}.{short}")) is not None:
            rows.append([*_asked(speed, batch), ELASTIC, got(other), *lost(other["over ordinary"]), len(other["seeds"])])
        elif one:
            none = [""] * len(_lost(one["whole over ordinary"]))
            rows.append([*_asked(speed, batch), ELASTIC, f"at most {got(one['smallest'][short])}", *none, len(one["seeds"])])
    return _table(["asked", "batch", "how", "got", *_lost(languages), "seeds"], rows)


def default_sizes(sizes: Found) -> Found:
    """The elastic fine-tunings with the default share of the whole model's predictions."""
    return next(iter(sizes.values()), {})


def _asked(speed: str, batch: str) -> list[str]:
    return [f"{speed.removesuffix('x')}×", batch.replace("x", "×")]


def _lost(languages: Iterable[str]) -> list[str]:
    return [*(f"lost: {name}" for name in languages), "worst"]


def _table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return page_table(headers, rows) if rows else ""


def got(row: Found) -> str:
    """How many times as fast the plans of all seeds are: the least and the most measured, else the same predicted, with a ~."""
    for kind, mark in (("measured", ""), ("predicted", "~")):
        if found := [value for value in row[f"speedup_{kind}"] if value is not None]:
            ends = dict.fromkeys(f"{value:.2f}" for value in (min(found), max(found)))
            return mark + " to ".join(ends)
    return ""


def lost(gain: Found) -> list[str]:
    """Points lost in each language with their interval, and in the worst one."""
    return [*(_points(-row["points"], row, -1) for row in gain.values()), f"{max(-row['points'] for row in gain.values()):z.2f}"]


def _points(value: float, row: Found, sign: int) -> str:
    """Points, and the interval of a gain or, with sign -1, of a loss."""
    if row["low"] is None:
        return f"{value:z.2f}"
    low, high = sorted(sign * row[end] for end in ("low", "high"))
    return f"{value:z.2f} ({low:z.2f} to {high:z.2f})"


def rules(asked: Found) -> str:
    """Twice the speed by every rule, however finished."""
    rows, languages = [], []
    for key in CLAIMS:
        for rule, own in asked.get(key, {"rules": {}})["rules"].items():
            for arm, name in ARMS.items():
                if arm in own:
                    languages = [*own[arm]["gain"]]
                    facts = [_seconds(own["search_cpu_seconds"]), len(own[arm]["seeds"])]
                    batch = key.rpartition(", ")[2].replace("x", "×")
                    rows.append([batch, RULES[rule], name, got(own), *lost(own[arm]["gain"]), *facts])
    return _table(["batch", "rule", "how", "got", *_lost(languages), "search, s", "seeds"], rows)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def over(asked: Found) -> str:
    """What our plans gain over those of each other rule, finished alike."""
    rows, languages = [], []
    for key in CLAIMS:
        for name, facts in asked.get(key, {"joint over": {}})["joint over"].items():
            rule, arm = name.split(", ")
            languages = [*facts["gain"]]
            batch = key.rpartition(", ")[2].replace("x", "×")
            rows.append([batch, RULES[rule], ARMS[arm], *_gains(facts["gain"]), len(facts["seeds"])])
    return _table(["batch", "polyhead minus", "how", *languages, "largest p", "seeds"], rows)


def _gains(gain: Found) -> list[str]:
    """Points gained in each language with their interval, and the largest p; none where a language has none."""
    tested = [row["p_holm"] for row in gain.values() if row.get("p_holm") is not None]
    largest = f"{max(tested):.2g}" if len(tested) == len(gain) else ""
    return [*(_points(row["points"], row, 1) for row in gain.values()), largest]


def size_losses(asked: Found, whole: Found) -> str:
    """Shares of the bytes in float32 and in int8, and what each costs; first int8 alone."""
    rows, languages = [], []
    if whole:
        languages, share = [*whole["gain"]], max(whole["int8_share_of_bytes"])
        sizes = _sizes(whole["megabytes"], share)
        rows.append(["nothing", ARMS["int8"], *sizes, *lost(whole["gain"]), len(whole["seeds"])])
    for key, found in asked.items():
        own = found["rules"].get("joint")
        if own is None or "size" not in key:
            continue
        for arm, name in ARMS.items():
            if arm in own and arm != "none":
                languages = [*own[arm]["gain"]]
                shares = own["int8_share_of_bytes" if arm == "int8" else "share_of_bytes"]
                sizes = _sizes(own["megabytes"][0], max(shares))
                title = key.removeprefix("pos: ").replace("x", "×")
                rows.append([title, "float32" if arm == "refit" else name, *sizes, *lost(own[arm]["gain"]), len(own["seeds"])])
    return _table(["asked", "weights", "MB before", "MB", "share", *_lost(languages), "seeds"], rows)


def _sizes(megabytes: float, share: float) -> list[str]:
    return [f"{megabytes:.0f}", f"{share * megabytes:.0f}", f"{100 * share:.1f} %"]


def round_trips(asked: Found) -> str:
    """The greatest difference of a logit, over seeds, between a smaller tagger and what it is saved as."""
    rows, names = [], []
    for key, found in asked.items():
        own = found["rules"].get("joint", {}).get("round_trips")
        if own:
            names = [*own]
            rows.append([key.removeprefix("pos: ").replace("x", "×"), *(f"{own[name]:.1e}" for name in names)])
    return _table(["asked", *(TRIPS[name] for name in names)], rows)


def taken(asked: Found) -> str:
    """Heads and neurons that are left in each layer, means over seeds."""
    columns = {
        key.removeprefix("pos: ").replace("x", "×"): found["rules"]["joint"]
        for key, found in asked.items()
        if "joint" in found["rules"] and key.startswith("pos: ") and "size" not in key
    }
    depth = max((len(own["heads"]) for own in columns.values()), default=0)
    rows = [
        [layer, *(f"{own['heads'][layer]:.1f}, {own['neurons'][layer]:.0f}" for own in columns.values())]
        for layer in range(depth)
    ]
    return _table(["layer", *columns], rows)


def entities(asked: Found) -> str:
    """Named entities: F1 lost at twice the speed by every rule, repaired as a command repairs by default."""
    rows, languages = [], []
    for key, found in asked.items():
        if key.startswith("ner: "):
            for rule, own in found["rules"].items():
                languages = [*own["refit"]["gain"]]
                rows.append([RULES[rule], got(own), *lost(own["refit"]["gain"]), len(own["seeds"])])
    return _table(["rule", "got", *_lost(languages), "seeds"], rows)


def elastic(sizes: Found) -> str:
    """One fine-tuning for every size beside the ordinary model, and beside the same plan fine-tuned alone; in gained points."""
    rows, languages = [], []
    for share, found in sizes.items():
        weight = share.removeprefix("taught ")
        languages = [*found["whole over ordinary"]]
        gains = {"whole model": {"over ordinary": found["whole over ordinary"], "seeds": found["seeds"]}}
        gains |= {name: own for name, own in found.items() if "x." in name}
        for name, own in gains.items():
            speed, _, batch = name.partition("x.")
            title = name if not batch else f"{speed}×, {batch.replace('x', ' × ')}"
            for than, seeds in (("over ordinary", "seeds"), ("over the plan alone", "seeds alone")):
                if than in own:
                    points = [_points(row["points"], row, 1) for row in own[than].values()]
                    rows.append([title, weight, than, *points, len(own[seeds])])
    return _table(["size", "taught", "gain", *languages, "seeds"], rows)


def elastic_over(sizes: Found) -> str:
    """What the plans of one fine-tuning gain over those of each rule, distilled, with the processor minutes of both."""
    rows, languages = [], []
    for name, own in default_sizes(sizes).items():
        if "x." not in name:
            continue
        speed, _, batch = name.partition("x.")
        for rule, facts in own.get("over rules", {}).items():
            languages = [*facts["gain"]]
            minutes = [_seconds(facts["cpu_minutes"][side]) for side in ("elastic", "rule")]
            where = [f"{speed}×", batch.replace("x", " × "), RULES[rule]]
            rows.append([*where, *_gains(facts["gain"]), *minutes, len(facts["seeds"])])
    headers = ["speed", "batch", "elastic minus, distilled", *languages, "largest p", "minutes: elastic", "theirs", "seeds"]
    return _table(headers, rows)


def search_cost(shapes: Found) -> str:
    """Processor seconds and memory of whole searches."""
    rows = [
        [
            name,
            f"{own['weights'] / 1e6:.0f} M",
            own["asked"],
            f"{own['cpu_seconds']:.0f}",
            f"{own['table_cpu_seconds']:.0f}",
            f"{own['peak_megabytes']:.0f}",
        ]
        for name, own in shapes.items()
    ]
    return _table(["shape", "weights", "asked", "processor s", "of these, latency table", "peak memory, MB"], rows)
