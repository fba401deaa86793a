"""The report of `polyhead data check` as people read it: tables of at most eighty columns, then what to do."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polyhead.cli.data_requests import DataCheckRequest
from polyhead.data.download_urls import how_to_get
from polyhead.data.guess_layout import Look
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import task as find_task
from polyhead.doctor.data_check import Overlap, SplitFacts
from polyhead.report.tables import markdown

_LABEL_ROWS = 40
_LABEL_WIDTH = 36


@dataclass(frozen=True)
class Opened:
    """Splits, and how they were read.

    Attributes:
        look: Format of the files.
        is_declared: Whether the user declared it; otherwise it is a guess.
        splits: In order.
        absent: Splits of a corpus that the data folder lacks.
    """

    look: Look
    is_declared: bool
    splits: list[Dataset]
    absent: list[str]


def report(request: DataCheckRequest, opened: Opened, facts: Sequence[SplitFacts], shared: Sequence[Overlap]) -> str:
    """The whole report, of one entry per split in `facts`, and one in `shared` per pair of them."""
    headers = ["split", "sentences", "words", "longest", "over-long", "repeats", "repairs"]
    counts = [[x.split, x.sentences, x.words, x.longest, x.over_long, x.repeats, sum(x.repairs.values())] for x in facts]
    parts = [_head(opened.look, opened.is_declared), markdown(headers, counts)]
    if request.tokenizer is not None:
        parts.append(_rates(facts))
    parts += [_labels(facts)] if any(found.labels for found in facts) else []
    if shared:
        rows = [[f"{overlap.first}, {overlap.second}", overlap.shared, overlap.relabelled] for overlap in shared]
        parts.append(markdown(["splits", "sentences in both", "labelled otherwise"], rows))
    notes = [f"- {note}" for note in _notes(request, facts, shared, opened)]
    return "\n\n".join([*parts, "\n".join(notes) or "Nothing to repair."])


def _head(look: Look, is_declared: bool) -> str:
    lines = [f"format: {look.format}{f', scheme {look.scheme}' if look.scheme else ''}, task {look.task}"]
    if not is_declared and look.columns is not None:
        lines += ["this is a guess; other commands do not guess, so give them:", f"  --task {look.task}"]
        lines[-1] += f" --scheme {look.scheme}" if look.scheme else ""
        lines.append(f"  --columns {shlex.quote(look.columns)}")
    return "\n".join(lines)


def _rates(facts: Sequence[SplitFacts]) -> str:
    rows = []
    for found in facts:
        if found.rates is not None:
            words = max(found.words, 1)
            shares = [100 * n / words for n in (found.rates.unknown_words, found.rates.lone_marker_words)]
            rows.append([found.split, *(f"{value:.2f}" for value in (found.rates.subwords / words, *shares))])
    return markdown(["split", "subwords per word", "% with unknown token", "% with lone ▁ first"], rows)


def _labels(facts: Sequence[SplitFacts]) -> str:
    total = sum((Counter(found.labels) for found in facts), Counter())
    ordered = sorted(total, key=lambda label: (-total[label], label))
    shown = {one: one if len(one) <= _LABEL_WIDTH else one[: _LABEL_WIDTH - 1] + "…" for one in ordered}
    rows = [[shown[label], *(found.labels.get(label, 0) for found in facts)] for label in ordered[:_LABEL_ROWS]]
    more = f"\nand {len(ordered) - _LABEL_ROWS} rarer labels (--json has all)" if len(ordered) > _LABEL_ROWS else ""
    return markdown(["label", *(found.split for found in facts)], rows) + more


def _notes(request: DataCheckRequest, facts: Sequence[SplitFacts], shared: Sequence[Overlap], opened: Opened) -> Iterator[str]:
    unit = find_task(opened.look.task).unit
    for split in opened.absent:
        yield f"{split}: not in the data folder; {how_to_get(request.reference.partition('@')[0], root=str(request.data))}"
    for found in facts:
        for what, n in found.repairs.items():
            yield f"{found.split}: {n} x {what}"
        for what in found.suspicions:
            yield f"{found.split}: {what}"
        if found.unlabelled_words and unit != "subword":
            yield f"{found.split}: {unit}s without a label, neither trained on nor scored: {found.unlabelled_words}"
        if found.over_long:
            limit = f"{request.max_length} words" if found.rates is None else f"{found.rates.window} subwords"
            read = "truncated" if unit == "sentence" else "read in several"
            yield f"{found.split}: sentences longer than a window of {limit}, {read}: {found.over_long}"
        if found.repeats:
            yield f"{found.split}: sentences that repeat an earlier one, and count more than once: {found.repeats}"
    train = next((found for found in facts if found.split == "train"), None)
    for found in facts:
        if unseen := sorted(label for label in found.labels if train is not None and label not in train.labels):
            yield f"{found.split}: labels that are not in train, so no model can learn them: {', '.join(unseen)}"
    for overlap in shared:
        if overlap.shared:
            total = next(found.sentences for found in facts if found.split == overlap.second)
            yield f"{overlap.second}: {overlap.shared} of {total} sentences are also in {overlap.first}: scores on them say less"
