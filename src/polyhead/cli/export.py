"""`polyhead export`: a model as a graph for ONNX Runtime or OpenVINO."""

from dataclasses import asdict
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.inputs import note_reading, reader, set_threads, task_for
from polyhead.cli.outputs import check_folder
from polyhead.cli.requests import ExportRequest
from polyhead.core.errors import SettingError
from polyhead.data.references import references
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.models.graphs import check_exporter
from polyhead.report.tables import markdown, shown_number, title
from polyhead.studies.exporting import ExportRecord
from polyhead.studies.exporting import export as export_model
from polyhead.studies.tagger import Tagger


def export(request: ExportRequest, console: Console) -> int:
    """Export, compare, score; print what agrees and what is lost."""
    check_exporter(request.to)
    check_folder("--out", request.out, new=True)
    set_threads(request.threads)
    model: Tagger | str = request.model
    datasets: list[Dataset] = []
    if request.target:
        task = task_for(request, console)
        model = Tagger.load(request.model, task=task, device="cpu", precision="fp32", revision=request.revision)
        files = reader(request, task)
        named = references(request.target, "target")
        datasets = [sample(files.open(reference, request.split), request.limit, seed=request.seed) for reference in named]
        note_reading(console, *datasets)
    elif request.task is not None:
        raise SettingError(f"--task {request.task.name}: says what to score; give --target REF with it, or leave it out")
    record = export_model(
        model,
        request.out,
        to=request.to,
        mask=request.mask,
        int8=request.int8,
        data=datasets,
        revision=request.revision,
        progress=console.progress,
    )
    size = sum(path.stat().st_size for path in request.out.glob(f"{record.file.partition('.')[0]}.*"))
    scores = [_points(score) for score in map(asdict, record.scores)]
    if record.masks and record.mask is None:
        console.note(
            f"note: exported with all heads, of a model with masks for {', '.join(record.masks)}; choose one with --mask"
        )
    document = {
        "schema": 1,
        "model": request.model,
        "out": str(request.out),
        "to": record.to,
        "file": record.file,
        "mask": record.mask,
        "int8": record.int8,
        "bytes": size,
        "kept_per_layer": record.kept_per_layer,
        "shapes": record.shapes,
        "difference": record.difference,
        "int8_difference": record.int8_difference,
        "scores": scores,
        "versions": record.versions,
    }
    console.result(document, _text(record, str(request.out), size, scores))
    return DONE


def _points(score: dict[str, Any]) -> dict[str, Any]:
    model, graph = 100 * score["model"], 100 * score["graph"]
    return score | {"model": model, "graph": graph, "lost": model - graph}


def _text(record: ExportRecord, out: str, size: int, scores: list[dict[str, Any]]) -> str:
    kind = f"{record.to}{', int8' if record.int8 else ''}"
    lines = [
        f"exported {out}: {record.file} ({kind}, {size / 1e6:.1f} MB), {sum(record.kept_per_layer)} heads",
        f"outputs agree with the model's to {record.difference:.1g} on {len(record.shapes)} shapes of batches",
    ]
    if record.int8_difference is not None:
        lines[1] += f"; int8 changes them by up to {record.int8_difference:.2g}"
    if scores:
        what = "int8" if record.int8 else record.to
        rows = [[s["data"], s["language"], *(shown_number(s[name]) for name in ("model", "graph", "lost"))] for s in scores]
        metric = title(scores[0]["metric"])
        table = markdown(["target", "language", f"{metric}: model", what, "lost"], rows)
        lines += ["", table, "", "in points, 0 to 100"]
    elif record.int8:
        lines.append("give --target to see what int8 costs in scores")
    return "\n".join(lines)
