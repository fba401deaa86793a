"""The object API: a tagger that fine-tunes, scores, prunes, evaluates, predicts and saves itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, overload

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.progress import Progress
from polyhead.core.settings_file import checked
from polyhead.core.specs import Anchor, Seed, TrainSpec, WindowLength
from polyhead.data.conllu import Words
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.tasks import Task
from polyhead.importance.methods import score_heads
from polyhead.importance.until_settled import score_until_settled
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.inference import Evaluation, Labelled, evaluate, predict
from polyhead.learning.masked_texts import subword_names
from polyhead.learning.teaching import Teacher
from polyhead.learning.text_encoder import Text, TextEncoder, Unknown
from polyhead.learning.training import FitRecord, fit
from polyhead.models.classifiers import classifier_labels
from polyhead.models.devices import Precision, PrecisionChoice, placement
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_tagger, load_tokenizer
from polyhead.models.model_card import ModelCard
from polyhead.models.model_heads import head_mask
from polyhead.models.named_masks import MaskNames
from polyhead.models.names import is_local
from polyhead.models.pruning import prune
from polyhead.models.recorded_task import task_of
from polyhead.models.saving import save_pruned
from polyhead.models.trained_plans import TrainedPlans
from polyhead.selection.ranking import chosen_heads
from polyhead.studies import tagger_facts
from polyhead.studies.tagger_facts import OneText

OneSet = Dataset | Labelled
Sets = Mapping[str, OneSet]
SetMasks = Mapping[str, str | None]


@dataclass(eq=False)
class Tagger:
    """A classifier of tokens or sentences, and how it reads text: `Tagger.load(...)` opens one, the methods need nothing else.

    Data are a `Dataset` from `open_corpus` or `open_file`, or already encoded. `fit` and `prune` change the model in place.
    On a CPU that other processes keep busy, call `torch.set_num_threads(polyhead.models.devices.free_threads())` first.

    Attributes:
        name: The folder or hub id it was loaded from.
        model: The classifier, on the device that work runs on.
        tokenizer: A fast one.
        labels: What the model's outputs mean, in order.
        task: What a label means and which figure counts.
        precision: Precision of matrix products in training, scoring and evaluation.
        anchor: The subword of a word that carries its label.
        max_length: Longest window in subwords, special tokens included.
        trained_words: Words of a treebank it was trained on; None if unknown.
        nested: Heads in the order in which training under nested masks masked them, if it did.
        plans: Plans of heads and neurons that it was trained under, for `shrink`, if it was.

    >>> from polyhead.data.corpora import open_corpus
    >>> from polyhead.data.sampling import sample
    >>> train, dev = (sample(open_corpus("phrases/en", split), 32, seed=1) for split in ("train", "dev"))
    >>> tagger = Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> tagger.fit(train, spec=TrainSpec(epochs=1)).steps
    2
    >>> scores = tagger.score("gradient", dev)
    >>> tagger.prune(scores, 4).n_pruned
    4
    >>> 0 < tagger.evaluate(dev).metrics["accuracy"] < 1
    True
    >>> [len(tags) for tags in tagger.predict([["Where", "is", "the", "station", "?"]])]
    [5]
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: LabelSet
    task: Task
    precision: Precision
    anchor: Anchor
    max_length: int
    trained_words: Words | None = None
    nested: tuple[str, ...] = ()
    plans: TrainedPlans | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is, and so where work on it runs."""
        return placement(self.model)[0]

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        task: str | Task | None = None,
        labels: LabelSet | None = None,
        seed: int | None = None,
        device: str | torch.device = "auto",
        precision: PrecisionChoice = "auto",
        anchor: Anchor | None = None,
        max_length: int | None = None,
        words: Words | None = None,
        revision: str | None = None,
    ) -> Self:
        """A fine-tuned tagger, pruned or not; with a seed also an encoder that gets a new classifier.

        Args:
            name: Folder, or id on the Hub.
            task: A row of the tasks table or its name; None takes the one that the checkpoint was saved with.
            labels: Those of the classifier, from `label_set`; None keeps the stored ones, or with a seed takes the task's own.
            seed: Draws a new classifier if the stored one is not for these labels; None refuses to.
            device: `auto` (the machine's best), `cpu`, `cuda`, `cuda:N` or `mps`.
            precision: `auto` is that of the training where it is recorded, else bf16 where the device has units for it.
            anchor: As in training where that is recorded, else `text`.
            max_length: As in training where that is recorded, else 256.
            words: Which words of a treebank it is trained on, for `save`; as in training where that is recorded.
            revision: Branch, tag or commit on the Hub.

        Raises:
            CheckpointError: There is no such checkpoint, it has no classifier, or its labels are not those asked for.
            SettingError: A setting is not allowed, or task or labels are neither given nor recorded.
        """
        checked("seed", seed, Seed | None)
        checked("anchor", anchor, Anchor | None)
        checked("max_length", max_length, WindowLength | None)
        checked("words", words, Words | None)
        name = str(name)
        choice = EncodingChoice.read(name, revision=revision)
        found = task_of(name, task, choice, revision=revision)
        labels = tagger_facts.labels_of(name, found, labels, seed=seed, revision=revision)
        if precision == "auto" and choice and choice.precision == "fp32":
            precision = "fp32"  # a training in bf16 is followed where this machine has units for it
        where, chosen = placement(device=device, precision=precision)
        tokenizer = load_tokenizer(name, revision=revision)
        model = load_tagger(name, labels=labels, seed=seed, revision=revision, kind=found.kind).to(where)
        return cls(
            name=name,
            model=model,
            tokenizer=tokenizer,
            labels=labels or LabelSet(classifier_labels(model.config, found.kind) or subword_names(tokenizer, model.config)),
            task=found,
            precision=chosen,
            anchor=anchor or (choice.anchor if choice else "text"),
            max_length=max_length or (choice.max_length if choice else 256),
            trained_words=words or (choice.words if choice else None),
            nested=choice.nested if choice else (),
            plans=tagger_facts.own_plans(choice, model, name),
        )

    @property
    def encoding(self) -> EncodingChoice:
        """How the model reads text and was trained, as a checkpoint records it."""
        own = {name: getattr(self, name) for name in ("anchor", "max_length", "precision", "nested", "plans")}
        return EncodingChoice(**own, words=self.trained_words or "surface", task=self.task.name)

    @property
    def reader(self) -> TextEncoder:
        """How the model reads text."""
        return TextEncoder.of(
            self.model.config, self.task, self.tokenizer, labels=self.labels, anchor=self.anchor, max_length=self.max_length
        )

    def encode(self, sentences: Dataset | Sequence[Sentence], *, unknown: Unknown = "ignore") -> Encoded:
        """The sentences as this model reads them; by default gold labels that it lacks are left out of losses, not of figures.

        Raises:
            DataFormatError: A gold label is not one of the model's and `unknown="error"`.
        """
        return self.reader.encode(sentences, unknown=unknown)

    def labelled(self, data: Dataset) -> Labelled:
        """The sentences as this model reads them, with their gold labels; TypeError if it is not one data set."""
        return self.reader.labelled(data)

    def fit(
        self,
        data: Text | Sequence[Text],
        *,
        spec: TrainSpec | None = None,
        nested: HeadScores | TrainedPlans | None = None,
        max_pruned: int = 12,
        teacher: Teacher | None = None,
        resume_file: str | Path | None = None,
        progress: Progress | None = None,
    ) -> FitRecord:
        """The record of fine-tuning the model in place; see `polyhead.fit` for cost and for what makes numbers repeat.

        Args:
            data: What to train on; several are trained on together.
            spec: How to train. Left at their defaults, `anchor`, `max_length` and `precision` are the tagger's own.
            nested: Scores: each sentence is read without some of the `max_pruned` lowest heads; `prune` then removes any number.
                Or plans, from `elastic_plans`: each sentence is read under one; `shrink` then takes any of them.
            max_pruned: Largest number of masked heads, with scores.
            teacher: Whose predictions to learn from as well; `Teacher(0.5)` is the model itself, whole.
            resume_file: State of training, which a second call continues.
            progress: Updated after every step.

        Raises:
            SettingError: No text, masked text, or `spec` asks for another anchor, length or precision than the tagger's.
            DataFormatError: A label is not one of the model's.
            StoreError: `resume_file` cannot be written, or belongs to another training.
        """
        if self.task.kind == "masked":
            raise SettingError(f"task {self.task.name}: heads are scored with the model as it is; nothing is fine-tuned")
        spec = tagger_facts.own_spec(spec, {"anchor": self.anchor, "max_length": self.max_length, "precision": self.precision})
        encoded, masks = self.reader.together(data, unknown="error"), tagger_facts.nested_masks(self.model, nested, max_pruned)
        file = Path(resume_file) if resume_file else None
        record = fit(self.model, encoded, spec, mask=masks, teacher=teacher, resume_file=file, progress=progress)
        self.nested = masks.order if masks is not None and isinstance(nested, HeadScores) else ()
        self.plans = nested if isinstance(nested, TrainedPlans) else None
        return record

    def score(
        self,
        method: str,
        data: Text | Sequence[Text],
        *,
        seed: int = 42,
        options: object = None,
        until_settled: int | None = None,
        resume_file: str | Path | None = None,
        progress: Progress | None = None,
    ) -> HeadScores:
        """Importance of every head, `[layers, heads]`, higher = more important; see `polyhead.score_heads`.

        Args:
            method: Name in `METHODS`, which also says what it costs.
            data: Labelled sentences, never of a test split.
            seed: Random seed of methods that draw numbers.
            options: The method's own, such as `{"n_lowest": 24}`; `polyhead methods` lists them.
            until_settled: Read sentences at random until this many lowest heads are settled; see `polyhead.score_until_settled`.
            resume_file: Partial results of a long method, which a second call continues.
            progress: Updated as the work advances.

        Raises:
            UnknownNameError: No method has this name.
            SettingError: No labelled word, where labels are needed, or the method has no such option.
        """
        encoded = self.reader.together(data, unknown="ignore")
        if until_settled is None:
            score = partial(score_heads, method, self.model, scoring_batches(encoded))
        else:
            score = partial(score_until_settled, method, self.model, encoded, n_lowest=until_settled)
        file = Path(resume_file) if resume_file else None
        scores = score(seed=seed, precision=self.precision, progress=progress, resume_file=file, options=options)
        facts = {"task": self.task.name, "anchor": self.anchor, "max_length": self.max_length}
        return tagger_facts.with_facts(scores, data, model=self.name, seed=seed, **facts)

    def prune(self, heads: HeadMask | Mapping[str, HeadMask] | HeadScores | None = None, n_pruned: int | None = None) -> HeadMask:
        """The heads left after removing, for good and in place, those that a mask drops, or the lowest by their scores.

        Args:
            heads: A mask, True = keep (`prune_lowest` makes one that leaves every layer some heads), or several by name (see
                `polyhead.prune`); or scores of this model; None for the order of a training under nested masks.
            n_pruned: Without a mask, and only then: how many heads to remove, besides those already pruned.

        Raises:
            SettingError: A wrong shape, a head without a score, too few heads, or `n_pruned` beside a mask or not beside scores.
        """
        prune(self.model, chosen_heads(heads, n_pruned, nested=self.nested, present=head_mask(self.model)))
        return head_mask(self.model)

    @overload
    def evaluate(
        self, data: OneSet, *, mask: HeadMask | None = None, mask_names: str | None = None, progress: Progress | None = None
    ) -> Evaluation: ...
    @overload
    def evaluate(
        self, data: Sets, *, mask: HeadMask | None = None, mask_names: SetMasks | None = None, progress: Progress | None = None
    ) -> dict[str, Evaluation]: ...
    def evaluate(
        self,
        data: OneSet | Sets,
        *,
        mask: HeadMask | None = None,
        mask_names: str | SetMasks | None = None,
        progress: Progress | None = None,
    ) -> Evaluation | dict[str, Evaluation]:
        """How well the data are labelled, in fractions (0 to 1); of several by name, each under its name, all in one pass.

        A model with masks by language reads each data set of such a language under its mask. If it reads others with all heads
        because nothing names their mask, a warning says so.

        Args:
            data: With gold labels.
            mask: Heads not kept are gated to zero.
            mask_names: The model's mask that the data are read under, for several data sets by name; None for all heads.
                `Labelled` data need it, because they do not know their language.
            progress: Updated after every batch.

        Raises:
            SettingError: The model has no such mask.
        """
        if not isinstance(data, Mapping):
            named = {"": mask_names} if isinstance(mask_names, str) else mask_names
            return self.evaluate({"": data}, mask=mask, mask_names=named, progress=progress)[""]
        labelled = {name: own if isinstance(own, Labelled) else self.labelled(own) for name, own in data.items()}
        names = tagger_facts.mask_of_each(self.model, data, mask_names)
        score = partial(evaluate, self.model, labelled, self.task, self.labels, precision=self.precision)
        return score(mask=mask, mask_names=names, progress=progress)

    def predict(
        self, sentences: Text | Sequence[OneText], *, mask_names: MaskNames | None = None, progress: Progress | None = None
    ) -> list[list[str]]:
        """One label for every word, in a sentence task one for every sentence, in the order given.

        Args:
            sentences: Read from a file, or plain lists of words; in a sentence task texts, or pairs of texts.
            mask_names: For each sentence the model's mask that it is read under, or None for all heads. A model that has masks
                warns if this is not given.
            progress: Updated after every batch.

        Raises:
            SettingError: A sentence is not a list of words, or not a text or a pair of texts; the model has no such mask; or the
                task is masked text.
        """
        if self.task.kind == "masked":
            raise SettingError(f"task {self.task.name}: scores heads on raw text, and has no labels to predict")
        encoded = tagger_facts.encoded_texts(self.reader, sentences, whole=self.task.kind == "sentence")
        if mask_names is None:
            tagger_facts.warn_of_all_heads(self.model, "mask_names")
        tag = partial(predict, self.model, encoded, labels=self.labels, precision=self.precision)
        return tag(mask_names=mask_names, progress=progress)

    def save(self, folder: str | Path, *, card: ModelCard | None = None, overwrite: bool = False) -> Path:
        """The folder, written whole or not at all; `Tagger.load`, and after `import polyhead` stock `from_pretrained`, open it.

        Args:
            folder: New or empty, unless `overwrite`.
            card: What README.md says beside the removed heads; by default the encoder and the task.
            overwrite: Replace a folder that holds something, once the new one is complete.

        Raises:
            CheckpointError: The folder cannot be written or is not empty.
        """
        card = card or ModelCard(base_model="" if is_local(self.name) else self.name, task=self.task.name)
        return save_pruned(self.model, folder, tokenizer=self.tokenizer, card=card, encoding=self.encoding, overwrite=overwrite)
