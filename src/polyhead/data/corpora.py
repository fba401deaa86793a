"""Open a corpus by name or a file by path, with its hash and the number of repairs."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyhead.core.arguments import PATH, require
from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.data.column_format import ColumnFormat
from polyhead.data.conllu import Words
from polyhead.data.corpus_table import CORPORA, Corpus, CorpusFile, Split
from polyhead.data.download_urls import how_to_get
from polyhead.data.labels import harmonise
from polyhead.data.layouts import Layout, NamedLayout, read_layout
from polyhead.data.phrases.files import phrase_dataset
from polyhead.data.schemes import SCHEME_NAMES, wrong_scheme
from polyhead.data.schemes import scheme as scheme_of
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import TASKS, TEXT_KINDS, Task
from polyhead.data.text_format import NO_COLUMN, TextFormat
from polyhead.data.textfile import SUFFIXES, TextFile, data_error, find_file

__all__ = ["CORPORA", "corpus", "open_corpus", "open_file"]


def _parse(name: str) -> tuple[str, Words | None]:
    base, at, suffix = name.partition("@")
    if not at:
        return base, None
    if not base.startswith("ud/") or suffix not in ("words", "surface"):
        raise UnknownNameError(f"corpus {name!r}: only ud/ names take a suffix, and only @words or @surface")
    return base, "syntactic" if suffix == "words" else "surface"


def corpus(name: str) -> Corpus:
    """The corpus of that name; `@words` and `@surface` after a treebank's name are allowed.

    Raises:
        UnknownNameError: No corpus has this name.

    >>> corpus("masakhaner/swa").language
    'sw'
    """
    base, _ = _parse(name)
    if base not in CORPORA:
        relatives = [known for known in CORPORA if known.partition("/")[0] == base.partition("/")[0]]
        near = get_close_matches(base, CORPORA, n=3) or get_close_matches(base, relatives, n=3, cutoff=0)
        families = ", ".join(dict.fromkeys(known.partition("/")[0] for known in CORPORA))
        hint = f"did you mean {' or '.join(near)}" if near else f"there are families {families} (polyhead data list)"
        raise UnknownNameError(f"corpus {name!r}: no such name; {hint}; your own files: LANGUAGE=FILE (Python: open_file)")
    return CORPORA[base]


def row_groups(sizes: Mapping[str, int]) -> dict[str, str]:
    """By name of each split, a label that it shares with the splits whose sentence i is a translation of its sentence i.

    Rows match if the table declares the corpora as translations (`Corpus.parallel`) and they have equally many sentences: if
    sentences of one are missing, its rows do not match. Other corpora and files of a user's own have a label for themselves.

    Args:
        sizes: Number of sentences by name, all of one split.

    >>> row_groups({"xsid/de": 500, "xsid/nl": 500, "xsid/ja": 250, "mine.tsv": 500})
    {'xsid/de': 'xsid 500', 'xsid/nl': 'xsid 500', 'xsid/ja': 'xsid 250', 'mine.tsv': 'mine.tsv'}
    """
    groups = {name: CORPORA[name].parallel if name in CORPORA else "" for name in sizes}
    return {name: f"{group} {sizes[name]}" if group else name for name, group in groups.items()}


def independent(name: str, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts by independent unit `[..., units, columns]`, from those by sentence `[..., sentences, columns]`.

    Units are sentences, except in corpora whose neighbouring sentences share a text (`Corpus.block`): resampling these one by one
    would make intervals too narrow.

    >>> independent("xnli/de", np.ones((6, 2), dtype=np.int64)).tolist(), independent("ud/de_gsd", np.ones((1, 2))).shape
    ([[3, 3], [3, 3]], (1, 2))
    """
    size, n = (CORPORA[name].block if name in CORPORA else 1), counts.shape[-2]
    if size == 1 or n % size:
        return counts
    return np.asarray(counts.reshape(*counts.shape[:-2], n // size, size, counts.shape[-1]).sum(axis=-2))


def open_corpus(
    name: str,
    split: Split,
    *,
    root: str | Path | None = None,
    words: Words = "surface",
    kept: frozenset[str] = frozenset(),
    merge: bool = True,
    strict: bool = False,
) -> Dataset:
    """One split of a known corpus, read from its file or generated in memory (`phrases/de`).

    Args:
        name: A key of `CORPORA`, for example `ud/en_ewt`; `ud/NAME@words` is the same with `words="syntactic"`.
        split: `train`, `dev` or `test`.
        root: The folder that holds `ud/`, `ner/` and `slots/`; generated corpora need none.
        words: For treebanks: `surface` reads the `.surface` file if there is one, else each multiword range as one word;
            `syntactic` reads syntactic words, which a `.surface` file does not have. Other corpora have one kind of word.
        kept: Span types that are not merged where the corpus merges types (`Corpus.merges_types`).
        merge: Whether types are merged at all.
        strict: Raise where a repair or a known quirk would be counted.

    Raises:
        UnknownNameError: There is no such corpus or split; the message lists what exists.
        SettingError: A corpus of files without `root`, or syntactic words of a generated one.
        DataFormatError: The file is missing or broken.

    >>> data = open_corpus("phrases/de", "dev")
    >>> data.language, data.split, len(data.sentences)
    ('de', 'dev', 400)
    """
    require(name=(name, str), split=(split, str), root=(root, PATH | None))
    if "=" in name:
        call = f"open_file({name.rpartition('=')[2]!r}, task, {split!r}, language={name.partition('=')[0]!r})"
        raise UnknownNameError(f"corpus {name!r}: expected a name such as ud/en_ewt; files of your own open with {call}")
    base, asked = _parse(name)
    row = corpus(name)
    words = asked or words
    if split not in row.splits:
        there = ", ".join(row.splits)
        raise UnknownNameError(f"corpus {base} has no {split} split; it has {there}; {row.advice or 'hold out a part of train'}")
    if row.made and words == "syntactic":
        raise SettingError(f"corpus {base}: has surface words only; leave out @words for all corpora of this run")
    if row.made:
        return phrase_dataset(base, row.made, row.task, split)
    if root is None:
        raise SettingError(
            f"corpus {base}: needs the folder that holds ud/, ner/, slots/ and nli/; give --data FOLDER (Python: root=)"
        )
    shown = f"{base}@words" if words == "syntactic" and base.startswith("ud/") else base
    path, layout = corpus_file(base, split, root=Path(root), words=words)
    if find_file(path) is None:
        advice = f"; {row.advice}" if row.advice and split == "train" else ""
        get = f"check --data, or {how_to_get(base, root=str(root))}{advice}"
        raise data_error(path, 0, "no such file", f"the {split} file of {shown} below the data root; {get}")
    dataset = _read(path, shown, split, language=row.language, layout=layout, words=words, strict=strict)
    return harmonise(dataset, TASKS[row.task], kept=kept) if merge and row.merges_types else dataset


def corpus_file(name: str, split: Split, *, root: Path, words: Words = "surface") -> tuple[Path, Layout | None]:
    """Path and layout of a split's file, which may be missing or have a suffix such as `.xz` (`find_file`).

    Raises:
        DataFormatError: Syntactic words are asked for, but there is only a `.surface` file.
    """
    row = corpus(name)
    file: CorpusFile = row.splits[split]
    if file.released is not None and find_file(root / file.released.path) is not None:
        file = file.released
    layout = file.layout or row.layout
    if layout is not None:
        return root / file.path, layout
    path, surface = root / f"{file.path}.conllu", root / f"{file.path}.surface.conllu"
    if find_file(surface) is None:
        return path, None
    if words == "syntactic" and find_file(path) is None:
        expected = f"{path.name} for {name}@words; only surface tokens are at hand: leave out @words for all corpora of this run"
        raise data_error(path, 0, "no such file", expected)
    return (surface if words == "surface" else path), None


def is_conllu(path: Path) -> bool:
    """Whether a file, possibly compressed, is named like a CoNLL-U file."""
    name = path.name.lower()
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name.endswith((".conllu", ".conll-u"))


def open_file(
    path: str | Path,
    task: Task,
    split: Split,
    *,
    language: str,
    scheme: str | None = None,
    columns: Layout | None = None,
    words: Words = "surface",
    strict: bool = False,
    labelled: bool = True,
) -> Dataset:
    r"""A user's own file as one split; span types are not merged.

    For a tag task, a `.conllu` file (also compressed) is read as CoNLL-U; all other files as `columns` declares. By default the
    word is the first column, the tag the last, and the separator TAB if the first row has one, else spaces. For a sentence task,
    columns have names, and by default the usual ones (`data.text_format`).

    Args:
        path: The file.
        task: A row of `TASKS`.
        split: The split that the file serves as.
        language: BCP-47 code.
        scheme: Scheme of the span tags, a row of `SCHEMES` (`iob2`, `bioes`); required for span tasks, here or in `columns`.
        columns: The layout, for example from `parse_layout("tab:token=2,tag=3,comments=hash", scheme=None)`.
        words: Surface tokens or syntactic words of CoNLL-U (see `open_corpus`).
        strict: Raise where a repair would be counted.
        labelled: For sentence tasks: whether there must be a column of labels.

    Raises:
        SettingError: A span task without a scheme, another task with one, or a layout that holds labels of another kind.
        DataFormatError: The file is missing or not as declared.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "dev.txt"
    ...     _ = path.write_text("Anna B-PER\nsings O\n", encoding="utf-8")
    ...     data = open_file(path, TASKS["ner"], "dev", language="en", scheme="iob2")
    >>> data.sentences[0].labels
    ('B-PER', 'O')
    """
    require(path=(path, PATH), task=(task, Task), split=(split, str), language=(language, str))
    path = Path(path)
    if task.kind == "masked" and columns is None and is_conllu(path):
        read = _read(path, str(path), split, language=language, layout=None, words=words, strict=strict)
        return replace(read, sentences=tuple(sentence.whole for sentence in read))
    layout = columns or ({"sentence": TextFormat(), "masked": TextFormat("lines")}.get(task.kind) or ColumnFormat())
    if isinstance(layout, TextFormat) != (task.kind in TEXT_KINDS):
        held = "one label for each text" if isinstance(layout, TextFormat) else "labels of words"
        raise SettingError(f"{path}: the layout holds {held}, but task {task.name} has none; declare columns")
    if isinstance(layout, TextFormat):
        if scheme is not None:
            raise SettingError(f"scheme {scheme!r}: task {task.name} has no spans; leave the scheme out")
        layout = replace(layout, types=task.labels or None, n_texts=task.n_texts, needs_label=labelled)
        if task.kind == "masked":
            layout = replace(layout, label=NO_COLUMN, needs_label=False)
    elif isinstance(layout, NamedLayout):
        if layout.kind != task.kind:
            held = "spans" if layout.kind == "span" else "tags that stand alone"
            raise SettingError(f"{path}: the layout holds {held}, but task {task.name} has none; declare columns")
    elif task.kind == "tag":
        if scheme is not None or layout.scheme is not None:
            raise SettingError(f"scheme {scheme or layout.scheme!r}: task {task.name} has no spans; leave the scheme out")
        if columns is None and is_conllu(path):
            return _read(path, str(path), split, language=language, layout=None, words=words, strict=strict)
        layout = replace(layout, types=frozenset(task.labels) or None)
    else:
        declared = scheme_of(scheme) if scheme is not None else layout.scheme
        if declared is None:
            allowed = f"--scheme (Python: scheme=), one of {SCHEME_NAMES}"
            raise SettingError(f"{path}: task {task.name} needs the scheme of its tags: give {allowed}")
        layout = replace(layout, scheme=declared)
    found = _read(path, str(path), split, language=language, layout=layout, words=words, strict=strict)
    n_spans = sum((label or "").startswith("B-") for sentence in found for label in sentence.labels)
    return replace(found, repairs={f"{what}{wrong_scheme(what, n, n_spans)}": n for what, n in found.repairs.items()})


def _read(path: Path, name: str, split: Split, *, language: str, layout: Layout | None, words: Words, strict: bool) -> Dataset:
    digest = hashlib.sha256()
    file = TextFile(path, language, strict, digest=digest)
    read = tuple(read_layout(file, layout, words=words))
    return Dataset(name, language, split, read, dict(sorted(file.repairs.items())), digest.hexdigest())
