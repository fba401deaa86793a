"""Which sources and targets of a grid belong together in each setting, and what each corpus must have for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from polyhead.data.corpora import corpus
from polyhead.data.corpus_table import Split
from polyhead.data.references import DataReference, Role, labelled_for
from polyhead.studies.study_cells import Setting

Pair = tuple[tuple[str, ...], tuple[str, ...]]
"""What a cell is trained on and what it is tested on."""


def pairs(setting: Setting, sources: Sequence[str], targets: Sequence[str], *, folder: str | None = None) -> list[Pair]:
    """The sources and targets of every cell of a setting; languages are compared by their primary subtag.

    Here and below, `folder` is where relative paths start, the current one if it is None.

    >>> pairs("cross-lingual", ["ud/en_ewt", "ud/de_hdt"], ["ud/de_gsd", "ud/nl_alpino"])
    [(('ud/en_ewt',), ('ud/de_gsd', 'ud/nl_alpino')), (('ud/de_hdt',), ('ud/nl_alpino',))]
    >>> pairs("multi-source", ["ud/en_ewt", "ud/de_hdt", "ud/nl_alpino"], ["ud/de_gsd"])
    [(('ud/en_ewt', 'ud/nl_alpino'), ('ud/de_gsd',))]
    """
    return list(_PAIRS[setting](sources, targets, folder))


def unpaired(
    setting: Setting, sources: Sequence[str], targets: Sequence[str], *, folder: str | None = None
) -> Iterator[tuple[str, str]]:
    """The key, `sources` or `targets`, and what is wrong, where a source or a target is in no cell of the setting."""
    found = pairs(setting, sources, targets, folder=folder)
    trained, tested = {own[0] for own, _ in found}, {name for _, others in found for name in others}
    if setting == "monolingual":
        for source in sources:
            if source not in trained:
                yield "sources", f"{source!r}: has no test split; name a target in its language"
        return
    if not targets:
        yield "settings", f"{setting!r}: needs targets"
        return
    if setting == "multi-source":
        for target in targets:
            if target not in tested:
                yield "targets", f"{target!r}: multi-source needs two or more sources in other languages than the target's"
        return
    for source in sources:
        if source not in trained:
            step = 'name targets in other languages, or settings = ["monolingual"]'
            yield "sources", f"{source!r}: every target has its language, and {setting} tests other languages; {step}"


def unfit(reference: str, role: Role, task: str, splits: Sequence[Split], *, folder: str | None = None) -> str:
    """What keeps a reference from being read with these splits for a task; empty if nothing does. Opens nothing."""
    found = DataReference.parse(reference, role, folder=folder)
    if found.files is not None:
        missing = [split for split in splits if split not in found.files]
        step = "write LANGUAGE=TRAIN:DEV:TEST (parts may be left empty)"
        return f"{reference!r}: no {missing[0]} file; {step}" if missing else ""
    row = corpus(found.name)
    if row.task != task:
        others = ", ".join(labelled_for(task, found.name)) or "no corpus that polyhead knows by name"
        return f"{reference!r}: is labelled for the task {row.task}, not {task}; for {task} its language has {others}"
    missing = [split for split in splits if split not in row.splits]
    there = ", ".join(row.splits)
    return f"{reference!r}: has no {missing[0]} split, only {there}{'; ' * bool(row.advice)}{row.advice}" if missing else ""


def _language(reference: str) -> str:
    found = DataReference.parse(reference)
    code = found.name if found.files is not None else corpus(found.name).language
    return reference if code == "und" else code.partition("-")[0]


def _others(name: str, among: Sequence[str]) -> tuple[str, ...]:
    return tuple(other for other in among if _language(other) != _language(name))


def _cross_lingual(sources: Sequence[str], targets: Sequence[str], folder: str | None) -> Iterator[Pair]:
    for source in sources:
        if others := _others(source, targets):
            yield (source,), others


def _together(sources: Sequence[str], targets: Sequence[str], folder: str | None) -> Iterator[Pair]:
    for source in sources:
        for target in _others(source, targets):
            yield (source, target), (target,)


def _multi_source(sources: Sequence[str], targets: Sequence[str], folder: str | None) -> Iterator[Pair]:
    for target in targets:
        if len(others := _others(target, sources)) > 1:
            yield others, (target,)


def _monolingual(sources: Sequence[str], targets: Sequence[str], folder: str | None) -> Iterator[Pair]:
    for source in sources:
        if same := tuple(target for target in targets if _language(target) == _language(source)):
            yield (source,), same
        elif DataReference.parse(source, "source", folder=folder).has("test"):
            yield (source,), (source,)


_PAIRS: Final[Mapping[Setting, Callable[[Sequence[str], Sequence[str], str | None], Iterator[Pair]]]] = {
    "cross-lingual": _cross_lingual,
    "multi-lingual": _together,
    "multi-source": _multi_source,
    "low-resource": _together,
    "monolingual": _monolingual,
}
