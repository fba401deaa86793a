"""Splits of one language out of archives made as MASSIVE's and WikiANN's are described."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from polyhead.core.errors import DownloadError
from polyhead.data.corpora import open_corpus
from polyhead.data.corpus_table import CORPORA
from polyhead.data.unpacking import unpack


def tar_of(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, text in files.items():
            data = text.encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def massive_archive() -> bytes:
    rows = [("train", "weck mich um [time : fünf]"), ("test", "stopp"), ("dev", "licht an"), ("train", "[date : heute]")]
    lines = []
    for partition, annotated in rows:
        utterance = annotated.replace("[time : ", "").replace("[date : ", "").replace("]", "")
        lines.append(json.dumps({"locale": "de-DE", "partition": partition, "utt": utterance, "annot_utt": annotated}))
    return tar_of({"1.1/LICENSE": "x", "1.1/data/af-ZA.jsonl": "{}\n", "1.1/data/de-DE.jsonl": "\n".join(lines) + "\n"})


def wikiann_archive() -> bytes:
    inner = {
        "train": "de:Bonn\tB-LOC\nde::\tO\n\nde:Ann\tB-PER\n",
        "./dev": "de:a:b\tO\n\n",
        "test": "de:Berlin\tB-LOC\r\n\r\n",
        "extra": "de:x\tO\n",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as outer:
        outer.writestr("panx_dataset/xde.tar.gz", b"")
        outer.writestr("panx_dataset/de.tar.gz", tar_of(inner))
    return stream.getvalue()


ARCHIVES = {"massive": (massive_archive, "de-DE"), "wikiann": (wikiann_archive, "de")}


def targets(kind: str, root: Path) -> dict[str, Path]:
    splits = CORPORA[f"{kind}/{ARCHIVES[kind][1]}"].splits
    return {split: root / file.path for split, file in splits.items()}


def test_what_is_unpacked_is_what_the_readers_read(tmp_path):
    for kind, (made, member) in ARCHIVES.items():
        archive = tmp_path / f"{kind}.bin"
        archive.write_bytes(made())
        unpack(kind, archive, member, targets(kind, tmp_path))
    train = open_corpus("massive/de-DE", "train", root=tmp_path, strict=True)
    assert [(s.words, s.labels) for s in train.sentences] == [
        (("weck", "mich", "um", "fünf"), ("O", "O", "O", "B-time")),
        (("heute",), ("B-date",)),
    ]
    assert open_corpus("massive/de-DE", "dev", root=tmp_path).sentences[0].words == ("licht", "an")
    train, dev, test = (open_corpus("wikiann/de", split, root=tmp_path, strict=True) for split in ("train", "dev", "test"))
    assert [(s.words, s.labels) for s in train.sentences] == [(("Bonn", ":"), ("B-LOC", "O")), (("Ann",), ("B-PER",))]
    assert (dev.sentences[0].words, test.sentences[0].words) == (("a:b",), ("Berlin",))
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("*extra*"))


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("massive", b"junk", "is damaged"),
        ("massive", massive_archive()[:-80], "is damaged"),
        ("massive", tar_of({"1.1/data/fr-FR.jsonl": "{}"}), "has no de-DE.jsonl; is it the archive of MASSIVE"),
        ("massive", tar_of({"1.1/data/de-DE.jsonl": '{"utt": "a"}\n'}), "is damaged"),
        ("massive", tar_of({"1.1/data/de-DE.jsonl": '{"partition": "train"}\n'}), "has no dev split of de-DE"),
        ("wikiann", b"junk", "is damaged"),
        ("wikiann", wikiann_archive()[:-80], "is damaged"),
    ],
)
def test_a_bad_archive_is_one_error_and_leaves_nothing(tmp_path, kind, data, said):
    archive = tmp_path / "a.bin"
    archive.write_bytes(data)
    with pytest.raises(DownloadError, match=said) as caught:
        unpack(kind, archive, ARCHIVES[kind][1], targets(kind, tmp_path))
    assert str(archive) in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]
