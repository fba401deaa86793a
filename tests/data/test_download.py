"""Transfers from a real server on this machine: whole, cut off and continued, refused, with other bytes."""

import fcntl
import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from data.server import Served, served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DownloadError
from polyhead.data.download import Patience, fetch

BODY = np.random.default_rng(0).bytes(300_000)  # the same in every worker of pytest
SHA256 = hashlib.sha256(BODY).hexdigest()
SOON = Patience(retries=2, pause=0.01)


@pytest.fixture
def server() -> Iterator[Served]:
    with served({"/a/b.txt": BODY}) as state:
        yield state


def get(server: Served, target: Path, **options) -> str:
    return fetch(f"{server.address}/a/b.txt", target, **{"patience": SOON, **options})


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_whole_file(server, tmp_path):
    target = tmp_path / "deep/er/b.txt"
    assert get(server, target, sha256=SHA256) == get(server, target) == SHA256
    assert target.read_bytes() == BODY
    assert left(target) == ["b.txt"]


@pytest.mark.parametrize("sha256", [SHA256, None], ids=["pinned", "not pinned"])
def test_a_transfer_that_is_cut_off_goes_on_where_it_stopped(server, tmp_path, sha256):
    server.cut = [100_000, 50_000]
    target = tmp_path / "b.txt"
    get(server, target, sha256=sha256)
    assert target.read_bytes() == BODY
    assert [wanted for _, wanted in server.asked] == ["", "bytes=100000-", "bytes=150000-"]
    assert left(target) == ["b.txt"]


def test_a_stopped_command_is_continued_by_the_next_one(server, tmp_path):
    server.cut = [100_000, 0, 0, 0]
    target = tmp_path / "b.txt"
    with pytest.raises(DownloadError, match=r"100,000 of 300,000 bytes came, 3 times in a row; run the same command again"):
        get(server, target)
    assert left(target) == ["b.txt.part", "b.txt.part.version"]
    server.cut, server.asked = [], []
    get(server, target)
    assert server.asked == [("/a/b.txt", "bytes=100000-")]
    assert target.read_bytes() == BODY
    assert left(target) == ["b.txt"]


def test_a_part_of_another_version_is_not_continued(server, tmp_path):
    server.cut = [100_000, 0, 0, 0]
    target = tmp_path / "b.txt"
    with pytest.raises(DownloadError):
        get(server, target)
    server.cut, server.etag, server.files["/a/b.txt"] = [], '"v2"', BODY[::-1]
    get(server, target)
    assert target.read_bytes() == BODY[::-1]


@pytest.mark.parametrize(("etag", "asked"), [(None, ""), ('W/"v1"', "")])
def test_without_a_strong_name_of_the_version_or_a_checksum_it_begins_anew(server, tmp_path, etag, asked):
    server.cut, server.etag = [100_000], etag
    target = tmp_path / "b.txt"
    get(server, target)
    assert target.read_bytes() == BODY
    assert server.asked[1] == ("/a/b.txt", asked)


def test_a_checksum_alone_is_enough_to_go_on(server, tmp_path):
    server.cut, server.etag = [100_000], None
    get(server, tmp_path / "b.txt", sha256=SHA256)
    assert server.asked[1] == ("/a/b.txt", "bytes=100000-")


def test_a_server_without_ranges_sends_all_of_it_again(server, tmp_path):
    server.ranges, server.cut = False, [100_000]
    target = tmp_path / "b.txt"
    get(server, target, sha256=SHA256)
    assert target.read_bytes() == BODY
    assert [wanted for _, wanted in server.asked] == ["", "bytes=100000-"]


def test_other_bytes_leave_nothing(server, tmp_path):
    target = tmp_path / "b.txt"
    with pytest.raises(DownloadError, match=r"/a/b.txt: sha256 .* is not that of the release, 000.*; nothing was kept"):
        get(server, target, sha256="0" * 64)
    assert left(target) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("junk", [b"junk", b"x" * 300_000, b"x" * 400_000])
def test_a_spoilt_part_is_thrown_away_once(server, tmp_path, junk):
    target = tmp_path / "b.txt"
    (tmp_path / "b.txt.part").write_bytes(junk)
    get(server, target, sha256=SHA256)
    assert target.read_bytes() == BODY
    assert left(target) == ["b.txt"]


def test_a_whole_part_of_this_version_is_not_taken_for_an_empty_file(server, tmp_path):
    target = tmp_path / "b.txt"
    (tmp_path / "b.txt.part").write_bytes(BODY)
    (tmp_path / "b.txt.part.version").write_text('"v1"')
    get(server, target)
    assert target.read_bytes() == BODY


def test_a_part_from_another_place_is_refused(server, tmp_path):
    server.cut, server.shift = [100_000], -10
    with pytest.raises(DownloadError, match="another part than was asked for"):
        get(server, tmp_path / "b.txt", sha256=SHA256)
    assert not (tmp_path / "b.txt").exists()


def test_two_processes_do_not_write_one_part(server, tmp_path):
    target = tmp_path / "b.txt"
    with (tmp_path / "b.txt.part.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match=r"b.txt: another process is fetching it; wait until that is done"):
            get(server, target)
    assert server.asked == []
    assert get(server, target) == SHA256
    assert left(target) == ["b.txt"]


def test_a_file_that_is_not_there_is_said_at_once(server, tmp_path):
    with pytest.raises(DownloadError, match=r"/nowhere: the server answers 404 \(Not Found\); the file may have moved") as caught:
        fetch(f"{server.address}/nowhere", tmp_path / "b.txt")
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1
    assert left(tmp_path / "b.txt") == []


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.refuse = [503, 0]
    assert get(server, tmp_path / "b.txt") == SHA256
    server.refuse = [0, 429]
    assert get(server, tmp_path / "b.txt") == SHA256
    server.refuse = [500] * 3
    with pytest.raises(DownloadError, match=r"the server answers 500 .*, 3 times in a row"):
        get(server, tmp_path / "b.txt")


def test_progress_gives_tries_back(server, tmp_path):
    server.cut = [10_000] * 8
    assert get(server, tmp_path / "b.txt") == SHA256


def test_no_network_is_one_line_at_once(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for url in (address, "https://nowhere.invalid/x"):
        with pytest.raises(DownloadError, match=r"no way to the server \(.+\); check the network, or name a mirror") as caught:
            fetch(url, tmp_path / "b.txt", patience=Patience(pause=60))
        assert "\n" not in str(caught.value)
    with pytest.raises(DownloadError, match="no address"):
        fetch("nonsense", tmp_path / "b.txt")


def test_an_empty_file_is_a_file(server, tmp_path):
    server.files["/a/b.txt"] = b""
    get(server, tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == b""


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 4000), max_size=8), known=st.booleans(), etag=st.sampled_from([None, '"v"', 'W/"v"']))
def test_however_it_is_cut_the_bytes_are_right(server, tmp_path_factory, cuts, known, etag):
    body = bytes(range(256)) * 40
    server.files["/a/b.txt"], server.cut, server.etag, server.asked = body, list(cuts), etag, []
    target = tmp_path_factory.mktemp("get") / "b.txt"
    sha256 = hashlib.sha256(body).hexdigest() if known else None
    assert get(server, target, sha256=sha256, patience=Patience(20, 0)) == hashlib.sha256(body).hexdigest()
    assert target.read_bytes() == body
