"""Corpora fetched by name: from a mirror on this machine, checked, recorded, and not fetched twice."""

import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from data.server import Served, served

from polyhead.core.errors import DownloadError, SettingError, UnknownNameError
from polyhead.data import download_urls, fetch, transfer, unpacking
from polyhead.data.checksums import LEDGER, PINNED, Entry, add_entries, read_ledger
from polyhead.data.corpora import CORPORA, open_corpus
from polyhead.data.download_urls import source
from polyhead.data.fetch import get_corpus

ROW = "1\tHaus\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n"
NAME = "ud/de_gsd"
FOLDER = "ud/UD_German-GSD"


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


def path_at(remote) -> str:
    return urlsplit(remote.url).path


@pytest.fixture
def server(monkeypatch) -> Iterator[Served]:
    """The German treebank as it could be, its dev file with a pinned checksum and the others without."""
    remotes = source(NAME).files
    bodies = {remote.path: f"# {remote.path}\n{ROW}".encode() for remote in remotes}
    dev = next(path for path in bodies if "-dev" in path)
    monkeypatch.setattr(download_urls, "PINNED", {dev: hashlib.sha256(bodies[dev]).hexdigest()})
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda _: None))
    with served({path_at(remote): bodies[remote.path] for remote in remotes}) as state:
        yield state


def get(server: Served, root, name=NAME):
    return list(get_corpus(name, root, mirror=server.address))


def files_in(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.name != f".{LEDGER}.lock")


def test_all_files_come_and_are_read_by_name(server, tmp_path):
    got = get(server, tmp_path)
    folder = "ud/UD_German-GSD"
    files = [f"{folder}/de_gsd-ud-{split}.conllu" for split in ("train", "dev", "test")] + [f"{folder}/LICENSE.txt"]
    assert [file.path for file in got] == files
    assert {file.status for file in got} == {"fetched"}
    assert [file.pinned for file in got] == [False, True, False, False]
    assert open_corpus(NAME, "train", root=tmp_path).sentences[0].words == ("Haus",)
    document = json.loads((tmp_path / LEDGER).read_text())
    entry = document["files"][files[0]]
    assert entry["licence"] == "CC BY-SA 4.0"
    assert entry["url"] == f"{server.address}/UniversalDependencies/UD_German-GSD/r2.7/de_gsd-ud-train.conllu"
    assert entry["sha256"] == hashlib.sha256((tmp_path / files[0]).read_bytes()).hexdigest()


def test_the_second_time_nothing_is_asked_for(server, tmp_path):
    get(server, tmp_path)
    server.asked = []
    assert {file.status for file in get(server, tmp_path)} == {"there"}
    assert server.asked == []
    (tmp_path / "ud/UD_German-GSD/de_gsd-ud-test.conllu").unlink()
    assert [file.status for file in get(server, tmp_path)] == ["there", "there", "fetched", "there"]
    assert len(server.asked) == 1


def test_later_downloads_must_agree_with_the_first(server, tmp_path):
    get(server, tmp_path)
    test = tmp_path / "ud/UD_German-GSD/de_gsd-ud-test.conllu"
    test.unlink()
    server.files[next(path for path in server.files if "test" in path)] = b"something else"
    with pytest.raises(DownloadError, match="is not the released file"):
        get(server, tmp_path)
    assert not test.exists()


def test_a_file_that_was_changed_is_named_and_left(server, tmp_path):
    get(server, tmp_path)
    for split in ("dev", "test"):
        path = tmp_path / f"ud/UD_German-GSD/de_gsd-ud-{split}.conllu"
        before = path.read_bytes()
        path.write_text("mine")
        with pytest.raises(DownloadError, match=rf"{split}.conllu: is not the released file \(sha256 .*\); move it away"):
            get(server, tmp_path)
        assert path.read_text() == "mine"
        path.write_bytes(before)


