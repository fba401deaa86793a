"""Distillation of a smaller tagger on unlabelled text, for a budget of processor time that becomes a number of steps first."""

import copy
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress
from polyhead.core.specs import TrainSpec
from polyhead.data.plain_text import Line, raw_text, words_of
from polyhead.data.sentences import Sentence
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.resumable import hash_of, kept_at
from polyhead.learning.teaching import Teacher
from polyhead.learning.text_encoder import as_sentence
from polyhead.learning.training import fit
from polyhead.studies.tagger import Tagger
from polyhead.studies.tagger_facts import own_spec

Lines = Mapping[str, Sequence[Line]]

RATE_SHARE: Final = 0.3
"""Peak learning rate, as a share of that of fine-tuning an encoder of this width."""
_TIMED = 8  # steps that the rate of steps is measured on


@dataclass(frozen=True)
class Distilled:
    """Facts about a finished distillation.

    Attributes:
        minutes: Processor minutes asked for.
        steps: Optimiser steps; fixed before the first one.
        batch_size: Sentences per step, as many of each language.
        learning_rate: Peak.
        cpu_seconds: Processor time of this call, over all threads; on other devices wall-clock time.
    """

    minutes: float
    steps: int
    batch_size: int
    learning_rate: float
    cpu_seconds: float


def distil_tagger(
    small: Tagger,
    teacher: Tagger,
    lines: Lines,
    *,
    minutes: float,
    seed: int,
    resume_file: Path | None = None,
    progress: Progress | None = None,
) -> Distilled:
    """The facts of teaching a smaller tagger, in place, what a larger one says about unlabelled text.

    The loss is the Kullback-Leibler divergence of the predictions at every subword of the text from the teacher's; no label is
    read. One pass over a seeded sample that has as many lines of each language, drawn again only where a language has too few.
    AdamW, linear warm-up over 6 % of the steps and linear decay; the peak rate is 0.3 of that of fine-tuning (of 3e-4 up to 384
    wide, of 5e-5 above). Embeddings are not trained, because text in a few languages says nothing about the others.

    The number of steps is the budget over the time of a step, both in processor time summed over threads, measured on eight
    steps of a copy. It is kept beside `resume_file`, so that work which was stopped ends with the same numbers. A step costs a
    forward pass of the teacher and a forward and a backward pass of the smaller model. Memory: the two models, a copy, gradients
    and two moments of the smaller one.

    Args:
        small: Trained in place; it reads the same ids as the teacher.
        teacher: Not changed.
        lines: Text of each language.
        minutes: Processor minutes; at least one step is taken.
        seed: Of the sample, the order and dropout.
        resume_file: The state of training is kept beside it.
        progress: Updated after every step.

    Raises:
        SettingError: A language has no text.
        StoreError: The files are of other work.
    """
    spec = own_spec(
        TrainSpec(epochs=1, freeze=("embeddings",), seed=seed),
        {"anchor": small.anchor, "max_length": small.max_length, "precision": small.precision},
    )
    spec = replace(spec, learning_rate=RATE_SHARE * spec.rate_for(small.model.config.hidden_size))
    texts = lines_with_words(lines)
    lessons, state, steps_file = Teacher(1.0, teacher.model, subwords=True), None, None
    if resume_file is not None:
        state, steps_file = state_files(resume_file)
    steps = _steps(small, lessons, texts, spec, minutes, steps_file, progress)
    started = _clock(small)
    encoded = _encoded(small, texts, steps * spec.batch_size, seed)
    record = fit(small.model, encoded, spec, teacher=lessons, resume_file=state, progress=progress)
    return Distilled(minutes, record.steps, spec.batch_size, float(spec.learning_rate or 0.0), _clock(small) - started)


def lines_with_words(lines: Mapping[str, Iterable[Line]]) -> dict[str, tuple[Line, ...]]:
    """Every line that can be learnt from, by language.

    Raises:
        SettingError: A language has none.
    """
    texts = {language: tuple(line for line in own if words_of(line)) for language, own in lines.items()}
    if empty := [language for language, own in texts.items() if not own]:
        raise SettingError(f"distil: the text of {empty[0]} has no line with a word; check the file")
    return texts


def hash_of_lines(lines: Lines) -> str:
    """Sixteen hex digits that differ for other text; empty without any."""
    digest = hashlib.sha256()
    for language, own in lines.items():
        for line in own:
            digest.update(f"{language} {raw_text(line)}\n".encode())
    return digest.hexdigest()[:16] if lines else ""


def state_files(resume_file: Path) -> tuple[Path, Path]:
    """Where the state of training and the number of steps are kept."""
    return resume_file.with_name(f"{resume_file.name}.distil"), resume_file.with_name(f"{resume_file.name}.steps")


def _steps(
    small: Tagger,
    lessons: Teacher,
    texts: Lines,
    spec: TrainSpec,
    minutes: float,
    file: Path | None,
    progress: Progress | None,
) -> int:
    """The steps that the budget pays for, those of measuring included; kept in the file."""
    encoded = _encoded(small, texts, _TIMED * spec.batch_size, spec.seed)
    weights = "" if lessons.model is None else hash_of(lessons.model.state_dict().items())[:16]
    facts = {"work": "steps of distillation", "minutes": minutes, "seed": spec.seed, "teacher": weights}
    partial = kept_at(file, small.model, scoring_batches(encoded), facts)
    if found := partial.load():
        return int(found["steps"])
    started = _clock(small)
    record = fit(copy.deepcopy(small.model), encoded, spec, teacher=lessons, progress=progress)
    spent = _clock(small) - started
    steps = max(1, int((60 * minutes - spent) / max(spent / record.steps, 1e-6)))
    partial.save({"steps": steps})
    return steps


def _clock(tagger: Tagger) -> float:
    return time.process_time() if tagger.device.type == "cpu" else time.perf_counter()


def _encoded(tagger: Tagger, texts: Lines, n: int, seed: int) -> Encoded:
    """`n` lines, languages in turn, as the tagger reads them."""
    languages, whole = list(texts), tagger.task.kind == "sentence"
    orders = [np.random.default_rng((seed, i)).permutation(len(texts[language])) for i, language in enumerate(languages)]
    chosen: list[Sentence] = []
    for number in range(n):
        place, which = divmod(number, len(languages))
        order = orders[which]
        chosen.append(_sentence(texts[languages[which]][order[place % len(order)]], number + 1, whole))
    return tagger.encode(chosen)


def _sentence(line: Line, number: int, whole: bool) -> Sentence:
    if isinstance(line, Sentence):
        return (
            replace(line, labels=(None,) * len(line.labels))
            if bool(line.texts) == whole
            else _sentence(line.words, number, whole)
        )
    return as_sentence(raw_text(line) if whole else list(words_of(line)), number, whole=whole)
