"""Notes under the tables: how the figures were computed and what the columns mean."""

from collections.abc import Mapping
from typing import Any, Literal

from polyhead.core.escaping import markdown_code, markdown_text, terminal_text
from polyhead.core.values import counted
from polyhead.data.corpora import row_groups
from polyhead.data.corpus_table import CORPORA
from polyhead.report import reading
from polyhead.report.record import RunRecord
from polyhead.report.tables import no_claim
from polyhead.selection.resampling import DRAWS
from polyhead.selection.statistics import POWER, SEEDS_FOR_INTERVAL, SEEDS_FOR_P

GAINS_NOTE = (
    "Pruned minus unpruned, in points of each run's own metric; in brackets the 95 % interval over seeds and sentences, and "
    "the smallest gain that the seeds would have found where this one was not; neither where k was chosen on the tested split; "
    "– where a run does not have the target."
)


def claim(record: RunRecord) -> str:
    """Warnings about few seeds, missing controls, selection on the test split and generated text; empty if none applies."""
    few = no_claim(len(reading.seeds(record)))
    lines = [f"{few}." if few else "", "" if record.settings.controls else "No controls: no claim of a gain."]
    protocol, select_on = record.settings.protocol, record.settings.select_on
    if reading.chosen_on_test(record):
        lines.append(
            f"Protocol {markdown_code(protocol)}: only to compare with published numbers; its gains are maxima over noisy draws."
        )
        lines.append("No interval and no p value: k was chosen on the tested split, and both hold only for a k fixed beforehand.")
    if select_on == "target-dev":
        lines.append("Oracle: the number of heads was chosen on the targets' own dev sets, which a zero-shot user does not have.")
    lines.append(_generated(record))
    return " ".join(line[0].upper() + line[1:] for line in lines if line)


def _generated(record: RunRecord) -> str:
    """Warning that polyhead generated some of the text; empty if all text was read from files."""
    names = list(dict.fromkeys(data.name for data in record.data))
    made = [name for name in names if name in CORPORA and CORPORA[name].made]
    if not made:
        return ""
    which = "all text of this run" if made == names else f"the text of {', '.join(made)}"
    return f"{which} is generated from templates: its figures show how the method behaves and say nothing about a language."


_METRICS = {
    "accuracy": "accuracy: share of words with the right tag.",
    "macro_f1": (
        "macro-F1: unweighted mean of the tags' F1, over the tags in the target's gold labels or in the model's predictions; "
        "this set may differ between targets, and between unpruned and pruned."
    ),
    "chunk_f1": (
        "chunk-F1: micro-F1 of spans as seqeval 0.0.12 reads bare tags: a run of equal tags is one span, but every SYM and "
        "SCONJ is a separate span; the metric of Ma et al. 2021, for comparison only."
    ),
    "span_f1": (
        "span F1, precision, recall: micro, over spans of IOB2 tags as seqeval reads them by default (an I- without a span of "
        "its type before it starts one)."
    ),
}


_SENTENCE_METRICS = {
    "accuracy": "accuracy: share of sentences with the right label.",
    "macro_f1": (
        "macro-F1: unweighted mean of the labels' F1, over the labels in the target's gold labels or in the model's predictions; "
        "this set may differ between targets, and between unpruned and pruned."
    ),
}


def note_on_tests(record: RunRecord, kind: Literal["gain", "contrast"] = "gain") -> str:
    """How the intervals and p values of a table were computed; empty if it has none.

    Args:
        record: The run.
        kind: `gain` for the ranked arm's score table, `contrast` for the contrasts with controls.
    """
    rows = reading.arm_statistics(record) if kind == "gain" else reading.contrasts(record)
    if not rows:
        return ""
    paired = "" if kind == "gain" else "Pruned models of the two arms, paired by seed; both share the unpruned model."
    if kind == "contrast" and reading.arm_statistics(record):
        how = "Interval, p and detectable gain: computed as for the test scores."
    else:
        how = _how(record)
    tests = sum(row.p is not None for row in rows)
    family = f"p (Holm): corrected for the {counted(tests, 'test')} of this table." if tests else ""
    return " ".join(part for part in (paired, how, family) if part)


