"""A file that is written once: whole or not at all, also on a full disk."""

import errno
import os
from pathlib import Path

import pytest

from polyhead.core import exclusive
from polyhead.core.errors import WriteError
from polyhead.core.exclusive import write_exclusively


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_links(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_the_first_writer_wins_and_no_other_file_is_left(tmp_path: Path) -> None:
    path, temporary = tmp_path / "new" / "one", tmp_path / "temporary"
    assert write_exclusively(path, b"first", temporary=temporary)
    assert not write_exclusively(path, b"second", temporary=temporary)
    assert path.read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("links", [True, False])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    path, temporary = tmp_path / "one", tmp_path / "temporary"
    if not links:
        synced = iter([None, full])  # the temporary file fits, the second copy does not
        monkeypatch.setattr(exclusive.os, "link", no_links)
        monkeypatch.setattr(exclusive.os, "fsync", lambda _: (call := next(synced)) and call())
    else:
        monkeypatch.setattr(exclusive.os, "fsync", full)
    with pytest.raises(WriteError, match=r"one: cannot be written \(No space left on device: 0\.0 MB needed, .* free some space"):
        write_exclusively(path, b"content", temporary=temporary)
    assert list(tmp_path.iterdir()) == []
