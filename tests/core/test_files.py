"""Files that are whole or not there, with the modes that their user wants, and one line where they cannot be written."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from polyhead.core.errors import StoreError
from polyhead.core.files import (
    new_folder,
    remove_leftovers,
    replacing,
    require_space,
    write_bytes_atomic,
    write_text_atomic,
)
from polyhead.core.store import writing


@pytest.fixture(params=[0o077, 0o022, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_follows_the_umask_and_an_old_one_keeps_its_mode(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "scores.json"
    write_text_atomic(path, "one")
    assert mode(path) == 0o666 & ~umask
    path.chmod(0o640)
    write_text_atomic(path, "two")
    assert (mode(path), path.read_text()) == (0o640, "two")
    with new_folder(tmp_path / "model") as fresh:
        write_bytes_atomic(fresh / "weights", b"")
    assert mode(tmp_path / "model") == 0o777 & ~umask
    assert mode(tmp_path / "model" / "weights") == 0o666 & ~umask


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    write_text_atomic(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "text"


def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(AssertionError), replacing(tmp_path / "file") as temporary:
        raise AssertionError(temporary.write_text("half"))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForTokenClassification
from polyhead.core.errors import StoreError
from polyhead.core.files import new_folder, replacing, write_bytes_atomic
folder = Path(sys.argv[1])
size = dict(vocab_size=9, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
model = BertForTokenClassification(BertConfig(**size))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
def checkpoint():
    with new_folder(folder / "model") as fresh:
        model.save_pretrained(fresh)
def tensors():
    with replacing(folder / "file", n_bytes=400_000) as temporary:
        save_file({"a": torch.zeros(100_000)}, temporary)
for work in (lambda: write_bytes_atomic(folder / "file", bytes(100_000)), tensors, checkpoint):
    try:
        work()
    except StoreError as error:
        print(error)
print(sorted(folder.iterdir()))
"""


def test_a_limit_on_file_sizes_is_one_line_for_bytes_tensors_and_checkpoints(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True)
    *lines, left = done.stdout.splitlines()
    assert len(lines) == 3
    assert "file: cannot be written (File too large: 0.1 MB needed); raise the limit on file sizes (ulimit -f)" in lines[0]
    assert "file: cannot be written (File too large: 0.4 MB needed)" in lines[1]
    assert "model: cannot be written (File too large); raise the limit on file sizes (ulimit -f)" in lines[2]
    assert left == "[]"


def test_the_space_is_asked_for_where_the_file_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr("shutil.disk_usage", lambda path: asked.append(path) or SimpleNamespace(free=300_000_000))
    require_space(tmp_path / "new" / "deep" / "model", 300_000_000, "the model")
    with pytest.raises(StoreError, match=r"the model takes 1\.2 GB, and only 0\.3 GB are free there; free some space"):
        require_space(tmp_path / "new" / "deep" / "model", 1_200_000_000, "the model")
    assert asked == [tmp_path, tmp_path]


def test_leftovers_of_killed_processes_are_known_and_removed(tmp_path: Path) -> None:
    target = tmp_path / "ta*er"
    (target / "fits").mkdir(parents=True)
    for name in (".settings.json.0a1b2c3d.tmp", ".lock"):
        (target / "fits" / name).touch()
    (target / ".model.abcd_123.tmp" / "new").mkdir(parents=True)
    (tmp_path / ".ta*er.abcd1234.tmp" / "old").mkdir(parents=True)
    others = [tmp_path / ".tagger.abcd1234.tmp", tmp_path / "ta*er.abcd1234.tmp", target / ".notes.tmp"]
    for path in others:
        path.touch()
    remove_leftovers(target)
    assert sorted(tmp_path.rglob("*")) == sorted([*others, target, target / "fits", target / "fits" / ".lock"])


REPLACED = """
import os, sys
from pathlib import Path
from polyhead.core.files import new_folder
folder, killed_at = Path(sys.argv[1]), int(sys.argv[2])
calls = []
def at(real):
    def move(*args):
        calls.append(args)
        if len(calls) == killed_at:
            os._exit(9)
        return real(*args)
    return move
Path.rename, os.replace = at(Path.rename), at(os.replace)
with new_folder(folder, overwrite=True) as fresh:
    (fresh / "weights").write_text("new")
"""


@pytest.mark.parametrize(("killed_at", "left"), [(1, "old"), (2, "new"), (3, "new")])
def test_a_kill_while_a_folder_is_replaced_loses_neither_the_old_one_nor_the_new(
    tmp_path: Path, killed_at: int, left: str
) -> None:
    """Killed before the old one is moved away, between the two moves, and not at all."""
    folder = tmp_path / "ta*er"
    folder.mkdir()
    (folder / "weights").write_text("old")
    subprocess.run([sys.executable, "-c", REPLACED, str(folder), str(killed_at)], check=killed_at == 3)
    with writing(folder):
        assert (folder / "weights").read_text() == left
        assert sorted(path.name for path in tmp_path.iterdir()) == [".ta*er.lock", "ta*er"]


def test_a_new_folder_that_cannot_be_moved_in_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model" / "a").mkdir(parents=True)

    def failing(*args: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", failing)
        patch.setattr(Path, "rename", lambda self, to: failing() if self.name == "old" else shutil.move(self, to))
        with pytest.raises(StoreError, match="cannot be written"), new_folder(tmp_path / "model", overwrite=True):
            pass
    with writing(tmp_path / "model"):
        assert (tmp_path / "model").is_dir(), "kept where it could not be moved back, and moved back later"