def _how(record: RunRecord) -> str:
    n_seeds = len(reading.seeds(record))
    if few := no_claim(n_seeds):
        return (
            f"{few}, because the effect of pruning cannot be separated from differences between fine-tunings. An interval "
            f"needs at least {SEEDS_FOR_INTERVAL} seeds, a p value {SEEDS_FOR_P}."
        )
    if reading.chosen_on_test(record):
        return "No interval and no p value: a gain is a maximum over scores on the tested split, not an estimate of an effect."
    also_p = n_seeds >= SEEDS_FOR_P
    without = f" No p value below {SEEDS_FOR_P} seeds." if n_seeds < SEEDS_FOR_P else ""
    return (
        f"95 % interval{' and p (two-sided)' * also_p}: for other fine-tunings on other sentences. Student's t; the standard "
        f"error combines the variance over the {n_seeds} seeds with that over resampled sentences ({DRAWS:,} draws, shared by "
        f"all seeds); degrees of freedom by Satterthwaite.{_translations(record)}{without} Detectable gain: the smallest that "
        f"{n_seeds} such seeds detect with power {POWER}, shown where the gain was not detected."
    )


def _translations(record: RunRecord) -> str:
    """Which test sets are resampled by row together, and which translations are not, and why; empty if there are none."""
    sizes = {data.name: data.sentences for data in record.data if data.split == "test"}
    families = {name: CORPORA[name].parallel for name in sizes if name in CORPORA and CORPORA[name].parallel}
    labels = row_groups(sizes)
    together = [name for name in families if [*labels.values()].count(labels[name]) > 1]
    apart = [name for name, own in families.items() if name not in together and [*families.values()].count(own) > 1]
    which = "all test sets" if len(together) == len(sizes) and len({*labels.values()}) == 1 else ", ".join(together)
    said = f" Translations, resampled by row together: {which}." if together else ""
    blocks = {CORPORA[name].block for name in sizes if name in CORPORA} - {1}
    said += "".join(f" Each {counted(n, 'row')} that share a text are resampled together." for n in sorted(blocks))
    reason = "another number of sentences than its translations, so the rows do not match"
    return said + "".join(f" {name} is resampled independently: it has {reason}." for name in apart)


def note_on_controls(record: RunRecord) -> str:
    """What the arms share, and how the intervals of their means were computed."""
    shared = "Same trial budget and selection split as the ranked heads."
    if all(reading.statistic(record, arm=arm) is None for arm in reading.arms(record)):
        return shared
    return f"{shared} {'Interval: computed as for the test scores.' if reading.arm_statistics(record) else _how(record)}"


def note_on_noise(record: RunRecord) -> str:
    """How selection noise was estimated, or what replaces it; empty if it was not estimated."""
    if record.settings.search.one_training:
        if "random" in reading.arms(record):
            return f"{_NO_POOL} The gain of random heads under the same search, seed by seed, replaces it."
        return f"{_NO_POOL} `--controls random` adds a substitute: random heads under the same search."
    if record.noise is None:
        return ""
    return (
        "Selection noise is the gain by chance from choosing the best of n equal models, where n is the number of models that "
        f"the arm's longest search compared: n of {len(record.noise.seeds)} unpruned fine-tunings that differ only in their seed "
        "are drawn without replacement, and the one with the best selection score is taken; its noise is its test score minus "
        "the mean of all, averaged over all such draws. The 95 % interval of the difference combines both standard errors."
    )


_NO_POOL = (
    "All models of a search are masks of one fine-tuned model, so a pool of re-seeded models cannot estimate the selection noise "
    "among them."
)


def note_on_masks(record: RunRecord) -> str:
    """What the gains over a nested model's own k = 0 compare."""
    if record.settings.search.how != "nested":
        return ""
    return (
        "Both sides are one model, trained under nested masks, with the chosen heads masked and with all heads: what removing "
        "heads did, without the noise of another training. The test scores above compare with the ordinary fine-tuning of the "
        "same seed. A seed with k = 0 keeps that fine-tuning and counts as 0. Nested models of controls are tested at the "
        "chosen k alone, so they have no row."
    )


def note_on_scores(record: RunRecord) -> str:
    """The unit of the scores and what they are averaged over."""
    over = f"Means over seeds {', '.join(map(str, reading.seeds(record)))}. " if len(reading.seeds(record)) > 1 else ""
    unit = reading.unit(record)
    spans = " (spans for F1)" if unit == "word" else ""
    return f"{over}In points, 0 to 100, over {unit}s{spans}; {unit}s without a gold label are predicted but not scored."