def test_files_that_lie_there_are_kept_also_compressed(server, tmp_path):
    folder = tmp_path / "ud/UD_German-GSD"
    folder.mkdir(parents=True)
    dev = server.files[next(path for path in server.files if "-dev" in path)]
    (folder / "de_gsd-ud-dev.conllu.xz").write_bytes(lzma.compress(dev))
    (folder / "de_gsd-ud-train.conllu").write_text("mine")
    assert [file.status for file in get(server, tmp_path)] == ["not ours", "there", "fetched", "fetched"]
    assert (folder / "de_gsd-ud-train.conllu").read_text() == "mine"
    (folder / "de_gsd-ud-dev.conllu.xz").write_bytes(lzma.compress(b"mine"))
    with pytest.raises(DownloadError, match=r"dev.conllu.xz: is not the released file"):
        get(server, tmp_path)


def test_what_came_before_a_failure_stays_and_is_recorded(server, tmp_path):
    server.files = {path: body for path, body in server.files.items() if "test" not in path}
    with pytest.raises(DownloadError, match="answers 404"):
        get(server, tmp_path)
    assert sorted(path.rpartition("-")[2] for path in read_ledger(tmp_path)) == ["dev.conllu", "train.conllu"]


def test_a_licence_that_is_not_where_it_should_be_stops_nothing(server, tmp_path):
    server.files = {path: body for path, body in server.files.items() if "LICENSE" not in path}
    assert [file.status for file in get(server, tmp_path)] == ["fetched", "fetched", "fetched", "failed"]


@pytest.mark.parametrize(("name", "archive"), [("massive/de-DE", massive_archive), ("wikiann/de", wikiann_archive)])
def test_archives_are_fetched_once_and_unpacked(tmp_path, monkeypatch, name, archive):
    monkeypatch.setattr(download_urls, "PINNED", {})
    with served({path_at(source(name).archive.remote): archive()}) as server:
        got = get(server, tmp_path, name)
        assert [file.status for file in got] == ["fetched"] * 4
        assert len(open_corpus(name, "train", root=tmp_path).sentences) == 2
        assert {file.status for file in get(server, tmp_path, name)} == {"there"}
        (tmp_path / got[1].path).unlink()
        assert [file.status for file in get(server, tmp_path, name)] == ["there", *["fetched"] * 3]
        assert len(server.asked) == 1
        (tmp_path / LEDGER).unlink()
        (tmp_path / got[1].path).unlink()
        with pytest.raises(DownloadError, match="move it away to fetch them all"):
            get(server, tmp_path, name)


def test_the_mirror_may_be_named_by_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYHEAD_DATA_MIRROR", server.address + "/")
    assert len(list(get_corpus(NAME, tmp_path))) == 4


@pytest.mark.parametrize(
    "mirror",
    [
        "mirror",
        "ftp://mirror.example.org",
        "http://mirror.example.org",
        "https://[::1",
        "https://[z]/a",
        "http://127.0.0.1:x/",
        "file:///etc",
    ],
)
def test_a_mirror_is_an_address_of_https_or_of_this_machine(tmp_path, mirror):
    with pytest.raises(SettingError, match=r"mirror '.*expected a URL such as https://"):
        list(get_corpus(NAME, tmp_path, mirror=mirror))


