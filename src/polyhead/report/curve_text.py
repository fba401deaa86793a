"""The text of `polyhead curve`: tables of its JSON document, and how the figures were computed."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

import numpy as np

from polyhead.core.escaping import markdown_text
from polyhead.core.values import counted
from polyhead.data.tasks import task as find_task
from polyhead.report.curves import area_table, by_group
from polyhead.report.notes import fact_list
from polyhead.report.tables import markdown, paragraphs, section, shown_number, title

Document = Mapping[str, Any]
_COLUMNS = 7  # points of a curve that a table shows


def curve_page(document: Document, *, picture: str | None) -> str:
    """The page `curve.md`: title, picture if there is one, tables, and provenance."""
    facts = {"sha256 of the data": document["data"]["sha256"], "time": f"{document['seconds'] / 60:.1f} minutes"}
    return (
        paragraphs(
            f"# Pruning curves of {markdown_text(document['model'])}",
            f"![score against heads ablated]({picture})" if picture else "",
            curve_text(document),
            section("Where the numbers come from", fact_list({**document["environment"], **facts}, document["command"])),
        )
        + "\n"
    )


def curve_text(document: Document) -> str:
    """Scores at some k, areas and their differences, with notes."""
    data, unit = document["data"], find_task(document["task"]).unit
    units = (("sentence", data["sentences"]), (unit, data["words"]))
    size = ", ".join(counted(number, name) for name, number in dict(units).items())
    head = (
        f"Score: {title(document['main_metric'])} in points on {markdown_text(data['name'])}, {data['split']} split "
        f"({size}), with k heads ablated, without retraining."
    )
    return paragraphs(head, _scores(document), area_table(document["areas"]), _notes(document))


def _scores(document: Document) -> str:
    ks = sorted({round(k) for k in np.linspace(0, document["max_pruned"], _COLUMNS)})
    rows = [
        [group, *(shown_number(fmean(order["scores"][k] for order in own)) for k in ks)]
        for group, own in by_group(document).items()
    ]
    return markdown(["order", *(f"k = {k}" for k in ks)], rows)


def _notes(document: Document) -> str:
    directions = {order["direction"] for order in document["orders"]}
    notes = [
        f"Area: mean score over k = 0..{document['max_pruned']} divided by the score at 0; 1 means no loss. "
        "Only areas with the same largest k are comparable.",
        f"Intervals: this model on other sentences (95 %, {document['draws']:,} resamples, the same for both sides of a "
        "difference); they say nothing about other fine-tunings."
        + (" For the mean of three or more random orders they also cover other random orders." if "random" in directions else ""),
    ]
    crossed = names(document, lambda order: order["heads_of_other_half"])
    if crossed:
        notes.append(
            f"Ranked on one half of these sentences and judged on the other, and the other way round: {crossed}. So no order is "
            "judged on sentences whose labels it has read."
        )
    if "oracle" in directions:
        notes.append(
            "At each step, the greedy oracle removes the head whose removal leaves the best score on its half (ties: the lower "
            "loss). Regret is its area minus an order's. A greedy order is not necessarily the best."
        )
    if own := names(document, lambda order: order["read"]):
        notes.append(f"Ranked on sentences that they are judged on, which favours them: {own}. To avoid it, use --method.")
    if document["areas"][0]["area"] is None:
        notes.append("The score at k = 0 is 0, so there is no area. Is this the fine-tuned model?")
    return "\n".join(f"- {note}" for note in notes)


def names(document: Document, has: Callable[[Mapping[str, Any]], Any]) -> str:
    """Names of the rankings whose orders have something."""
    return markdown_text(", ".join(dict.fromkeys(order["name"] for order in document["orders"] if has(order))))
