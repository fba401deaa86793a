"""`polyhead study table`, `plan`, `report` and `export`: what a study's finished cells say, without running anything."""

from collections.abc import Collection
from pathlib import Path

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.outputs import check_file
from polyhead.cli.study_table_requests import StudyExportRequest, StudyPlanRequest, StudyReportRequest, StudyTableRequest
from polyhead.core.errors import SettingError, StoreError, allowed_names
from polyhead.core.files import write_text_atomic
from polyhead.core.values import counted
from polyhead.report.html_page import PAGE
from polyhead.report.printed_table import FORMATS, as_markdown, json_tables
from polyhead.report.study_export import write_jsonl, write_mlflow
from polyhead.report.study_page import study_markdown, study_page
from polyhead.report.study_record import StudyCellRecord, read_cells
from polyhead.report.study_scores import study_scores
from polyhead.report.study_seeds import seeds_table
from polyhead.report.study_tables import study_tables
from polyhead.report.study_view import View
from polyhead.studies.study_costs import cost_table
from polyhead.studies.study_folder import studies_of

_Request = StudyTableRequest | StudyPlanRequest | StudyReportRequest | StudyExportRequest


def study_table(request: StudyTableRequest, console: Console) -> int:
    """Print the tables or write them to a file."""
    if request.out is not None:
        check_file("--out", request.out, others=[])
    cells = _cells(request, console)
    view = _view(cells, request, families=request.families)
    if request.layout == "cost":
        tables = [cost_table(cells)]
        if request.table not in (None, "cost"):
            raise SettingError(f"--table {request.table}: {allowed_names(request.table, ['cost'])}")
    else:
        tables = study_tables(cells, view, layout=request.layout, only=request.table)
    if not tables:
        more = "" if request.layout == "long" else "; try --layout long"
        raise StoreError(f"{request.store}: its cells fill none of the tables of layout {request.layout}{more}")
    text = FORMATS[request.format](tables)
    if request.out is not None:
        write_text_atomic(request.out, text)
        console.result({"file": str(request.out), "tables": [table.name for table in tables]}, f"tables: {request.out}")
    else:
        console.result(json_tables(tables), text.rstrip("\n"))
    return DONE


def study_plan(request: StudyPlanRequest, console: Console) -> int:
    """Print the seeds that are needed."""
    cells = _cells(request, console)
    table = seeds_table(study_scores(cells, _view(cells, request)), request.gain)
    console.result(json_tables([table]), as_markdown([table]).rstrip("\n"))
    return DONE


def study_report(request: StudyReportRequest, console: Console) -> int:
    """Write the page, and its Markdown if asked."""
    out = request.out or request.store / PAGE
    for option, path, others in (("--out", out, []), ("--markdown", request.markdown, [out])):
        if path is not None:
            check_file(option, path, others=others)
    cells = _cells(request, console)
    view = _view(cells, request)
    name = request.store.resolve().name
    write_text_atomic(out, study_page(cells, view, name=name))
    left = {"page": str(out)}
    if request.markdown is not None:
        write_text_atomic(request.markdown, study_markdown(cells, view, name=name))
        left["markdown"] = str(request.markdown)
    console.result(left, "\n".join(f"{what}: {path}" for what, path in left.items()))
    return DONE


def study_export(request: StudyExportRequest, console: Console) -> int:
    """Write the rows, or the runs that MLflow does not have."""
    if request.to == "jsonl":
        check_file("OUT", Path(request.out), suffixes=(".jsonl",))
    cells = _cells(request, console)
    if request.to == "jsonl":
        n, what = write_jsonl(Path(request.out), cells), "row"
    else:
        n, what = write_mlflow(request.out, cells, experiment=request.experiment or request.store.resolve().name), "new run"
    console.result({"to": request.to, "out": request.out, "rows": n}, f"{request.to}: {counted(n, what)} in {request.out}")
    return DONE


def _cells(request: _Request, console: Console) -> list[StudyCellRecord]:
    """The finished cells of the studies; damaged ones are said and left out."""
    store, found = request.store, []
    studies = studies_of(store, request.study) if request.study else {}
    wanted = {cell.fingerprint for study in studies.values() for cell in study.cells}

    def left_out(error: StoreError) -> None:
        console.note(f"left out: {str(error).removesuffix(': delete it and run again')}; polyhead study run makes the cell again")

    for cell in read_cells(store, on_damaged=left_out):
        if studies and cell.name not in wanted:
            continue
        try:
            cell.check_counts()
            found.append(cell)
        except StoreError as error:
            left_out(error)
    if studies and not found:
        raise StoreError(f"{store}: no cell of {' or '.join(studies)} has finished; see polyhead study status {store}")
    if not found:
        raise StoreError(f"{store}: all its cells are damaged; start the study again, which makes them anew")
    return found


def _view(
    cells: Collection[StudyCellRecord],
    request: StudyTableRequest | StudyPlanRequest | StudyReportRequest,
    *,
    families: bool = False,
) -> View:
    known = {name for cell in cells for target in cell.cell.targets for name in (target, cell.language[target])}
    if strange := [name for name in request.without if name not in known]:
        raise SettingError(f"--without {strange[0]}: no target of these cells; they have {', '.join(sorted(known))}")
    if not any({target, cell.language[target]}.isdisjoint(request.without) for cell in cells for target in cell.cell.targets):
        raise SettingError(
            f"--without {' '.join(request.without)}: leaves no target; these cells have {', '.join(sorted(known))}"
        )
    if isinstance(request, StudyPlanRequest):
        return View(metric=request.metric, without=frozenset(request.without))
    return View(request.objective, request.k, request.metric, frozenset(request.without), families)
