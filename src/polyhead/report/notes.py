"""The lines under the tables: how figures were made and what columns mean, enough to print the tables elsewhere."""

from collections.abc import Sequence
from typing import Any, Literal

from polyhead.data.corpus_table import CORPORA
from polyhead.report.reading import (
    arms,
    cells,
    chosen_on_test,
    contrasts,
    mean_interval,
    rows_with_tests,
    seeds,
)
from polyhead.report.record import RunRecord, Statistic


def claim(record: RunRecord) -> str:
    """Warnings about seeds, controls, choices made on the tested split, and text that was generated; empty if none is due."""
    missing = ["one seed"] * (len(seeds(record)) == 1) + ["no controls"] * (not record.settings.controls)
    lines = [f"{', '.join(missing)}: no claim of a gain." if missing else ""]
    protocol, select_on = record.settings.protocol, record.settings.select_on
    if chosen_on_test(record):
        lines.append(f"Protocol `{protocol}`: kept to compare with published numbers; its gains are maxima over noisy draws.")
        lines.append("No p value is given: k was chosen on the tested split, and p would hold only for a k fixed beforehand.")
    if select_on == "target-dev":
        lines.append("Oracle: the number of heads was chosen on the targets' own dev sets, which a zero-shot user does not have.")
    lines.append(_generated(record))
    return " ".join(line[0].upper() + line[1:] for line in lines if line)


def _generated(record: RunRecord) -> str:
    """That text of the run was made by polyhead itself, and what figures on it are worth; empty where all was read from files."""
    names = list(dict.fromkeys(data.name for data in record.data))
    made = [name for name in names if name in CORPORA and CORPORA[name].made]
    if not made:
        return ""
    which = "all text of this run" if made == names else f"the text of {', '.join(made)}"
    return f"{which} is generated from templates: its figures show how the method behaves and are no evidence about a language."


# As many as studies.summary takes, which may not be imported from here; a test holds the two together.
DRAWS = 1000
_INTERVALS_ABOVE = "95 % interval: made as under the test scores."
_METRICS = {
    "accuracy": "accuracy: share of words with the right tag.",
    "macro_f1": (
        "macro-F1: mean of the F1 of single tags, each counting the same, over the tags in the target's gold labels or in the "
        "model's predictions for it; so this set may differ between targets, and between unpruned and pruned."
    ),
    "chunk_f1": (
        "chunk-F1: micro-F1 of spans as seqeval 0.0.12 reads bare tags, i.e. a run of equal tags is one span, but every SYM and "
        "SCONJ a span of its own; the figure of Ma et al. 2021, for comparison only."
    ),
    "span_f1": (
        "span F1, precision, recall: micro, over spans of IOB2 tags as seqeval reads them by default (an I- without a span of "
        "its type before it starts one)."
    ),
}


def note_on_tests(record: RunRecord, kind: Literal["gain", "contrast"] = "gain") -> str:
    """How the p values and intervals of a table were made; empty where it has none.

    Args:
        record: Of the run.
        kind: The ranked arm's score table, or that of the contrasts with controls.
    """
    if kind == "gain":
        rows, sides = rows_with_tests(record), "the outputs of the unpruned and the pruned model"
        what = "the mean gain over seeds"
    else:
        pairs = dict.fromkeys(row.arm for row in contrasts(record))
        rows, sides = [row for arm in pairs for row in rows_with_tests(record, arm)], "the outputs of the two arms' pruned models"
        what = "the mean over seeds of the difference between the two arms' pruned models (their unpruned one is the same)"
    is_said = kind == "contrast" and bool(rows_with_tests(record))
    intervals = "" if not rows else _INTERVALS_ABOVE if is_said else _interval_note(record)
    return " ".join(part for part in (_p_note(record, rows, what, sides), intervals) if part)


def note_on_controls(record: RunRecord) -> str:
    """What the arms share, and how the intervals of their means were made; empty with the ranked arm alone."""
    if len(arms(record)) < 2:
        return ""
    shared = "Same trial budget and selection split as the ranked heads."
    if not any(mean_interval(record, arm) for arm in arms(record)):
        return shared
    return f"{shared} {_INTERVALS_ABOVE if rows_with_tests(record) else _interval_note(record)}"


def _p_note(record: RunRecord, rows: Sequence[Statistic], what: str, sides: str) -> str:
    tests = [row for row in rows if row.p is not None]
    if chosen_on_test(record) or not tests:
        return ""
    return (
        f"p: two-sided paired approximate randomisation of {what}, R shuffles; a shuffle draws one swap bit a sentence, "
        f"which all seeds share, and where it is set swaps {sides}; p = (1 + shuffles whose difference is at least as large, of "
        f"either sign) / (R + 1). It is about these fine-tuned models on other sentences; of other seeds the interval "
        f"speaks. p (Holm): Holm's correction over the {len(tests)} test(s) of this table; means over targets are not tested."
    )


