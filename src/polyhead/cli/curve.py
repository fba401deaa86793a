"""`polyhead curve`: how good orders of heads are, beside random ones, their own other end, and an oracle."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console, met, wrapped
from polyhead.cli.inputs import (
    check_shared,
    few_sentences,
    note_reading,
    one_dataset,
    one_reference,
    opened,
    other_words,
    predicted_types,
    set_threads,
)
from polyhead.cli.result_requests import CurveRequest
from polyhead.core.errors import SettingError
from polyhead.core.files import write_json_atomic, write_text_atomic
from polyhead.core.heads import HeadMask
from polyhead.core.store import RunStore
from polyhead.core.values import fingerprint, jsonable
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import Task
from polyhead.data.tasks import task as find_task
from polyhead.models.architectures import head_mask
from polyhead.models.environment import environment
from polyhead.report.curve_text import curve_page, curve_text
from polyhead.report.curves import curve_chart
from polyhead.report.pictures import write_picture
from polyhead.selection.curves import Curve, default_depth
from polyhead.selection.judged_orders import Order, orders, read_files
from polyhead.selection.order_quality import areas, judged_orders
from polyhead.selection.score_files import other_model
from polyhead.selection.statistics import DRAWS, LEVEL
from polyhead.studies.tagger import Tagger


def curve(request: CurveRequest, console: Console) -> int:
    """Read, order, ablate, compare; write what is asked for; print the tables."""
    started = time.perf_counter()
    task = find_task(request.task)
    set_threads(request.machine.threads)
    files = read_files(request.scores)
    tagger, data = _opened(request, task, console)
    present = head_mask(tagger.model)
    for path, scores in files.values():
        if note := other_model(path, scores, model=request.model):
            console.note(note)
    judged = orders(
        files,
        normalisation=request.normalise,
        n_random=request.random_seeds,
        seed=request.seed,
        model=request.model,
        present=present,
    )
    settings = _settings(request, data, tagger, judged, _depth(request, present))
    labelled = tagger.labelled(data)
    encoded = labelled.encoded
    counts = {"unknown_labels": encoded.counts.unknown_labels, "truncated_words": encoded.counts.truncated_words}
    note_reading(console, data)
    console.repairs(data.name, met(counts))
    with ExitStack() as stack:
        if request.out is not None:
            stack.enter_context(RunStore(request.out, settings))
        if note := few_sentences(data):
            console.note(note)
        judged, curves = judged_orders(
            tagger.model,
            labelled,
            task,
            tagger.labels,
            judged,
            precision=tagger.precision,
            depth=settings["max_pruned"],
            with_oracle=request.oracle,
            oracle_file=None if request.out is None else request.out / "oracle.partial",
            progress=console.progress,
        )
        document = _document(request, task, tagger, data, settings, judged, curves)
        document = jsonable(document | {"command": console.command, "seconds": time.perf_counter() - started})
        if request.out is not None:
            _leave(request.out, document)
    console.result(document, wrapped(curve_text(document)))
    return 0


def _opened(request: CurveRequest, task: Task, console: Console) -> tuple[Tagger, Dataset]:
    """The model and the labelled text, and a note on what a reader of the result should know of them."""
    reference = one_reference(request.data, corpus=request.corpus, language=request.language)
    reader = request.files.reader(task, request.data, kept=predicted_types(request.model, request.revision))
    data = one_dataset(reader, reference, request.split, labelled=True, limit=request.limit, seed=request.seed)
    device, revision = request.machine.device, request.revision
    tagger = opened(request.model, request.reading, task=task, device=device, revision=revision)
    check_shared(tagger, data)
    if note := other_words(tagger, reference.words):
        console.note(note)
    if data.split == "test":
        console.note("note: these curves are on a test split; choose between orders on dev and report the chosen one here")
    return tagger, data


def _depth(request: CurveRequest, present: HeadMask) -> int:
    depth = default_depth(present) if request.max_pruned is None else request.max_pruned
    if not 1 <= depth <= present.n_kept:
        raise SettingError(f"--max-pruned {depth}: {request.model} has {present.n_kept} heads; give 1 to {present.n_kept}")
    return depth


def _leave(folder: Path, document: Mapping[str, Any]) -> None:
    picture = write_picture(folder / "curve.svg", lambda altair: curve_chart(altair, document))
    write_text_atomic(folder / "curve.md", curve_page(document, picture=None if picture is None else picture.name))
    # last: if this file exists, so do the others
    write_json_atomic(folder / "curve.json", document)


def _settings(request: CurveRequest, data: Dataset, tagger: Tagger, judged: Sequence[Order], depth: int) -> dict[str, Any]:
    """What a folder of results is for; the oracle may be added to it later."""
    return {
        "model": request.model,
        "revision": request.revision,
        "task": request.task,
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
    task: Task,
    tagger: Tagger,
    data: Dataset,
    settings: Mapping[str, Any],
    judged: Sequence[Order],
    curves: Mapping[str, Curve],
) -> dict[str, Any]:
    depth = settings["max_pruned"]
    return {
        "schema": 1,
        "model": request.model,
        "task": task.name,
        "main_metric": task.metric,
        "data": {
            "name": data.name,
            "split": data.split,
            "language": data.language,
            "sentences": len(data.sentences),
            "words": sum(label is not None for sentence in data.sentences for label in sentence.labels),
            "sha256": data.sha256,
        },
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
                "ranked_on_this_text": bool(data.sha256) and data.sha256 in order.data_hash.split("+"),
                "heads": [str(head) for head in order.heads[:depth]],
                "scores": 100 * curves[order.key].scores,
            }
            for order in judged
        ],
        "areas": areas(judged, curves, task, seed=request.seed),
        "environment": environment(tagger.device, tagger.precision),
    }
