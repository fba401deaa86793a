"""A cell of a study: every value that decides its numbers, as one flat record with a fingerprint."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final, Literal

from polyhead.core.heads import Normalisation
from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.core.values import fingerprint
from polyhead.models.names import model_in
from polyhead.studies.arms import Arm, Cell
from polyhead.studies.protocols import ProtocolName
from polyhead.studies.settings import Combine, RankOn, RunSettings, SelectOn, UnseenLabels

Setting = Literal["cross-lingual", "multi-lingual", "multi-source", "low-resource", "monolingual"]
StudyArm = Literal["ranked", "random", "highest", "depth", "noise"]
PLACES: Final = frozenset({"data", "folder"})
"""Fields of a cell that say where things lie, and decide no number."""


@dataclass(frozen=True, kw_only=True)
class StudyCell:
    """One model, trained on its sources with one seed, searched in one arm, and tested on its targets.

    The fingerprint leaves out `data` and `folder`: machines may keep the corpora, and a study may lie, in different folders.

    Attributes:
        task: Name in `TASKS`.
        model: Folder or hub id of the pre-trained encoder.
        revision: Of a hub id.
        setting: How sources and targets belong together.
        sources: References trained on; of a multi-lingual or low-resource cell the source and the target.
        targets: References tested on.
        method: Importance method.
        normalisation: Of the scores before ranking.
        protocol: Row of the protocols table.
        rank_on: Whether the target's training language is ranked on too.
        combine: How several sources make one ranking.
        target_tenths: Tenths of the target's training sentences that are used; None outside low-resource cells.
        train_limit: Training sentences used of each source; None uses all.
        search: How k is found.
        select_on: Dev sets that choose k.
        train: How a model is fine-tuned, with the seed.
        arm: `ranked`, a control of it, or `noise`: an unpruned fine-tuning of the pool of re-seeded ones.
        data: Folder of the corpora.
        folder: Folder of the study file, which relative paths of models and files start from; the current one if None.
        columns: Layout of the user's own files.
        scheme: Tagging scheme of the user's own files.
        strict: Whether malformed input is an error.
        unseen_labels: What is done about labels of targets that no source has.
    """

    task: str
    model: str
    revision: str | None
    setting: Setting
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    method: str
    normalisation: Normalisation
    protocol: ProtocolName
    rank_on: RankOn
    combine: Combine
    target_tenths: int | None
    train_limit: int | None
    search: SearchSpec
    select_on: SelectOn
    train: TrainSpec
    arm: StudyArm
    data: str | None
    folder: str | None
    columns: str | None
    scheme: str | None
    strict: bool
    unseen_labels: UnseenLabels

    @property
    def seed(self) -> int:
        """Seed of its fine-tunings, of the ranking and of a random order."""
        return self.train.seed

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits: the same for equal values wherever the corpora lie, different if any other value differs."""
        return fingerprint({item.name: getattr(self, item.name) for item in fields(self) if item.name not in PLACES})

    @property
    def encoder(self) -> str:
        """The model as loaders take it: its folder's path, else the name."""
        return model_in(self.model, self.folder)

    def settings(self) -> RunSettings:
        """The settings of a run of this cell; its seed and its arm are in `cell`.

        Raises:
            SettingError: Two values exclude each other.
            UnknownNameError: No task or corpus has this name.
        """
        return RunSettings(
            model=self.model,
            revision=self.revision,
            task=self.task,
            sources=self.sources,
            targets=self.targets,
            data=self.data,
            folder=self.folder,
            method=self.method,
            normalisation=self.normalisation,
            protocol=self.protocol,
            rank_on=self.rank_on,
            combine=self.combine,
            target_tenths=self.target_tenths,
            train_limit=self.train_limit,
            search=self.search,
            select_on=self.select_on,
            train=self.train,
            columns=self.columns,
            scheme=self.scheme,
            strict=self.strict,
            unseen_labels=self.unseen_labels,
        )

    def cell(self) -> Cell:
        """The cell of a run; a `noise` cell, which is only trained and tested, is called `ranked` there."""
        arm: Arm = "ranked" if self.arm == "noise" else self.arm
        return Cell(self.train, arm)
