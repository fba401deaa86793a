"""The `polyhead` command: a literal table of commands, whose modules are imported when the command runs.

Little is imported here, and the rest inside `main`, so that Ctrl-C is quiet from the start.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from polyhead.cli.exit_codes import STOPPED


class Command(NamedTuple):
    """One command: its request (imports no torch, so mistakes show at once), its function, one line of help."""

    request: str
    work: str
    summary: str


COMMANDS: dict[str, Command] = {
    "run": Command(
        "train_requests:RunRequest", "run:run", "fine-tune, rank heads, prune as many as pay off, test in other languages"
    ),
    "fit": Command("train_requests:FitRequest", "fit:fit", "fine-tune a tagger and save it"),
    "rank": Command("requests:RankRequest", "rank:rank", "score the heads of a model on labelled text"),
    "prune": Command("requests:PruneRequest", "prune:prune", "remove heads from a model for good"),
    "trim": Command("requests:TrimRequest", "trim:trim", "trim a model's vocabulary to the subwords of some languages"),
    "profile": Command("requests:ProfileRequest", "profile:profile", "measure how long a model takes by its heads and neurons"),
    "shrink": Command(
        "shrink_requests:ShrinkRequest", "shrink:shrink", "make a tagger as fast or as small as asked, at the least loss"
    ),
    "evaluate": Command("requests:EvaluateRequest", "evaluate:evaluate", "score a tagger in one or more languages"),
    "predict": Command("requests:PredictRequest", "predict:predict", "tag CoNLL-U or column text"),
    "export": Command(
        "requests:ExportRequest", "export:export", "write a model as an ONNX or OpenVINO graph, checked against it"
    ),
    "compare": Command("requests:CompareRequest", "compare:compare", "compare saved scores across methods, languages and seeds"),
    "curve": Command("requests:CurveRequest", "curve:curve", "judge rankings by the score as heads are ablated"),
    "report": Command("requests:ReportRequest", "report:report", "write one HTML page about one or several runs"),
    "study new": Command("study_requests:StudyNewRequest", "study_new:study_new", "print a study file to start from"),
    "study run": Command("study_requests:StudyRunRequest", "study_run:study_run", "run a whole grid of runs from one file"),
    "study work": Command(
        "study_requests:StudyWorkRequest", "study_work:study_work", "one more worker for the studies of a store"
    ),
    "study status": Command(
        "study_requests:StudyStatusRequest", "study_status:study_status", "say what is finished, what runs and what failed"
    ),
    "study table": Command(
        "study_table_requests:StudyTableRequest", "study_table:study_table", "print the tables of a study's finished cells"
    ),
    "study plan": Command(
        "study_table_requests:StudyPlanRequest", "study_table:study_plan", "say how many seeds a study needs for a gain"
    ),
    "study report": Command(
        "study_table_requests:StudyReportRequest", "study_table:study_report", "write one HTML page about a study"
    ),
    "study export": Command(
        "study_table_requests:StudyExportRequest",
        "study_table:study_export",
        "give a study's results to pandas, DuckDB or MLflow",
    ),
    "doctor": Command("requests:DoctorRequest", "doctor:doctor", "check gating, scoring and pruning on your own model and text"),
    "data list": Command(
        "data_requests:DataListRequest", "data_commands:data_list", "list the corpora that polyhead knows by name"
    ),
    "data get": Command("data_requests:DataGetRequest", "data_commands:data_get", "fetch corpora from their public sources"),
    "data check": Command(
        "data_requests:DataCheckRequest", "data_check:data_check", "report on labelled text before you train on it"
    ),
    "methods": Command("requests:MethodsRequest", "methods:methods", "list the ways of scoring heads and their costs"),
}


def resolve(reference: str) -> Any:
    """The object that `module:name` names in `polyhead.cli`; imports the module."""
    module, _, name = reference.partition(":")
    return getattr(import_module(f"polyhead.cli.{module}"), name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1, 2, 3 or 130 as `polyhead --help` says."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # what the terminal's encoding lacks is written as an escape
                stream.reconfigure(errors="backslashreplace")
        code: int = resolve("dispatch:dispatch")(argv)
        return code
    except KeyboardInterrupt:
        print("polyhead: interrupted", file=sys.stderr)
        return STOPPED
