"""The page of one or several runs as Markdown: the same tables, with agreement of rankings and the heads pruned first."""

from collections.abc import Mapping, Sequence
from typing import Any

from polyhead.core.escaping import markdown_text
from polyhead.report.curves import area_table
from polyhead.report.finished_run import FinishedRun
from polyhead.report.heads_form import Effects
from polyhead.report.notes import GAINS_NOTE, claim
from polyhead.report.page import headline, page_title, ranking_line, score_sections, source_sections
from polyhead.report.pictures import places
from polyhead.report.rank_agreement import agreement_table, between_runs, method_note, within_run
from polyhead.report.reading import chosen_heads, short
from polyhead.report.run_tables import gains_table, runs_table
from polyhead.report.tables import markdown, paragraphs, section, shown_interval, shown_number

_SHOWN_HEADS = 12


def markdown_page(runs: Sequence[FinishedRun], *, curves: Sequence[Mapping[str, Any]] = ()) -> str:
    """One document; several runs come one after the other below the tables that have them all.

    Args:
        runs: From `finished_runs`.
        curves: Documents from `read_curve`.
    """
    curve_parts = [
        section(f"Pruning curve: {markdown_text(', '.join((data['name'], data['split'])))}", area_table(areas))
        for data, areas in ((document["data"], document["areas"]) for document in curves)
    ]
    if len(runs) == 1:
        return paragraphs(f"# {markdown_text(page_title(runs[0].record))}", *_run_parts(runs[0]), *curve_parts) + "\n"
    across, why = between_runs(runs)
    agreements = "" if across is None else agreement_table(across)
    parts = [
        f"# {len(runs)} runs side by side",
        runs_table(runs),
        section("Gains side by side", gains_table(runs), GAINS_NOTE),
        section("How far rankings agree between runs", paragraphs(agreements, markdown_text(why))),
        *curve_parts,
    ]
    for run in runs:
        parts += [f"# {markdown_text(f'{run.name}: {page_title(run.record)}')}", *_run_parts(run)]
    return paragraphs(*parts) + "\n"


def _run_parts(run: FinishedRun) -> list[str]:
    record, agreement = run.record, within_run(run)
    table = "" if agreement is None else agreement_table(agreement)
    return [
        headline(record),
        claim(record),
        *score_sections(record),
        section("Lowest-ranked heads", ranking_line(run.record.first), head_table(run), _head_note(run)),
        section("How far rankings agree", table, markdown_text(method_note(run))),
        *source_sections(record),
    ]


def head_table(run: FinishedRun) -> str:
    """The lowest-ranked heads of the first seed: whether they were pruned, and their effect in every profiled language."""
    languages = [] if run.heads is None else run.heads.languages
    pruned = chosen_heads(run.record.first)
    rows = []
    for (layer, head), place in sorted(places(run.record.first.scores).items(), key=lambda item: item[1])[:_SHOWN_HEADS]:
        address = f"{layer}.{head}"
        effects = [_effect(own.effects, layer, head) for own in languages]
        rows.append([place, address, "pruned" if address in pruned else "", *effects])
    return markdown(["place", "head", "", *(short(own.name) for own in languages)], rows)


def _effect(effects: Effects, layer: int, head: int) -> str:
    value, low, high = (matrix[layer][head] for matrix in (effects.difference, effects.low, effects.high))
    bounds = shown_interval((low, high), "+z.2f")
    return "–" if None in (value, low, high) else f"{shown_number(value, '+z.2f')} ({bounds})"


def _head_note(run: FinishedRun) -> str:
    if run.heads is None or not run.heads.languages:
        return "The effect of single heads in each language was not measured."
    return (
        f"Languages: points of the main metric with that head ablated minus with all heads, for the unpruned model of seed "
        f"{run.heads.seed}, on at most {run.heads.n_sentences} dev sentences; in brackets the 95 % interval: this model, other "
        f"sentences; – for heads whose estimated effect is small, which were not measured (measured: {len(run.heads.measured)})."
    )
