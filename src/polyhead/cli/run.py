"""`polyhead run`: the main job, end to end."""

from polyhead.cli.console import Console, met
from polyhead.cli.exit_codes import DONE
from polyhead.cli.inputs import note_sources, set_threads, zero_everywhere
from polyhead.cli.outputs import check_folder
from polyhead.cli.train_requests import RunRequest
from polyhead.data.references import references
from polyhead.data.tasks import task as find_task
from polyhead.report.document import document_json
from polyhead.report.finished_run import HEADS, RESULT
from polyhead.report.html_page import PAGE
from polyhead.report.notes import claim
from polyhead.report.page import headline
from polyhead.report.reading import gains
from polyhead.report.record import RANKED
from polyhead.report.tables import contrast_table, control_table, score_table
from polyhead.studies.run import run as run_study


def run(request: RunRequest, console: Console) -> int:
    """The study, then its tables."""
    settings = request.settings
    check_folder("--out", request.out)
    set_threads(request.machine.threads)
    note_sources(references(settings.sources, "source"), console, holds_out=True)
    record = run_study(
        settings,
        out=request.out,
        seeds=request.chosen_seeds,
        controls=request.chosen_controls,
        head_analysis=request.head_analysis,
        text=not request.no_text,
        device=request.machine.device,
        progress=console.progress,
        command=console.command,
    )
    for data in record.data:
        console.repairs(
            f"{data.name} {data.split}", data.repairs | met(data.encoding.model_dump(), unit=find_task(record.settings.task).unit)
        )
    console.note(zero_everywhere(find_task(settings.task), [row.unpruned for row in gains(record, RANKED)]))
    parts = [headline(record), claim(record), score_table(record), control_table(record), contrast_table(record)]
    left = {"page": PAGE, "report": "report.md", "pruned model": "model", "record": RESULT, "heads": HEADS}
    paths = "\n".join(f"{what}: {request.out / name}" for what, name in left.items() if (request.out / name).exists())
    console.result(document_json(record), "\n\n".join(part for part in [*parts, paths] if part))
    return DONE
