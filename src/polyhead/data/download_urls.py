"""Where corpora are published, their licences, and the files that `polyhead data get` fetches.

URLs name a release or a commit where the source has one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from polyhead.data.checksums import PINNED
from polyhead.data.corpus_table import CORPORA, SPLITS, Split
from polyhead.data.layouts import Layout

_GITHUB = "https://raw.githubusercontent.com"
_UD_RELEASE = "r2.7"
Kind = Literal["massive", "wikiann"]


@dataclass(frozen=True)
class Remote:
    """One file at its source.

    Attributes:
        url: Its URL.
        path: Target below the data root.
        is_licence: Whether it is the text of the licence, which may be missing.
    """

    url: str
    path: str
    is_licence: bool = False

    @property
    def sha256(self) -> str | None:
        """The pinned checksum, if there is one."""
        return PINNED.get(self.path)


@dataclass(frozen=True)
class Archive:
    """One language in an archive of many.

    Attributes:
        remote: The archive.
        kind: Its layout.
        member: The language's name in it.
        targets: Target of each split, below the data root.
    """

    remote: Remote
    kind: Kind
    member: str
    targets: Mapping[Split, str] = field(hash=False)


@dataclass(frozen=True)
class Source:
    """Published files of one corpus.

    Attributes:
        page: Web page.
        licence: As its source states it.
        files: Files to fetch one by one.
        archive: Archive to fetch and unpack.
        missing: What the corpus table has but this source lacks, and what to do; empty if nothing.
    """

    page: str
    licence: str
    files: tuple[Remote, ...] = ()
    archive: Archive | None = None
    missing: str = ""


_BY_SA, _BY_NC_SA = "CC BY-SA 4.0", "CC BY-NC-SA 4.0 (not for commercial use)"
_UD_LICENCES = {
    "ud/ar_padt": "CC BY-NC-SA 3.0 (not for commercial use)",
    "ud/he_htb": _BY_NC_SA,
    "ud/ur_udtb": _BY_NC_SA,
}
# Repository and commit of each.
_UNER = {
    "uner/en_ewt": ("UNER_English-EWT", "8ed072de2f"),
    "uner/zh_gsdsimp": ("UNER_Chinese-GSDSIMP", "1f0307599d"),
    "uner/pt_bosque": ("UNER_Portuguese-Bosque", "f2c2ad67ae"),
    "uner/sv_talbanken": ("UNER_Swedish-Talbanken", "dbb6920852"),
    "uner/da_ddt": ("UNER_Danish-DDT", "983c4cdc09"),
    "uner/en_pud": ("UNER_English-PUD", "07ea055314"),
    "uner/de_pud": ("UNER_German-PUD", "47eb039b6d"),
    "uner/zh_pud": ("UNER_Chinese-PUD", "647ba53747"),
    "uner/pt_pud": ("UNER_Portuguese-PUD", "cda2cf86b6"),
    "uner/tl_trg": ("UNER_Tagalog-TRG", "a80b309b52"),
}
# Repository, commit and folder of a member, licence, and the file of its text.
_REPOSITORIES = {
    "masakhaner": ("masakhane-io/masakhane-ner", "ba5843cd08/data/{}", "CC BY-NC 4.0 (not for commercial use)", ""),
    "wikineural": ("Babelscape/wikineural", "d2e28c770cba2b285e742529ae18ed849e336c65/data/wikineural/{}", _BY_NC_SA, ""),
    "germeval": ("davidsbatista/NER-datasets", "db7ff3ca4b/GermEval2014", "CC BY 4.0", ""),
    "stockmark": ("stockmarkteam/ner-wikipedia-dataset", "5e525c2132", "CC BY-SA 3.0", "LICENSE.md"),
    "facebook": (
        *("zliucr/mixed-language-training", "d61e767eb470d1f2a2272837bd4daff76c99854f/data/nlu/nlu_data/{}"),
        *(_BY_SA, ""),
    ),
}
_MASSIVE = Remote(
    "https://amazon-massive-nlu-dataset.s3.amazonaws.com/amazon-massive-dataset-1.1.tar.gz",
    "slots/MASSIVE-1.1/amazon-massive-dataset-1.1.tar.gz",
)
_WIKIANN = Remote(
    "https://s3.amazonaws.com/datasets.huggingface.co/wikiann/1.1.0/panx_dataset.zip", "ner/WikiANN-1.1.0/panx_dataset.zip"
)


def _paths(name: str) -> dict[Split, str]:
    """Path of each released file of a corpus."""
    row = CORPORA[name]
    files = {split: row.splits[split] for split in SPLITS if split in row.splits}
    return {split: (file.released or file).path + ("" if row.layout else ".conllu") for split, file in files.items()}


def split_layouts(name: str) -> dict[str, Layout | None]:
    """Layout of each released file of a corpus, by path below the data root; None means CoNLL-U.

    >>> split_layouts("ud/de_hdt")
    {'ud/UD_German-HDT/de_hdt-ud-dev.conllu': None}
    """
    row = CORPORA[name]
    return {path: (row.splits[split].released or row.splits[split]).layout or row.layout for split, path in _paths(name).items()}


def _github(name: str, folder: str, page: str, licence: str, licence_file: str = "", missing: str = "", **renamed: str) -> Source:
    """A corpus in one folder on GitHub, with the file names used here unless `renamed` by split (`-`: not there)."""
    paths = _paths(name)
    files = [Remote(f"{_GITHUB}/{folder}/{renamed.get(split) or path.rpartition('/')[2]}", path) for split, path in paths.items()]
    files = [remote for remote, split in zip(files, paths, strict=True) if renamed.get(split) != "-"]
    if licence_file:
        repository = "/".join(folder.split("/")[:3])
        target = f"{next(iter(paths.values())).rpartition('/')[0]}/{licence_file}"
        files.append(Remote(f"{_GITHUB}/{repository}/{licence_file}", target, is_licence=True))
    return Source(f"https://github.com/{page}", licence, tuple(files), missing=missing)


def how_to_get(name: str, *, root: str = "FOLDER") -> str:
    """What puts a corpus into the data folder: the command that fetches it, or the user.

    >>> how_to_get("ud/en_ewt", root="corpora")
    'fetch it with polyhead data get ud/en_ewt --data corpora'
    """
    return f"fetch it with polyhead data get {name} --data {root}" if source(name) else "put it there: polyhead does not fetch it"


def source(name: str) -> Source | None:
    """The source of the corpus of that name; None if no source is known.

    >>> source("ud/en_ewt").files[0].url
    'https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/r2.7/en_ewt-ud-train.conllu'
    """
    family, _, member = name.partition("/")
    match family:
        case "ud":
            page = f"UniversalDependencies/{_paths(name)['train'].split('/')[1]}"
            return _github(name, f"{page}/{_UD_RELEASE}", page, _UD_LICENCES.get(name, _BY_SA), "LICENSE.txt")
        case "uner":
            repository, commit = _UNER[name]
            page = f"UniversalNER/{repository}"
            licence = "CC BY-SA 3.0" if member.endswith("_pud") else _BY_SA
            return _github(name, f"{page}/{commit}", page, licence, "LICENSE.txt")
        case "xsid":
            page = "mainlp/xsid"
            english = "the English training data, which was joined from parts of the first release: use another source of slots"
            missing, renamed = (english, {"train": "-"}) if "train" in CORPORA[name].splits else ("", {})
            folder = f"{page}/761d926c3f2e9f6bea13192d2f39cec1d04d9777/data/xSID-0.7"
            return _github(name, folder, page, _BY_SA, "LICENSE", missing, **renamed)
        case "massive":
            archive = Archive(_MASSIVE, "massive", member, _paths(name))
            return Source("https://github.com/alexa/massive", "CC BY 4.0", archive=archive)
        case "wikiann":
            archive = Archive(_WIKIANN, "wikiann", member, _paths(name))
            licence = "not stated by its source (text from Wikipedia, CC BY-SA)"
            return Source("https://github.com/afshinrahimi/mmner", licence, archive=archive)
    if family not in _REPOSITORIES:
        return None
    page, folder, licence, licence_file = _REPOSITORIES[family]
    return _github(name, f"{page}/{folder.format(member)}", page, licence, licence_file)