def _interval_note(record: RunRecord) -> str:
    n_seeds = len(seeds(record))
    drawn = (
        "a draw takes sentences of the test set with replacement, the same ones for both models of a pair (there is one seed, so "
        "no seeds are drawn); "
        if n_seeds == 1
        else f"a draw takes {n_seeds} seeds with replacement and, inside, sentences of the test set with replacement, the same "
        "ones for all its seeds and for both models of a pair; "
    )
    mean = "each target's sentences are drawn by themselves" + (", the seeds once for all targets" if n_seeds > 1 else "")
    return f"95 % interval: bootstrap, {DRAWS:,} draws, 2.5th to 97.5th percentile; {drawn}for the mean over targets {mean}."


def note_on_noise(record: RunRecord) -> str:
    """How selection noise was drawn; empty where the run has no pool of re-seeded unpruned runs."""
    if record.noise is None:
        return ""
    return (
        "Selection noise is what choosing the best of n equal models gains by chance, n being the fine-tunings of the arm's "
        f"longest search: a draw takes n of {len(record.noise.seeds)} unpruned fine-tunings that differ in their seed alone "
        "(with replacement), chooses the one with the best score on what the search chose by, and gives its test score minus the "
        f"mean of them all. {DRAWS:,} draws, independent of those of the gain; the 95 % interval is that of the gain's draws "
        "minus these."
    )


def note_on_scores(record: RunRecord) -> str:
    """The unit of the scores and what they are means over."""
    over = f"Means over seeds {', '.join(map(str, seeds(record)))}. " if len(seeds(record)) > 1 else ""
    return f"{over}In points, 0 to 100, over words (spans for F1); words without a gold label are predicted but not scored."


def note_on_seeds(record: RunRecord) -> str:
    """What the table by seed shows; empty with one seed."""
    if len(seeds(record)) < 2:
        return ""
    return (
        f"Lowest-ranked heads; scores in points. Standard deviation over the {len(seeds(record))} seeds, with n − 1; that of the "
        "gain is of the seeds' own gains. A seed with k = 0 counts with its unpruned score."
    )


def note_on_metrics(record: RunRecord) -> str:
    """What each metric of the record is, in one line."""
    met = {metric for cell in record.cells for target in cell.targets for metric in target.unpruned}
    return " ".join(text for metric, text in _METRICS.items() if metric in met)


def note_on_trials(record: RunRecord) -> str:
    """The unit of the trials' scores, when heads were cut, and why every seed chose what it chose."""
    reasons = [f"Seed {cell.seed}: {cell.chosen_reason}." for cell in cells(record)]
    search = record.settings.search
    cut = f"Heads were cut after fine-tuning, without training again; repair: {search.repair}."
    return " ".join(["Scores are of dev, in points.", *([cut] if search.prune == "after" else []), *reasons])


def note_on_data(record: RunRecord) -> str:
    """Which words were read, and what the columns of the data table say, in one line; the latter only if there is a table."""
    settings = record.settings
    is_syntactic = any("@words" in text for text in settings.sources)
    words = f"Words are {'syntactic words' if is_syntactic else 'surface tokens'} in all languages."
    if not record.data:
        return words
    is_first = settings.train.anchor == "first"
    read = "such a word is still labelled at that piece" if is_first else "such a word is labelled at its next piece"
    return (
        f"{words} Words beginning with a lone ▁: their first subword piece is the tokenizer's space marker and nothing else; "
        f"{read}. Sentences in windows: too long to be read at once, so read in overlapping windows. Words without a piece: the "
        "tokenizer makes nothing of them, so they are read as its unknown token. Words cut short: longer than a window, so only "
        "their first pieces are read. No word is dropped. Repairs: faults of the file that were mended while reading. sha256: "
        "the first 12 digits of the file's checksum."
    )


def provenance(record: RunRecord) -> str:
    """Environment, date, time, command and learning rate, line by line, then the settings that were given."""
    lines = [f"- {name}: {value}" for name, value in record.environment.items()]
    lines += [f"- date: {record.date}", f"- time: {record.seconds / 60:.1f} minutes", f"- learning rate: {learning_rate(record)}"]
    lines += [f"- command: `{record.command}`"] if record.command else []
    rows = "\n".join(f"{name} = {value}" for name, value in _given(record).items())
    return "\n".join(lines) + f"\n\n```text\n{rows}\n```"


def learning_rate(record: RunRecord) -> str:
    """The peak learning rate that was used, and whether the encoder's width decided it."""
    by_width = "" if record.settings.train.learning_rate is not None else " (by the encoder's width)"
    return f"{record.learning_rate:g}{by_width}"


def _given(record: RunRecord) -> dict[str, Any]:
    """The settings that hold something; without the seed of `train`, which every seed of the run replaces by itself."""
    settings = {key: value for key, value in record.settings.model_dump(mode="json").items() if value not in (None, [], {})}
    settings["train"] = {key: value for key, value in settings["train"].items() if key != "seed" and value is not None}
    return settings
