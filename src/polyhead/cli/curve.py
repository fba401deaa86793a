"""`polyhead curve`: how good orders of heads are, against random orders, the reversed order and an oracle."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console, wrapped
from polyhead.cli.exit_codes import DONE
from polyhead.cli.inputs import LabelledSample, few_sentences, labelled_sample
from polyhead.cli.outputs import check_folder
from polyhead.cli.requests import CurveRequest
from polyhead.core.errors import SettingError
from polyhead.core.files import write_json_atomic, write_text_atomic
from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.progress import Progress
from polyhead.core.store import RunStore
from polyhead.core.values import fingerprint, jsonable
from polyhead.data.sampling import halves, sampled
from polyhead.importance.methods import METHODS
from polyhead.learning.inference import Labelled
from polyhead.models.environment import environment
from polyhead.models.model_heads import head_mask
from polyhead.report.curve_text import curve_page, curve_text
from polyhead.report.curves import curve_chart
from polyhead.report.pictures import write_picture
from polyhead.selection.curves import Curve, crossed_curves, default_depth, pruning_curves
from polyhead.selection.judged_orders import Order, orders, read_files
from polyhead.selection.order_quality import areas
from polyhead.selection.resampling import DRAWS, LEVEL
from polyhead.selection.score_files import other_model
from polyhead.studies.crossed_orders import Halves, check_methods, method_orders, oracle_order
from polyhead.studies.tagger import Tagger


def curve(request: CurveRequest, console: Console) -> int:
    """Read, order, ablate, compare; write what is asked for; print the tables."""
    started = time.perf_counter()
    if not (request.scores or request.method):
        raise SettingError("no order to judge: name score files by --scores, methods by --method, or both")
    check_methods(request.method, request.normalise)
    if request.out is not None:
        check_folder("--out", request.out)
    files = read_files(request.scores)
    sample = labelled_sample(request, console, needs_labels=True, may_be_new=False, unknown="counted as wrong")
    present = head_mask(sample.tagger.model)
    for path, scores in files.values():
        console.note(other_model(path, scores, model=request.model))
    n_read = {name: _n_read(scores, request, sample) for name, (_, scores) in files.items()}
    judged = orders(
        files,
        n_read=n_read,
        normalisation=request.normalise,
        n_random=request.random_seeds,
        seed=request.seed,
        model=request.model,
        present=present,
    )
    settings = _settings(request, sample, judged, _depth(request, present))
    with nullcontext() if request.out is None else RunStore(request.out, settings):
        if sample.data.split == "test":
            console.note("note: these curves are on a test split; choose between orders on dev and report the chosen one here")
        console.note(few_sentences(sample.data))
        data = sample.labelled
        parts = halves(len(sample.data.sentences), seed=request.seed) if request.method or request.oracle else ([], [])
        judged = [*_ranked_here(request, sample, data, parts, files, settings["max_pruned"], console.progress), *judged]
        if request.oracle:
            judged.append(
                oracle_order(
                    sample.tagger,
                    data,
                    parts,
                    depth=settings["max_pruned"],
                    candidates=request.candidates,
                    seed=request.seed,
                    progress=console.progress,
                    resume_file=_unfinished(request),
                )
            )
        curves = _curves(sample.tagger, data, judged, parts, settings["max_pruned"], console.progress)
        document = _document(request, sample, settings, judged, curves)
        document = jsonable(document | {"command": console.command, "seconds": time.perf_counter() - started})
        if request.out is not None:
            _leave(request.out, document)
    console.result(document, wrapped(curve_text(document)))
    return DONE


def _n_read(scores: HeadScores, request: CurveRequest, sample: LabelledSample) -> int:
    """How many of the sentences to judge a ranking has read with their labels, by what its file says of its text."""
    row = METHODS.get(scores.method)
    sha256 = sample.data.sha256
    if not sha256 or sha256 not in scores.data_hash.split("+") or (row is not None and not row.needs_labels):
        return 0
    limit, seed = scores.settings.get("limit"), scores.settings.get("seed", request.seed)
    theirs = sampled(sample.n_available, limit if isinstance(limit, int) else None, seed=seed if isinstance(seed, int) else 0)
    return len({*theirs} & {*sampled(sample.n_available, request.limit, seed=request.seed)})


def _ranked_here(
    request: CurveRequest,
    sample: LabelledSample,
    data: Labelled,
    parts: Halves,
    files: Mapping[str, object],
    depth: int,
    progress: Progress,
) -> list[Order]:
    """The orders of the methods that the command names."""
    return [
        order
        for name in dict.fromkeys(request.method)
        for order in method_orders(
            name,
            sample.tagger,
            data,
            parts,
            called=f"{name} (ranked here)" if name in files else name,
            depth=depth,
            normalisation=request.normalise,
            seed=request.seed,
            progress=progress,
            resume_file=_unfinished(request),
        )
    ]


def _unfinished(request: CurveRequest) -> Callable[[str], Path] | None:
    """The file of unfinished work in the folder of results, by the name of the work."""
    folder = request.out
    return None if folder is None else lambda name: folder / f"{name}.partial"


def _curves(
    tagger: Tagger, data: Labelled, judged: Sequence[Order], parts: Halves, depth: int, progress: Progress
) -> dict[str, Curve]:
    """A curve for every order, by key."""
    found: dict[str, Curve] = {}
    options: dict[str, Any] = {"max_pruned": depth, "precision": tagger.precision, "progress": progress}
    model_and_data = (tagger.model, data, tagger.task, tagger.labels)
    if whole := {order.key: order.heads for order in judged if order.crossed is None}:
        found |= pruning_curves(*model_and_data, whole, **options)
    if crossed := {order.key: (order.heads, order.crossed) for order in judged if order.crossed is not None}:
        found |= crossed_curves(*model_and_data, crossed, parts, **options)
    return found


def _depth(request: CurveRequest, present: HeadMask) -> int:
    depth = default_depth(present) if request.max_pruned is None else request.max_pruned
    if not 1 <= depth <= present.n_kept:
        raise SettingError(f"--max-pruned {depth}: {request.model} has {present.n_kept} heads; give 1 to {present.n_kept}")
    return depth


def _leave(folder: Path, document: Mapping[str, Any]) -> None:
    write_json_atomic(folder / "curve.json", document)  # first: the picture engine is native code, which can end the process
    picture = write_picture(folder / "curve.svg", lambda altair: curve_chart(altair, document))
    write_text_atomic(folder / "curve.md", curve_page(document, picture=None if picture is None else picture.name))


def _settings(request: CurveRequest, sample: LabelledSample, judged: Sequence[Order], depth: int) -> dict[str, Any]:
    """What a folder of results is for; methods and the oracle may be added to it later."""
    data, tagger = sample.data, sample.tagger
    return {
        "model": request.model,
        "revision": request.revision,
        "task": tagger.task.name,
        "data": {"split": data.split, "sha256": data.sha256, "sentences": len(data.sentences), "limit": request.limit},
        "orders": {order.key: fingerprint([str(head) for head in order.heads]) for order in judged},
        "normalisation": request.normalise,
        "max_pruned": depth,
        "seed": request.seed,
        "precision": tagger.precision,
        "anchor": tagger.anchor,
        "max_length": tagger.max_length,
    }


def _document(
    request: CurveRequest,
    sample: LabelledSample,
    settings: Mapping[str, Any],
    judged: Sequence[Order],
    curves: Mapping[str, Curve],
) -> dict[str, Any]:
    data, tagger, depth = sample.data, sample.tagger, settings["max_pruned"]
    labelled = sum(label is not None for gold in sample.labelled.gold for label in gold)
    return {
        "schema": 1,
        "model": request.model,
        "task": tagger.task.name,
        "main_metric": tagger.task.metric,
        "data": sample.facts | {"language": data.language, "words": labelled, "sha256": data.sha256},
        "max_pruned": depth,
        "seed": request.seed,
        "draws": DRAWS,
        "level": LEVEL,
        "settings": settings,
        "orders": [
            {
                "group": order.group,
                "name": order.name,
                "direction": order.direction,
                "seed": order.seed,
                "file": order.file,
                "read": order.n_read,
                "heads": [str(head) for head in order.heads[:depth]],
                "heads_of_other_half": order.crossed and [str(head) for head in order.crossed[:depth]],
                "scores": 100 * curves[order.key].scores,
            }
            for order in judged
        ],
        "areas": areas(judged, curves, tagger.task, seed=request.seed),
        "environment": environment(tagger.device, tagger.precision),
    }
