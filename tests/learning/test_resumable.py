"""Partial results: what comes back, what is not taken up, and when they are saved."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model

from polyhead.core.errors import StoreError
from polyhead.learning import resumable as partial
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.resumable import Partial, identity_of, kept_at, saving

ARRAYS = {"sums": np.array([[0.1, np.nan], [1 / 3, -0.0], [2.0, 3.0]]).T, "none yet": np.zeros((0, 2, 3)), "n": np.array(7.0)}
IDENTITY = {"method": "ablation", "seed": 3}


def batches(budget: int = 40, seed: int = 0) -> list[Batch]:
    return scoring_batches(tiny_encoded(seed=seed), budget=budget)


def test_arrays_come_back_exactly(tmp_path: Path) -> None:
    kept = Partial(tmp_path / "new folder" / "kept.safetensors", IDENTITY)
    assert kept.load() is None
    for scale in (1, 2):
        kept.save({name: scale * array for name, array in ARRAYS.items()})
    back = kept.load()
    assert back is not None
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (back[name].dtype, back[name].shape) == (np.float64, array.shape)
        np.testing.assert_array_equal(back[name], 2 * array)
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["kept.safetensors"]


def test_without_a_path_nothing_is_kept(tmp_path: Path) -> None:
    kept = kept_at(None, tiny_model("bert"), batches(), IDENTITY)
    kept.save(ARRAYS)
    assert kept.load() is None
    assert kept.identity == {}


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, b"\x08\0\0\0\0\0\0\0{}      ", "cut", "other", "no metadata"])
def test_corrupt_files_and_those_of_another_identity_are_refused(tmp_path: Path, content: bytes | str) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    if content == "other":
        Partial(kept.path, {**IDENTITY, "seed": 4}).save(ARRAYS)
    elif content == "no metadata":
        partial_of_another_tool = partial.save({"sums": np.zeros(2)})
        (tmp_path / "kept").write_bytes(partial_of_another_tool)
    elif content == "cut":
        kept.save(ARRAYS)
        (tmp_path / "kept").write_bytes((tmp_path / "kept").read_bytes()[:-5])
    else:
        assert isinstance(content, bytes)
        (tmp_path / "kept").write_bytes(content)
    with pytest.raises(StoreError, match=r"kept: .*delete "):
        kept.load()


def test_another_machine_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY, {"threads": "1", "device": "cpu"})
    kept.save(ARRAYS)
    assert kept.load() is not None
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert replace(kept, machine={"threads": "2", "device": "cpu"}).load() is not None
    assert "goes on with threads 2 after a start with 1: last digits may differ" in caplog.text


def test_what_cannot_be_written_is_one_line_and_the_old_file_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a folder"):
        Partial(tmp_path, IDENTITY).load()
    with pytest.raises(StoreError, match=r"cannot be written .*: choose another"):
        Partial(tmp_path / "file" / "kept", IDENTITY).save(ARRAYS)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    kept.save(ARRAYS)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        kept.save({"sums": np.zeros(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    back = kept.load()
    assert back is not None
    assert back.keys() == ARRAYS.keys()


def test_the_identity_covers_weights_data_and_facts() -> None:
    model = tiny_model("bert", dtype=torch.bfloat16)
    first = identity_of(model, batches(), IDENTITY)
    assert first == identity_of(tiny_model("bert", dtype=torch.bfloat16), batches(), dict(IDENTITY))
    others = [
        identity_of(model, batches(), {**IDENTITY, "seed": 4}),
        identity_of(model, batches(budget=20), IDENTITY),
        identity_of(model, batches()[::-1], IDENTITY),
        identity_of(model, batches(seed=1), IDENTITY),
        identity_of(model, [replace(batch, anchor_labels=batch.anchor_labels.clamp(max=3)) for batch in batches()], IDENTITY),
        identity_of(tiny_model("bert", dtype=torch.bfloat16, seed=1), batches(), IDENTITY),
        identity_of(tiny_model("bert"), batches(), IDENTITY),
    ]
    with torch.no_grad():
        model.classifier.bias[0] += 1
    others.append(identity_of(model, batches(), IDENTITY))
    assert all(other != first for other in others)
    assert len({str(other) for other in others}) == len(others)


def test_it_is_saved_every_ten_seconds_and_when_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    now, done = 100.0, 0
    monkeypatch.setattr("time.monotonic", lambda: now)

    def held() -> float | None:
        back = kept.load()
        return None if back is None else float(back["done"])

    seen = []
    with saving(kept, lambda: {"done": np.array(float(done))}) as step:
        for _ in range(5):
            done += 1
            now += 4
            step()
            seen.append(held())
    assert seen == [None, None, 3, 3, 3]
    assert held() == 5, "at the end too"
    with saving(kept, lambda: {"done": np.array(6.0)}):
        pass
    assert held() == 5, "nothing was done, so nothing is saved"
    with pytest.raises(KeyboardInterrupt), saving(kept, lambda: {"done": np.array(7.0)}):
        raise KeyboardInterrupt
    assert held() == 7


def test_what_stopped_the_work_is_not_hidden_by_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyboardInterrupt), saving(Partial(tmp_path / "file" / "kept", IDENTITY), lambda: ARRAYS):
        raise KeyboardInterrupt
    assert "cannot be written" in caplog.text
