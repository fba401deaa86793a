"""`report.html`: one self-contained page about one or several runs; it needs no network."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any, Final

from polyhead.core.errors import SettingError
from polyhead.report.charts import gain_chart, trial_chart
from polyhead.report.curves import area_table, curve_chart
from polyhead.report.finished_run import FinishedRun
from polyhead.report.head_facts import head_facts
from polyhead.report.notes import GAINS_NOTE, claim
from polyhead.report.packing import page_data
from polyhead.report.page import headline, page_title, ranking_line, score_sections, source_sections
from polyhead.report.pictures import drawing_library, picture_bytes
from polyhead.report.rank_agreement import between_runs, method_note, within_run
from polyhead.report.run_tables import gains_table, runs_table
from polyhead.report.tables import paragraphs

PAGE: Final = "report.html"

# Bytes of a page, a little under what mail and review tools still show: of one run, and of any number of runs.
_LARGEST_OF_ONE: Final = 1_450_000
_LARGEST: Final = 4_900_000
_SCRIPTS: Final = ("unpack", "measures", "matrices", "head_map", "sentences", "head_panel", "sorting", "start")
_DATA: Final = '<script type="application/json" id="data">'  # once on a page, because names in texts are escaped


def html_page(runs: Sequence[FinishedRun], *, curves: Sequence[Mapping[str, Any]] = (), text: bool = True) -> str:
    """The page as text: headline, map of heads with all that was measured, agreement, curves, trials, tables, provenance.

    Args:
        runs: From `finished_runs`; several are shown side by side.
        curves: Documents that `polyhead curve` left in `curve.json`.
        text: Whether example sentences may be on the page.

    Raises:
        SettingError: The extra `report` is not installed, or a chart cannot be drawn.
    """
    altair, environment = page_tools()
    from markupsafe import Markup

    within, (across, why) = [within_run(run) for run in runs], between_runs(runs)
    page: str = environment.from_string(template("page.html.j2")).render(
        title=page_title(runs[0].record) if len(runs) == 1 else f"{len(runs)} runs side by side",
        runs=[_run_part(altair, run, has_agreement=found is not None) for run, found in zip(runs, within, strict=True)],
        runs_table=runs_table(runs),
        gains_table=gains_table(runs),
        gains_note=GAINS_NOTE,
        gains=figure(gain_chart(altair, runs), "Gain in test score on each target, with its 95 % interval"),
        across=across is not None,
        across_why=why,
        curves=[_curve_part(altair, document) for document in curves],
        style=Markup(template("page.css")),
        script=Markup("\n".join(template(f"{name}.js") for name in _SCRIPTS)),
    )
    room = min(_LARGEST, len(runs) * _LARGEST_OF_ONE) - len(page.encode("utf-8"))
    facts = [{**head_facts(run), "agreement": asdict(found) if found else None} for run, found in zip(runs, within, strict=True)]
    data = _inside_script(page_data(facts, across=asdict(across) if across else None, room=room, text=text))
    return page.replace(_DATA, _DATA + data)


def page_tools() -> tuple[Any, Any]:
    """altair, and jinja's environment with the filter `html` for Markdown.

    Raises:
        SettingError: The extra `report` is not installed.
    """
    altair = drawing_library()
    try:
        import markdown_it  # noqa: F401 (`as_html` needs it)
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        altair = None
    if altair is None:
        raise SettingError("the page needs altair, vl-convert-python, jinja2 and markdown-it-py: pip install 'polyhead[report]'")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["html"] = lambda markdown: Markup(as_html(markdown))
    return altair, environment


def as_html(markdown: str) -> str:
    """Markdown of this package's tables and notes as HTML: markup in names stays text, and every table scrolls in its own box."""
    from markdown_it import MarkdownIt

    text: str = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link"]).render(markdown)
    text = text.replace(' style="text-align:left"', "").replace(' style="text-align:right"', ' class="number"')
    # the box knows how many columns its table has, so that print can make room
    box = '<div class="scroll" tabindex="0"><table style="--columns: {}">{}</table></div>'
    return re.sub("<table>(.*?)</table>", lambda table: box.format(table[1].count("</th>"), table[1]), text, flags=re.DOTALL)


def _run_part(altair: Any, run: FinishedRun, *, has_agreement: bool) -> dict[str, Any]:
    """What the template shows of one run; the texts of `headline` to `ranking` are Markdown."""
    record = run.record
    return {
        "name": run.name,
        "title": page_title(record),
        "headline": headline(record),
        "claim": claim(record),
        "scores": paragraphs(*score_sections(record)),
        "sources": paragraphs(*source_sections(record)),
        "ranking": ranking_line(run.record.first),
        "trials": figure(
            trial_chart(altair, run),
            "Dev score against the number of heads removed: points are fine-tunings, a ring marks the chosen one, the dashed "
            "line is the unpruned model with heads masked",
        ),
        "has_agreement": has_agreement,
        "agreement_note": method_note(run),
    }


def _curve_part(altair: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    words = (
        f"Score on {document['data']['name']} ({document['data']['split']}) against the number of heads ablated, without "
        "retraining; random orders with their range"
    )
    return {"figure": figure(curve_chart(altair, document), words), "areas": area_table(document["areas"])}


def figure(chart: Any, words: str) -> dict[str, str]:
    """An SVG as a data address, and what it shows: printed below it, and its text for screen readers."""
    packed = base64.b64encode(picture_bytes(chart, ".svg", labels=False)).decode("ascii")
    return {"source": f"data:image/svg+xml;base64,{packed}", "words": words}


def _inside_script(data: object) -> str:
    """JSON escaped so that no text in it can end the script element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def template(name: str) -> str:
    """A file of a page's template."""
    return (files("polyhead.report") / "template" / name).read_text(encoding="utf-8")
