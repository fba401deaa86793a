"""`polyhead report`: one page about one run or several, and the same as Markdown and pictures."""

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.outputs import check_file, check_folder
from polyhead.cli.requests import ReportRequest
from polyhead.core.errors import SettingError
from polyhead.core.files import write_text_atomic
from polyhead.report.curves import read_curve
from polyhead.report.finished_run import finished_runs
from polyhead.report.html_page import PAGE, html_page
from polyhead.report.markdown_page import markdown_page
from polyhead.report.picture_files import write_pictures


def report(request: ReportRequest, console: Console) -> int:
    """Read every run before writing anything; then write the page, the Markdown and the pictures."""
    gc.disable()  # it would visit the millions of numbers just read again and again
    try:
        runs = finished_runs(request.runs)
    finally:
        gc.enable()
    curves = [read_curve(path) for path in request.curve]
    out = request.out or (runs[0].folder / PAGE if len(runs) == 1 else Path(PAGE))
    _check_places(request, out)
    text = html_page(runs, curves=curves, text=not request.no_text)
    write_text_atomic(out, text)
    left: dict[str, Any] = {"page": str(out)}
    if request.markdown is not None:
        write_text_atomic(request.markdown, markdown_page(runs, curves=curves))
        left["markdown"] = str(request.markdown)
    if request.pictures is not None:
        left["pictures"] = [str(path) for path in write_pictures(runs, curves, request.pictures)]
    for run in runs:
        if run.heads is None:
            console.note(f"note: {run.name}: has no heads.json; run the same polyhead run command again to add it")
    console.result(left, _text(left))
    return DONE


def _text(left: Mapping[str, Any]) -> str:
    lines = [f"page: {left['page']}"] + ([f"markdown: {left['markdown']}"] if "markdown" in left else [])
    return "\n".join([*lines, *(f"picture: {path}" for path in left.get("pictures", ()))])


def _check_places(request: ReportRequest, out: Path) -> None:
    """No input may be overwritten, and no two results may share a file."""
    for option, path, others in (("--out", out, []), ("--markdown", request.markdown, [out])):
        if path is None:
            continue
        if path.suffix in (".json", ".tsv", ".safetensors"):
            raise SettingError(f"{option} {path}: would be overwritten with a page; give a name that ends with .html or .md")
        check_file(option, path, others=[*request.curve, *others])
    if request.pictures is not None:
        check_folder("--pictures", request.pictures)
