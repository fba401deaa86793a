"""`polyhead curve`: how good orders of heads are, against random orders, the reversed order and an oracle."""

import time
from collections.abc import Mapping, Sequence
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
from polyhead.core.heads import HeadMask
from polyhead.core.store import RunStore
from polyhead.core.values import fingerprint, jsonable
from polyhead.learning.inference import Labelled
from polyhead.models.architectures import head_mask
from polyhead.models.environment import environment
from polyhead.report.curve_text import curve_page, curve_text
from polyhead.report.curves import curve_chart
from polyhead.report.pictures import write_picture
from polyhead.selection.curves import Curve, default_depth
from polyhead.selection.judged_orders import Order, judged_orders, orders, read_files
from polyhead.selection.order_quality import areas
from polyhead.selection.resampling import DRAWS, LEVEL
from polyhead.selection.score_files import other_model


def curve(request: CurveRequest, console: Console) -> int:
    """Read, order, ablate, compare; write what is asked for; print the tables."""
    started = time.perf_counter()
    if request.out is not None:
        check_folder("--out", request.out)
    files = read_files(request.scores)
    sample = labelled_sample(request, console, needs_labels=True, may_be_new=False, unknown="counted as wrong")
    tagger = sample.tagger
    present = head_mask(tagger.model)
    for path, scores in files.values():
        console.note(other_model(path, scores, model=request.model))
    judged = orders(
        files,
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
        judged, curves = judged_orders(
            tagger.model,
            Labelled(sample.encoded, [sentence.labels for sentence in sample.data.sentences]),
            tagger.task,
            tagger.labels,
            judged,
            precision=tagger.precision,
            depth=settings["max_pruned"],
            with_oracle=request.oracle,
            oracle_file=None if request.out is None else request.out / "oracle.partial",
            progress=console.progress,
        )
        document = _document(request, sample, settings, judged, curves)
        document = jsonable(document | {"command": console.command, "seconds": time.perf_counter() - started})
        if request.out is not None:
            _leave(request.out, document)
    console.result(document, wrapped(curve_text(document)))
    return DONE


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


def _settings(request: CurveRequest, sample: LabelledSample, judged: Sequence[Order], depth: int) -> dict[str, Any]:
    """What a folder of results is for; the oracle may be added to it later."""
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
    labelled = sum(label is not None for sentence in data.sentences for label in sentence.labels)
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
                "ranked_on_this_text": bool(data.sha256) and data.sha256 in order.data_hash.split("+"),
                "heads": [str(head) for head in order.heads[:depth]],
                "scores": 100 * curves[order.key].scores,
            }
            for order in judged
        ],
        "areas": areas(judged, curves, tagger.task, seed=request.seed),
        "environment": environment(tagger.device, tagger.precision),
    }