def test_names_without_a_corpus_or_a_source(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean ud/de_gsd"):
        list(get_corpus("ud/de_gsf", tmp_path))
    with pytest.raises(DownloadError, match="corpus ilner/hi: no public source of its files is known"):
        list(get_corpus("ilner/hi", tmp_path))


def test_a_broken_ledger_is_named(tmp_path):
    for text in (
        "{",
        "[]",
        "[" * 100_000,
        '{"schema": 2, "files": {}}',
        '{"schema": 1, "files": {"a": {}}}',
        '{"schema": 1, "files": {"a": {"url": 1, "sha256": "", "licence": ""}}}',
    ):
        (tmp_path / LEDGER).write_text(text)
        with pytest.raises(
            DownloadError, match=r"polyhead-data\.json: not a record of fetched files .*; expected one JSON object"
        ):
            read_ledger(tmp_path)


def test_the_ledger_gives_back_what_it_was_given(tmp_path):
    entries = {"b": Entry("u", "s", "CC"), "a": Entry("https://x/ü", "0", "not stated")}
    add_entries(tmp_path, entries)
    assert read_ledger(tmp_path) == entries
    assert files_in(tmp_path) == [LEDGER]
    with pytest.raises(DownloadError, match=r"b: another process fetched other bytes"):
        add_entries(tmp_path, {"b": Entry("u", "t", "CC")})


def add_fifty(root: Path, worker: int) -> None:
    for number in range(50):
        add_entries(root, {f"{worker}-{number}": Entry("u", "s", "CC")})


def test_of_six_hundred_concurrent_entries_all_remain(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(add_fifty, [tmp_path] * 12, range(12)))
    assert len(read_ledger(tmp_path)) == 600


HTML = b"<!doctype html><html><body>Please log in</body></html>\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (HTML, r"train.conllu:1: 1 column.*; the download is not this corpus; nothing was kept"),
        (b"", r"train.conllu: end of file and not one sentence"),
        (ROW.encode() * 3 + b"1\tHaus\t_\tNO", r"train.conllu:7: 4 column"),
        (b"\xff\xfe", r"train.conllu:1: a UTF-16"),
    ],
)
def test_what_does_not_parse_as_the_corpus_is_refused_and_not_kept(server, tmp_path, body, said):
    server.files[next(path for path in server.files if "train" in path)] = body
    with pytest.raises(DownloadError, match=said) as caught:
        get(server, tmp_path)
    assert "tmp" not in str(caught.value).replace(str(tmp_path), "")
    assert files_in(tmp_path) == []


def test_a_licence_that_is_a_web_page_is_not_kept(server, tmp_path):
    server.files[next(path for path in server.files if "LICENSE" in path)] = HTML
    assert [file.status for file in get(server, tmp_path)] == ["fetched", "fetched", "fetched", "failed"]
    assert not [name for name in files_in(tmp_path) if "LICENSE" in name]


def test_a_part_is_not_taken_for_the_whole(server, tmp_path):
    server.cut = [40, 0]
    get(server, tmp_path)
    assert len(server.asked) == 6
    assert files_in(tmp_path / FOLDER) == ["LICENSE.txt", *(f"de_gsd-ud-{split}.conllu" for split in ("dev", "test", "train"))]
    (tmp_path / FOLDER / "de_gsd-ud-train.conllu").unlink()
    (tmp_path / LEDGER).unlink()
    server.cut = [40] * 3
    with pytest.raises(
        DownloadError, match=r"IncompleteRead\(40 bytes.*, 3 times in a row; check the network, .* run the same command"
    ):
        get(server, tmp_path)
    server.length = ""
    with pytest.raises(DownloadError, match="the server gives no file length"):
        get(server, tmp_path)
    assert "de_gsd-ud-train.conllu" not in files_in(tmp_path)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        *((junk, "the server gives no file length") for junk in ("", "junk", "-1", "1.5", "\xb2")),
        *((huge, "sends more than 1,073,741,824 bytes") for huge in ("1" * 30, str(1 << 40))),
    ],
)
def test_a_length_that_cannot_be_is_one_line(server, tmp_path, length, said):
    server.length = length
    with pytest.raises(DownloadError, match=said):
        get(server, tmp_path)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ftp://127.0.0.1/x", "redirects to 'ftp://127.0.0.1/x': not a URL that begins with https://"),
        ("http://example.org/x", "http is for this machine only"),
        ("file:///etc/passwd", "not a URL that begins"),
        ("https://[::1", "not a URL"),
    ],
)
def test_a_redirect_is_held_to_the_same_rule(server, tmp_path, target, said):
    server.redirect = target
    with pytest.raises(DownloadError, match=said.replace("[", r"\[")):
        get(server, tmp_path)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server, tmp_path):
    server.refuse = [503, 429]
    assert len(get(server, tmp_path)) == 4
    (tmp_path / FOLDER / "de_gsd-ud-train.conllu").unlink()
    server.refuse, server.asked = [0, 500, 500], []
    with pytest.raises(DownloadError, match=r"the server answers 500 .*, 3 times in a row"):
        get(server, tmp_path)
    server.files, server.asked, server.reason = {}, [], "Not\x1b[31mFound"
    with pytest.raises(DownloadError, match=r"the server answers 404 \('Not\\x1b\[31mFound'\)"):
        get(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("slow", ["pause", "drip"])
def test_a_server_that_sends_next_to_nothing_is_left(server, tmp_path, monkeypatch, slow):
    monkeypatch.setattr(transfer, "_GRACE", 0.1)
    setattr(server, slow, 0.02)
    with pytest.raises(DownloadError, match="sends less than 1,000 bytes a second; nothing was kept"):
        get(server, tmp_path)
    assert files_in(tmp_path) == []


def test_a_file_that_never_ends_is_left(server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_LARGEST", 50)
    dev = next(path for path in server.files if "dev" in path)
    server.files = {path: b"" if path == dev else body for path, body in server.files.items()}
    with pytest.raises(DownloadError, match=r"train.conllu: sends more than 50 bytes"):
        get(server, tmp_path)


def test_a_file_that_is_there_before_the_first_look_has_its_size_checked_too(server, tmp_path, monkeypatch):
    class AtOnce(Thread):
        def start(self) -> None:
            super().start()
            self.join()

    monkeypatch.setattr(transfer, "Thread", AtOnce)
    monkeypatch.setattr(transfer, "_LARGEST", 50)
    with pytest.raises(DownloadError, match=r"train.conllu: sends more than 50 bytes"):
        get(server, tmp_path)


def test_no_way_to_the_server_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda _: None))
    with served({}) as gone:
        pass
    with pytest.raises(
        DownloadError, match=r"train.conllu: Connection refused, 3 times in a row; check the network, or name a mirror"
    ):
        get(gone, tmp_path)


