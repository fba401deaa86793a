"""`report.html`: one self-contained page about one or several runs; it needs no network."""

import base64
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from polyhead.core.errors import PolyheadError, SettingError
from polyhead.core.files import write_text_atomic
from polyhead.report.charts import gain_chart, trial_chart
from polyhead.report.curves import area_table, curve_chart
from polyhead.report.finished_run import FinishedRun, finished_run
from polyhead.report.head_facts import head_facts
from polyhead.report.notes import claim
from polyhead.report.packing import page_data
from polyhead.report.page import headline, page_title, ranking_line, score_sections, source_sections
from polyhead.report.pictures import drawing_library, svg_text
from polyhead.report.rank_agreement import RankAgreement, between_runs, method_note, within_run
from polyhead.report.run_tables import gains_table, runs_table

logger = logging.getLogger(__name__)

PAGE: Final = "report.html"

# Bytes of a page, a little under what mail and review tools still show: of one run, and of any number of runs.
_LARGEST_OF_ONE: Final = 1_450_000
_LARGEST: Final = 4_900_000
_SCRIPTS: Final = ("unpack", "measures", "matrices", "head_map", "sentences", "head_panel", "sorting", "start")


@dataclass(frozen=True)
class Figure:
    """A picture on the page.

    Attributes:
        source: The SVG as a data address.
        words: What it shows, for who cannot see it; also printed below.
    """

    source: str
    words: str


@dataclass(frozen=True)
class RunPart:
    """The page's content for one run; texts are HTML."""

    name: str
    title: str
    headline: str
    claim: str
    scores: str
    sources: str
    ranking: str
    trials: Figure
    has_agreement: bool
    agreement_note: str


@dataclass(frozen=True)
class CurvePart:
    """A pruning curve on the page; `areas` is HTML, empty where the file has none."""

    figure: Figure
    areas: str


def html_page(runs: Sequence[FinishedRun], *, curves: Sequence[Mapping[str, Any]] = (), text: bool = True) -> str:
    """The page as text: headline, map of heads with all that was measured, agreement, curves, trials, tables, provenance.

    Args:
        runs: From `finished_runs`; several are shown side by side.
        curves: Documents that `polyhead curve` left in `curve.json`.
        text: Whether example sentences may be on the page.

    Raises:
        SettingError: The extra `report` is not installed.
    """
    altair = drawing_library()
    if altair is None:
        raise missing_extra()
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise missing_extra() from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["html"] = lambda text: Markup(text)
    within, (across, why) = [within_run(run) for run in runs], between_runs(runs)
    fill = partial(
        environment.from_string(_template("page.html.j2")).render,
        title=page_title(runs[0].record) if len(runs) == 1 else f"{len(runs)} runs side by side",
        runs=[_run_part(altair, run, has_agreement=found is not None) for run, found in zip(runs, within, strict=True)],
        runs_table=as_html(runs_table(runs)) if len(runs) > 1 else "",
        gains_table=as_html(gains_table(runs)) if len(runs) > 1 else "",
        gains=_figure(gain_chart(altair, runs), "Gain in test score on each target, with its 95 % interval"),
        across=across is not None,
        across_why=why,
        curves=[_curve_part(altair, document) for document in curves],
        style=Markup(_template("page.css")),
        script=Markup("\n".join(_template(f"{name}.js") for name in _SCRIPTS)),
    )
    room = min(_LARGEST, len(runs) * _LARGEST_OF_ONE) - len(fill(data="").encode("utf-8"))
    facts = [{**head_facts(run), "agreement": _facts(found)} for run, found in zip(runs, within, strict=True)]
    return str(fill(data=Markup(_inside_script(page_data(facts, across=_facts(across), room=room, text=text)))))


def write_html_page(folder: Path) -> Path | None:
    """The path of `report.html` in a finished run's folder, written whole; None, and a line in the log, where it cannot be.

    The extra `report` may be missing, a file of the run damaged, or the disk full: no such thing may spoil a run that is done.
    """
    path = folder / PAGE
    try:
        write_text_atomic(path, html_page([finished_run(folder)]))
    except (PolyheadError, OSError) as error:
        logger.warning("no page: %s", error)
        return None
    return path


def missing_extra() -> SettingError:
    """What is said where the page cannot be drawn."""
    return SettingError("the page needs altair, vl-convert-python, jinja2 and markdown-it-py: pip install 'polyhead[report]'")


def as_html(markdown: str) -> str:
    """Markdown of this package's tables and notes as HTML: markup in names stays text, and tables scroll by themselves."""
    from markdown_it import MarkdownIt

    text: str = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link"]).render(markdown)
    text = text.replace(' style="text-align:left"', "").replace(' style="text-align:right"', ' class="number"')
    return re.sub("<table>(.*?)</table>", _scrolling, text, flags=re.DOTALL)


def _scrolling(table: re.Match[str]) -> str:
    """A table in a box of its own, which says how many columns it has, so that print can make room."""
    return f'<div class="scroll" tabindex="0"><table style="--columns: {table[1].count("</th>")}">{table[1]}</table></div>'


def _facts(found: RankAgreement | None) -> dict[str, Any] | None:
    return None if found is None else {"names": found.names, "rho": found.values}


def _run_part(altair: Any, run: FinishedRun, *, has_agreement: bool) -> RunPart:
    record = run.record
    return RunPart(
        name=run.name,
        title=page_title(record),
        headline=as_html(headline(record)),
        claim=as_html(claim(record)),
        scores=as_html("\n\n".join(part for part in score_sections(record) if part)),
        sources=as_html("\n\n".join(part for part in source_sections(record) if part)),
        ranking=as_html(ranking_line(run.first)),
        trials=_figure(
            trial_chart(altair, run),
            "Dev score against the number of heads removed: points are fine-tunings, a ring marks the chosen one, the dashed "
            "line is the unpruned model with heads masked",
        ),
        has_agreement=has_agreement,
        agreement_note=method_note(run),
    )


def _curve_part(altair: Any, document: Mapping[str, Any]) -> CurvePart:
    data, areas = document["data"], document.get("areas") or []
    words = (
        f"Score on {data['name']} ({data['split']}) against the number of heads ablated, without retraining; random orders with "
        "their range"
    )
    return CurvePart(_figure(curve_chart(altair, document), words), as_html(area_table(areas)) if areas else "")


def _figure(chart: Any, words: str) -> Figure:
    packed = base64.b64encode(svg_text(chart).encode("utf-8")).decode("ascii")
    return Figure(f"data:image/svg+xml;base64,{packed}", words)


def _inside_script(data: object) -> str:
    """JSON escaped so that no text in it can end the script element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _template(name: str) -> str:
    return (files("polyhead.report") / "template" / name).read_text(encoding="utf-8")
