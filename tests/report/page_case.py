"""Run folders on disk for tests of the page: a record of two seeds with a control, and the profile of its heads."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from report.profile_case import Encoder, drawn_profile

from polyhead.report.document import document_json, read_document, write_document
from polyhead.report.finished_run import FinishedRun, finished_run
from polyhead.report.heads_form import HeadsRecord
from polyhead.report.record import RunRecord

sys.path.insert(0, str(Path(__file__).parent))
from record_case import COST, ranking_cost, record

ODD = 'x=<b>&"/test.conllu'
TARGETS = (("ud/de_gsd", "de"), ("ud/ar_padt", "ar"), ("ud/he_htb", "he"), ("ud/zh_gsdsimp", "zh-Hans"), (ODD, "nl"))
PageOf = Callable[[str], Path]  # the page of a name, as the fixture page_of gives it
_SEEDS = (42, 43, 44, 45, 46)


def write_run(
    folder: Path,
    *,
    seed: int = 0,
    profile: bool = True,
    model_hash: str = "a" * 64,
    controls: bool = True,
    method: str = "gradient",
    shape: tuple[int, int] = (6, 8),
    missing: tuple[tuple[int, int], ...] = (),
) -> Path:
    """The folder, with `result.json` and, if wanted, `heads.json`; `missing` are heads that the encoder does not have."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    encoder = Encoder(random, method, shape, missing)
    arms = ["ranked", *(["random"] if controls else [])]
    unpruned = {own: random.normal(np.resize([61, 44, 47, 39, 58], len(TARGETS)), 1.0) for own in _SEEDS}
    cells = [_cell(encoder, number, arm, unpruned[number]) for arm in arms for number in _SEEDS]
    facts = {
        "command": "polyhead run --model mini",
        "date": "2026-01-02T03:04:05+00:00",
        "model_hash": model_hash,
        "data": [],
        "cost": COST | {"all_heads_weights": 1572864, "model_weights": 9994705, "embedding_weights": 5120000},
        "seconds": 300.0,
    }
    rows = [row for arm in arms for row in _statistics(random, arm, [own for own in cells if own["arm"] == arm])]
    targets = [name for name, _ in TARGETS]
    run = record(*cells, controls=arms[1:], statistics=rows, facts=facts, targets=targets, method=method)
    write_document(folder / "result.json", run)
    if profile:
        names = {language: name for name, language in TARGETS} | {"en": "ud/en_ewt"}
        write_document(folder / "heads.json", drawn_profile(encoder, names, model_hash=model_hash))
    return folder


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> FinishedRun:
    """The run in a folder after a change of its `result.json`."""
    path = folder / "result.json"
    content = document_json(read_document(path, RunRecord))
    change(content)
    body = {key: value for key, value in content.items() if key not in ("schema", "sha256")}
    write_document(path, RunRecord.model_validate_json(json.dumps(body)))
    return finished_run(folder)


def write_many(folder: Path, n: int) -> list[Path]:
    """Runs of one encoder, each in its own folder."""
    return [write_run(folder / f"run-{number}", seed=number) for number in range(n)]


def _cell(encoder: Encoder, seed: int, arm: str, unpruned: np.ndarray[Any, Any]) -> dict[str, Any]:
    """One fine-tuning's; the unpruned scores are of the seed, whatever the arm."""
    random, scores = encoder.random, encoder.scores()
    addresses = zip(*np.unravel_index(np.argsort(scores, axis=None, kind="stable"), encoder.shape), strict=True)
    order = [f"{i}.{j}" for i, j in addresses if (i, j) not in encoder.missing]
    gains = random.normal(0.1 if arm == "ranked" else -0.2, 0.3, len(TARGETS))
    dev = 90.0 + random.normal(0, 0.2)
    return {
        "seed": seed,
        "arm": arm,
        "fit": "0123456789abcdef",
        "scores": encoder.matrix(scores),
        "ranking": order,
        "ranking_cost": ranking_cost(encoder.method),
        "screen": [round(dev - 0.4 - 0.01 * k**2, 3) for k in range(13)],
        "trials": [
            {"k": k, "heads": order[:k], "dev": round(dev - 0.1 * abs(k - 4), 3), "seconds": 60.0 - k} for k in (0, 4, 12)
        ],
        "chosen": 4,
        "chosen_reason": "highest dev score",
        "standard_error": None,
        "fine_tunings": 3,
        "targets": [
            {
                "name": name,
                "language": language,
                "n_words": 9000 + 431 * place,
                "k": 4,
                "unpruned": {"accuracy": float(unpruned[place]), "macro_f1": float(unpruned[place]) - 9},
                "pruned": {"accuracy": float(unpruned[place] + gains[place]), "macro_f1": float(unpruned[place]) - 8.8},
            }
            for place, (name, language) in enumerate(TARGETS)
        ],
    }


def _statistics(random: np.random.Generator, arm: str, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every target and their mean: the mean gain of the arm's cells, inside its interval."""
    rows: list[dict[str, Any]] = []
    for place, (name, language) in enumerate(TARGETS):
        own = [cell["targets"][place] for cell in cells]
        p = round(float(random.uniform(0.01, 0.6)), 4)
        gain = float(np.mean([_gain(target) for target in own]))
        rows.append(_row(random, arm, language, gain, 0.4) | {"name": name, "p": p, "p_holm": min(1.0, 6 * p)})
    return [*rows, _row(random, arm, "mean", float(np.mean([row["gain"] for row in rows])), 0.2)]


def _row(random: np.random.Generator, arm: str, language: str, gain: float, width: float) -> dict[str, Any]:
    half = float(random.uniform(width / 2, width))
    return {
        "arm": arm,
        "name": None,
        "language": language,
        "gain": gain,
        "n_seeds": len(_SEEDS),
        "by_seed": [gain] * len(_SEEDS),
        "standard_error": half / 2.776,
        "degrees_of_freedom": 4.0,
        "interval": [gain - half, gain + half],
        "p": 0.04,
        "p_holm": 0.24,
        "detectable_gain": 1.3 * half,
        "none_pruned": False,
        "noise": None,
        "gain_minus_noise": None,
    }


def _gain(target: Mapping[str, Any]) -> float:
    return float(target["pruned"]["accuracy"] - target["unpruned"]["accuracy"])


def give_two_methods(folder: Path) -> Path:
    """The run's folder, now with a profile by two methods, though it ranked by a third; one score is tiny."""
    edited(folder, lambda record: [cell["ranking_cost"].update(method="shapley") for cell in record["cells"]])
    heads = read_document(folder / "heads.json", HeadsRecord)
    languages = []
    for own in heads.languages:
        gradient = [list(row) for row in own.scores["gradient"]]
        ablation = [[None if value is None else 0.5 + value for value in row] for row in gradient]
        gradient[3][5] = 1.2e-9
        languages.append(own.model_copy(update={"scores": {"gradient": gradient, "ablation": ablation}}))
    write_document(folder / "heads.json", heads.model_copy(update={"languages": languages}))
    return folder