def test_what_lies_where_a_file_should_be(server, tmp_path):
    train = tmp_path / FOLDER / "de_gsd-ud-train.conllu"
    train.mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"train.conllu: is a folder; expected a file of the corpus; move it away"):
        get(server, tmp_path)
    train.rmdir()
    elsewhere = tmp_path / "elsewhere"
    train.symlink_to(elsewhere)
    get(server, tmp_path)
    assert not train.is_symlink()
    assert not elsewhere.exists()
    assert train.stat().st_mode & 0o777 == 0o644
    train.parent.chmod(0o700)
    train.unlink()
    get(server, tmp_path)
    assert train.stat().st_mode & 0o777 == 0o600
    (tmp_path / "b").write_text("")
    with pytest.raises(DownloadError, match=r"cannot be written \(Not a directory\); choose another folder"):
        get(server, tmp_path / "b")


def test_a_full_disk_leaves_nothing(server, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer.os, "fsync", full)
    with pytest.raises(DownloadError, match=r"train.conllu: cannot be written \(No space left on device: .* GB free\)"):
        get(server, tmp_path)
    assert files_in(tmp_path) == []


def unpacked(tmp_path: Path, name: str, data: bytes) -> Path:
    archive = source(name).archive
    path = tmp_path / archive.remote.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    unpacking.unpack(archive, tmp_path, check=partial(fetch._check, name))
    return path


def test_what_is_unpacked_is_what_the_readers_read(tmp_path):
    unpacked(tmp_path, "massive/de-DE", massive_archive())
    unpacked(tmp_path, "wikiann/de", wikiann_archive())
    train = open_corpus("massive/de-DE", "train", root=tmp_path, strict=True)
    assert [(s.words, s.labels) for s in train.sentences] == [
        (("weck", "mich", "um", "fünf"), ("O", "O", "O", "B-time")),
        (("heute",), ("B-date",)),
    ]
    assert open_corpus("massive/de-DE", "dev", root=tmp_path).sentences[0].words == ("licht", "an")
    train, dev, test = (open_corpus("wikiann/de", split, root=tmp_path, strict=True) for split in ("train", "dev", "test"))
    assert [(s.words, s.labels) for s in train.sentences] == [(("Bonn", ":"), ("B-LOC", "O")), (("Ann",), ("B-PER",))]
    assert (dev.sentences[0].words, test.sentences[0].words) == (("a:b",), ("Berlin",))
    assert len(files_in(tmp_path)) == 8