def note_on_seeds(record: RunRecord) -> str:
    """What the table by seed shows."""
    return (
        f"Lowest-ranked heads; scores in points. Standard deviation over the {len(reading.seeds(record))} seeds, with n − 1; for "
        "the gain, over the gains of single seeds. A seed with k = 0 counts with its unpruned score."
    )


def note_on_metrics(record: RunRecord) -> str:
    """Definitions of the record's metrics, in one line."""
    met = {metric for cell in record.cells for target in cell.targets for metric in target.unpruned}
    texts = _METRICS | (_SENTENCE_METRICS if reading.unit(record) == "sentence" else {})
    return " ".join(text for metric, text in texts.items() if metric in met)


def note_on_trials(record: RunRecord) -> str:
    """The unit of the trials' scores, when heads were pruned, and the reason for each seed's choice."""
    reasons = [f"Seed {cell.seed}: {markdown_text(cell.chosen_reason)}." for cell in reading.cells(record)]
    search, how = record.settings.search, ""
    if search.prune == "after":
        how = f"Heads were pruned after fine-tuning, without retraining; repair: {markdown_text(search.repair)}."
    if search.how == "nested":
        how = "One fine-tuning under nested masks serves every k, on at most 500 sentences of each set; its time is at k = 0."
    scores = "Dev scores, in points."
    if record.settings.select_on == "agreement":
        scores = f"Scores: share of the targets' {reading.unit(record)}s, in percent, that keep the label given with all heads."
    return " ".join(filter(None, [scores, how, *reasons]))


_NOTE_ON_TEXTS = (
    "Words: what white space separates. Truncated sentences: longer than the model's input, so only the first subwords of each "
    "text are read. Sentences without a subword: the tokenizer returns nothing for them. Repairs: faults in the file, repaired "
    "while reading. sha256: the first 12 digits of the file's checksum."
)


def note_on_data(record: RunRecord) -> str:
    """Which words were read, and, if there is a data table, what its columns mean; in one line."""
    settings = record.settings
    if reading.unit(record) == "sentence":
        return _NOTE_ON_TEXTS if record.data else ""
    words = f"Words are {'syntactic words' if settings.words == 'syntactic' else 'surface tokens'} in all languages."
    if not record.data:
        return words
    is_first = settings.train.anchor == "first"
    read = "such a word is still labelled at that subword" if is_first else "such a word is labelled at its next subword"
    return (
        f"{words} Words beginning with a lone ▁: their first subword is only the tokenizer's space marker; {read}. Sentences in "
        "windows: longer than the model's input, so read in overlapping windows. Words without a subword: the tokenizer "
        "returns nothing for them, so they are read as its unknown token. Truncated words: longer than a window, so only their "
        "first subwords are read. No word is dropped. Repairs: faults in the file, repaired while reading. sha256: the first 12 "
        "digits of the file's checksum."
    )


def provenance(record: RunRecord) -> str:
    """Environment, date, time, learning rate and command, line by line, then the settings."""
    by_width = "" if record.settings.train.learning_rate is not None else " (by the encoder's width)"
    facts = {
        "date": record.date,
        "time": f"{record.seconds / 60:.1f} minutes",
        "learning rate": f"{record.learning_rate:g}{by_width}",
    }
    rows = "\n".join(terminal_text(f"{name} = {value}") for name, value in _given(record).items())
    return f"{fact_list({**record.environment, **facts}, record.command)}\n\n```text\n{rows}\n```"


def fact_list(facts: Mapping[str, object], command: str | None) -> str:
    """A Markdown list of facts by name, then the command."""
    lines = [f"- {markdown_text(name)}: {markdown_text(fact)}" for name, fact in facts.items()]
    return "\n".join([*lines, *([f"- command: {markdown_code(command)}"] if command else [])])


def _given(record: RunRecord) -> dict[str, Any]:
    """The settings that are not empty, without the training seed, which each seed of the run overrides."""
    settings = {key: value for key, value in record.settings.model_dump(mode="json").items() if value not in (None, [], {})}
    settings["train"] = {key: value for key, value in settings["train"].items() if key != "seed" and value is not None}
    return settings
