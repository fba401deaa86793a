"""Corpora fetched by name: from a mirror on this machine, checked, recorded, and not fetched twice."""

import hashlib
import json
import lzma
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from data.server import Served, served
from data.test_unpacking import massive_archive, wikiann_archive

from polyhead.core.errors import DownloadError, SettingError, UnknownNameError
from polyhead.data import download_urls as homes
from polyhead.data.checksums import PINNED
from polyhead.data.corpora import CORPORA, open_corpus
from polyhead.data.download import Patience
from polyhead.data.download_urls import home
from polyhead.data.fetch import LEDGER, Entry, get_corpus, read_ledger, write_ledger

ROW = "1\tHaus\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n"
NAME = "ud/de_gsd"


def path_at(remote) -> str:
    return urlsplit(remote.url).path


@pytest.fixture
def server(monkeypatch) -> Iterator[Served]:
    """The German treebank as it could be, its dev file with a pinned checksum and the others without."""
    remotes = home(NAME).files
    bodies = {remote.path: f"# {remote.path}\n{ROW}".encode() for remote in remotes}
    dev = next(path for path in bodies if "-dev" in path)
    monkeypatch.setattr(homes, "PINNED", {dev: hashlib.sha256(bodies[dev]).hexdigest()})
    with served({path_at(remote): bodies[remote.path] for remote in remotes}) as state:
        yield state


def get(server: Served, root, name=NAME):
    return list(get_corpus(name, root, mirror=server.address, patience=Patience(1, 0.01)))


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
    with pytest.raises(DownloadError, match="is not that of the release"):
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
    monkeypatch.setattr(homes, "PINNED", {})
    with served({path_at(home(name).archive.remote): archive()}) as server:
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
    monkeypatch.setenv("POLYHEAD_DATA_HOME", server.address + "/")
    assert len(list(get_corpus(NAME, tmp_path))) == 4
    with pytest.raises(SettingError, match=r"home 'mirror': no address; expected one such as https://"):
        list(get_corpus(NAME, tmp_path, mirror="mirror"))


def test_names_without_a_corpus_or_a_home(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean ud/de_gsd"):
        list(get_corpus("ud/de_gsf", tmp_path))
    with pytest.raises(DownloadError, match="corpus ilner/hi: no public home of its files is known"):
        list(get_corpus("ilner/hi", tmp_path))


def test_a_broken_ledger_is_named(tmp_path):
    for text in ("{", "[]", '{"schema": 2, "files": {}}', '{"schema": 1, "files": {"a": {}}}'):
        (tmp_path / LEDGER).write_text(text)
        with pytest.raises(
            DownloadError, match=r"polyhead-data\.json: not a record of fetched files .*; expected one JSON object"
        ):
            read_ledger(tmp_path)


def test_the_ledger_gives_back_what_it_was_given(tmp_path):
    entries = {"b": Entry("u", "s", "CC"), "a": Entry("https://x/ü", "0", "not stated")}
    write_ledger(tmp_path, entries)
    assert read_ledger(tmp_path) == entries
    assert [path.name for path in tmp_path.iterdir()] == [LEDGER]


def test_every_home_gives_every_split_or_says_what_it_lacks():
    for name, row in CORPORA.items():
        found = home(name)
        if found is None:
            assert CORPORA[name].made or name.startswith(("ilner/", "aqmar/"))
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
    remotes = [remote for name in CORPORA if (found := home(name)) for remote in found.files]
    remotes += [found.archive.remote for name in CORPORA if (found := home(name)) and found.archive]
    assert set(PINNED) <= {remote.path for remote in remotes}
    assert all(len(sha256) == 64 for sha256 in PINNED.values())


def test_pinned_checksums_are_those_of_the_data_folder(shared):
    """No file of the data folder that a checksum is known of differs from it (a few small ones stand for all)."""
    for name in ("uner/tl_trg", "masakhaner/swa", "xsid/ja", "ud/en_ewt"):
        assert {file.status for file in get_corpus(name, shared / "data", mirror="http://nowhere.invalid")} == {"there"}