def spoilt_zip(at: int, value: bytes) -> bytes:
    """WikiANN's archive with some bytes of each member's headers changed."""
    data = bytearray(wikiann_archive())
    for magic, offset in ((b"PK\x03\x04", at), (b"PK\x01\x02", at + 2)):
        start = data.find(magic)
        while start >= 0:
            data[start + offset : start + offset + len(value)] = value
            start = data.find(magic, start + 4)
    return bytes(data)


def bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as outer:
        outer.writestr("panx_dataset/de.tar.gz", gzip.compress(bytes(1 << 27), 1))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("massive/de-DE", b"junk", "is damaged"),
        ("massive/de-DE", massive_archive()[:-80], "is damaged"),
        ("massive/de-DE", tar_of({"1.1/data/fr-FR.jsonl": "{}"}), "has no de-DE.jsonl; is it the archive of MASSIVE"),
        ("massive/de-DE", tar_of({"1.1/data/de-DE.jsonl": '{"utt": "a"}\n'}), "is damaged"),
        ("massive/de-DE", tar_of({"1.1/data/de-DE.jsonl": "[" * 100_000}), "is damaged"),
        ("massive/de-DE", tar_of({"1.1/data/de-DE.jsonl": '{"partition": "train"}\n'}), "train.jsonl:1: row .* not this corpus"),
        ("massive/de-DE", tar_of({"1.1/data/de-DE.jsonl": '{"partition": "none"}\n'}), "has no train split of de-DE"),
        ("wikiann/de", b"junk", "is damaged"),
        ("wikiann/de", wikiann_archive()[:-80], "is damaged"),
        ("wikiann/de", spoilt_zip(6, b"\x01"), "is damaged .*encrypted"),
        ("wikiann/de", spoilt_zip(8, b"\x63"), "is damaged .*compression"),
        ("wikiann/de", bomb(), "is damaged .*unpacks to more than 67,108,864 bytes"),
    ],
)
def test_a_bad_archive_is_one_error_and_leaves_nothing(tmp_path, name, data, said):
    with pytest.raises(DownloadError, match=said):
        unpacked(tmp_path, name, data)
    assert len(files_in(tmp_path)) == 1


def test_junk_in_place_of_an_archive_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(download_urls, "PINNED", {})
    path = path_at(source("wikiann/de").archive.remote)
    with served({path: HTML}) as server, pytest.raises(DownloadError, match="the download is not an archive"):
        get(server, tmp_path, "wikiann/de")
    assert files_in(tmp_path) == []


def test_every_source_gives_every_split_or_says_what_it_lacks():
    for name, row in CORPORA.items():
        found = source(name)
        if found is None:
            assert CORPORA[name].made or name.startswith(("ilner/", "aqmar/", "xnli/"))
            continue
        assert found.licence
        paths = {remote.path for remote in found.files} | set(found.archive.targets.values() if found.archive else ())
        wanted = {(file.released or file).path + ("" if row.layout else ".conllu") for file in row.splits.values()}
        lacking = wanted - paths
        assert bool(lacking) == bool(found.missing), name
        urls = [remote.url for remote in found.files]
        assert len(urls) == len(set(urls))
        assert all(url.startswith("https://") and "/master/" not in url and "/main/" not in url for url in urls)


def test_every_pinned_checksum_is_of_a_file_that_is_fetched():
    remotes = [remote for name in CORPORA if (found := source(name)) for remote in found.files]
    remotes += [found.archive.remote for name in CORPORA if (found := source(name)) and found.archive]
    assert set(PINNED) <= {remote.path for remote in remotes}
    assert all(len(sha256) == 64 for sha256 in PINNED.values())


def test_pinned_checksums_are_those_of_the_data_folder(shared):
    """No file of the data folder that a checksum is known of differs from it (a few small ones stand for all)."""
    for name in ("uner/tl_trg", "masakhaner/swa", "xsid/ja", "ud/en_ewt"):
        assert {file.status for file in get_corpus(name, shared / "data", mirror="https://nowhere.invalid")} == {"there"}
