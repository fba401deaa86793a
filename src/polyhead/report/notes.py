"""The lines under the tables: how figures were made and what columns mean, enough to print the tables elsewhere."""

from typing import Any, Literal

from polyhead.core.escaping import markdown_code, markdown_text, terminal_text
from polyhead.data.corpus_table import CORPORA
from polyhead.report.reading import (
    arm_statistics,
    arms,
    cells,
    chosen_on_test,
    contrasts,
    mean_statistic,
    seeds,
)
from polyhead.report.record import RunRecord
from polyhead.report.tables import no_claim
from polyhead.selection.statistics import DRAWS, POWER, SEEDS_FOR_INTERVAL, SEEDS_FOR_P


def claim(record: RunRecord) -> str:
    """Warnings about seeds, controls, choices made on the tested split, and text that was generated; empty if none is due."""
    few = no_claim(len(seeds(record)))
    lines = [f"{few}." if few else "", "" if record.settings.controls else "No controls: no claim of a gain."]
    protocol, select_on = record.settings.protocol, record.settings.select_on
    if chosen_on_test(record):
        lines.append(
            f"Protocol {markdown_code(protocol)}: kept to compare with published numbers; its gains are maxima over noisy draws."
        )
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
    """How the intervals and p values of a table were made; empty where it has none.

    Args:
        record: Of the run.
        kind: The ranked arm's score table, or that of the contrasts with controls.
    """
    rows = arm_statistics(record) if kind == "gain" else contrasts(record)
    if not rows:
        return ""
    paired = "" if kind == "gain" else "The pruned models of the two arms, seed by seed; their unpruned model is the same."
    if kind == "contrast" and arm_statistics(record):
        how = "Interval, p and detectable gain: made as under the test scores."
    else:
        how = _how(record)
    tests = sum(row.p is not None for row in rows)
    family = f"p (Holm): corrected over the {tests} test(s) of this table." if tests else ""
    return " ".join(part for part in (paired, how, family) if part)


def _how(record: RunRecord) -> str:
    """How an interval over fine-tunings, its p and the detectable gain are made, as far as these seeds allow them."""
    n_seeds = len(seeds(record))
    if few := no_claim(n_seeds):
        return (
            f"{few}: what differs between fine-tunings cannot be told from what pruning does. An interval takes "
            f"{SEEDS_FOR_INTERVAL} seeds or more, a p value {SEEDS_FOR_P}."
        )
    also_p = n_seeds >= SEEDS_FOR_P and not chosen_on_test(record)
    without = f" No p value below {SEEDS_FOR_P} seeds." if n_seeds < SEEDS_FOR_P else ""
    return (
        f"95 % interval{' and p (two-sided)' * also_p}: of other fine-tunings on other sentences. Student's t; the standard "
        f"error has the variance over the {n_seeds} seeds and that over resampled sentences ({DRAWS:,} draws), which all seeds "
        f"share; degrees of freedom by Satterthwaite.{without} Detectable gain: the smallest that {n_seeds} such seeds find with "
        f"power {POWER}, given where the gain was not found."
    )


def note_on_controls(record: RunRecord) -> str:
    """What the arms share, and how the intervals of their means were made; empty with the ranked arm alone."""
    if len(arms(record)) < 2:
        return ""
    shared = "Same trial budget and selection split as the ranked heads."
    if all(mean_statistic(record, arm) is None for arm in arms(record)):
        return shared
    return f"{shared} {'Interval: made as under the test scores.' if arm_statistics(record) else _how(record)}"


def note_on_noise(record: RunRecord) -> str:
    """What gains were held against; empty where there is nothing to hold them against and no noise to speak of."""
    if _pruned_after(record):
        if "random" in arms(record):
            return f"{_NO_POOL} In its place stands the gain of random heads under the same search, seed by seed."
        return f"{_NO_POOL} `--controls random` gives what takes its place: random heads under the same search."
    if record.noise is None:
        return ""
    return (
        "Selection noise is what choosing the best of n equal models gains by chance, n being the models that the arm's longest "
        f"search compared: n of {len(record.noise.seeds)} unpruned fine-tunings that differ in their seed alone are drawn "
        "without replacement, the one with the best score on what the search chose by is taken, and its test score counts minus "
        "the mean of them all; mean over all such draws. The 95 % interval of the difference has the standard errors of both."
    )


def _pruned_after(record: RunRecord) -> bool:
    return record.settings.search.prune == "after"


_NO_POOL = (
    "Heads were pruned after fine-tuning, so all models of a search share one training and no pool of re-seeded models says what "
    "choosing among them gains."
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
    reasons = [f"Seed {cell.seed}: {markdown_text(cell.chosen_reason)}." for cell in cells(record)]
    cut = f"Heads were cut after fine-tuning, without training again; repair: {markdown_text(record.settings.search.repair)}."
    return " ".join(["Scores are of dev, in points.", *([cut] if _pruned_after(record) else []), *reasons])


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
        f"{words} Words beginning with a lone ▁: their first subword is only the tokenizer's space marker; {read}. Sentences in "
        "windows: too long to be read at once, so read in overlapping windows. Words without a subword: the tokenizer returns "
        "nothing for them, so they are read as its unknown token. Truncated words: longer than a window, so only their first "
        "subwords are read. No word is dropped. Repairs: faults of the file that reading repaired. sha256: the first 12 digits "
        "of the file's checksum."
    )


def provenance(record: RunRecord) -> str:
    """Environment, date, time, command and learning rate, line by line, then the settings that were given."""
    lines = [f"- {markdown_text(name)}: {markdown_text(value)}" for name, value in record.environment.items()]
    lines += [f"- date: {markdown_text(record.date)}", f"- time: {record.seconds / 60:.1f} minutes"]
    lines.append(f"- learning rate: {learning_rate(record)}")
    lines += [f"- command: {markdown_code(record.command)}"] if record.command else []
    rows = "\n".join(terminal_text(f"{name} = {value}") for name, value in _given(record).items())
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
