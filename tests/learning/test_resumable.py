"""Unfinished work: what comes back, what is not continued, and when it is saved."""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model
from safetensors.numpy import save

from polyhead.core.errors import StoreError
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.resumable import Partial, State, kept_at, make_replaceable, saving

STATE = {
    "sums": np.array([[0.1, np.nan], [1 / 3, -0.0], [2.0, 3.0]]).T,
    "none yet": np.zeros((0, 2, 3)),
    "labelled": np.array([True, False]),
    "n": np.array(7.0),
    "weights": torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
    "step": 12,
    "order": ["3.5", "0.1"],
    "seconds": 1 / 3,
}
IDENTITY = {"method": "ablation", "seed": 3}


def batches(budget: int = 40, seed: int = 0) -> list[Batch]:
    return scoring_batches(tiny_encoded(seed=seed), budget=budget)


def test_the_state_comes_back_exactly(tmp_path: Path) -> None:
    kept = Partial(tmp_path / "new folder" / "kept", IDENTITY)
    assert kept.load() is None
    kept.save({"other": 1})
    kept.save(STATE)
    back = kept.load()
    assert back is not None
    assert back.keys() == STATE.keys()
    for name, value in STATE.items():
        assert type(back[name]) is type(value)
        if isinstance(value, np.ndarray):
            assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
            np.testing.assert_array_equal(back[name], value)
        elif isinstance(value, torch.Tensor):
            assert torch.equal(back[name], value)
        else:
            assert back[name] == value
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["kept"]


def test_without_a_path_nothing_is_kept() -> None:
    kept = kept_at(None, tiny_model("bert"), batches(), IDENTITY)
    kept.save(STATE)
    assert kept.load() is None
    assert kept.identity == {}


def test_any_byte_that_changed_is_noticed_and_the_work_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    kept.save(STATE)
    whole = (tmp_path / "kept").read_bytes()
    # past the mark by which the file is known to be ours
    for place in range(60, len(whole)):
        (tmp_path / "kept").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        caplog.clear()
        try:
            assert kept.load() is None, place
            assert "kept: damaged" in caplog.text
        except StoreError as error:
            pytest.fail(f"byte {place}: {error}")
    for content in (b"", whole[:-5], whole[:100]):
        (tmp_path / "kept").write_bytes(content)
        assert kept.load() is None
    kept.save(STATE)
    assert kept.load() is not None


@pytest.mark.parametrize("content", [b"{}", b"\xff" * 100, b"\x08\0\0\0\0\0\0\0{}      ", save({"sums": np.zeros(2)})])
def test_a_file_that_is_not_ours_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    (tmp_path / "kept").write_bytes(content)
    with pytest.raises(StoreError, match=r"kept: not unfinished work of polyhead; name another file or delete it"):
        kept.load()


def test_work_of_another_identity_is_refused_by_what_differs(tmp_path: Path) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    Partial(kept.path, {**IDENTITY, "seed": 4, "gold labels": "x"}).save(STATE)
    with pytest.raises(
        StoreError, match=r"kept: belongs to other work \(gold labels was 'x', is None; seed was 4, is 3\); .*delete this one"
    ):
        kept.load()


@pytest.mark.parametrize("how", ["when saved", "later"])
def test_other_work_replaces_what_may_be_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY, {"threads": "1"}, replaceable=how == "when saved")
    kept.save(STATE)
    if how == "later":
        make_replaceable(tmp_path / "kept")
    back = kept.load()  # the same work continues
    assert back is not None
    assert back.keys() == STATE.keys()
    np.testing.assert_array_equal(back["sums"], STATE["sums"])
    assert torch.equal(back["weights"], STATE["weights"])
    assert not caplog.records
    other = Partial(kept.path, {**IDENTITY, "seed": 4})
    assert other.load() is None
    assert "kept: is of other work (seed was 3, is 4) and is replaced" in caplog.text
    other.save({"step": 1})
    with pytest.raises(StoreError, match="belongs to other work"):
        kept.load()


def test_only_whole_files_of_ours_are_made_replaceable(tmp_path: Path) -> None:
    make_replaceable(tmp_path / "missing")
    (tmp_path / "damaged").write_bytes(b"x" * 100)
    make_replaceable(tmp_path / "damaged")
    assert (tmp_path / "damaged").read_bytes() == b"x" * 100
    assert os.listdir(tmp_path) == ["damaged"]


def test_another_machine_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY, {"threads": "1", "device": "cpu"})
    kept.save(STATE)
    assert kept.load() is not None
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert replace(kept, machine={"threads": "2", "device": "cpu"}).load() is not None
    assert "threads 2 after starting with 1: last digits may differ" in caplog.text


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be read \(Is a directory\); name another file"):
        Partial(tmp_path, IDENTITY).load()
    with pytest.raises(StoreError, match=r"cannot be written .*; choose another"):
        Partial(tmp_path / "file" / "kept", IDENTITY).save(STATE)


def test_a_full_disk_leaves_what_was_there_and_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    kept.save(STATE)
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match=r"kept: cannot be written \(No space left on device: 8\.0 MB needed, .* free\); free"):
        kept.save({"sums": np.zeros(1_000_000)})
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["kept"]
    back = kept.load()
    assert back is not None
    assert back.keys() == STATE.keys()


def test_the_identity_covers_weights_data_and_facts() -> None:
    model = tiny_model("bert", dtype=torch.bfloat16)

    def identity_of(*work: Any) -> Mapping[str, Any]:
        return kept_at(Path("kept"), *work).identity

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


def step_and_stop(kept: Partial, state: State) -> None:
    with saving(kept, lambda: state) as step:
        step()
        raise KeyboardInterrupt


def test_it_is_saved_every_ten_seconds_and_when_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    now, done = 100.0, 0
    monkeypatch.setattr("time.monotonic", lambda: now)

    def held() -> int | None:
        back = kept.load()
        return None if back is None else back["done"]

    seen = []
    with saving(kept, lambda: {"done": done}) as step:
        for _ in range(5):
            done += 1
            now += 4
            step()
            seen.append(held())
    assert seen == [None, None, 3, 3, 3]
    assert held() == 5, "at the end too"
    with saving(kept, lambda: {"done": 6}):
        pass
    assert held() == 5, "nothing was done, so nothing is saved"
    with pytest.raises(KeyboardInterrupt) as caught:
        step_and_stop(kept, {"done": 7})
    assert held() == 7
    assert caught.value.__notes__ == [f"unfinished work is kept in {kept.path}: start it again to continue"]


def test_an_interrupt_before_the_first_step_claims_nothing(tmp_path: Path) -> None:
    kept = Partial(tmp_path / "kept", IDENTITY)
    with pytest.raises(KeyboardInterrupt) as caught, saving(kept, lambda: STATE):
        raise KeyboardInterrupt
    assert kept.load() is None
    assert not hasattr(caught.value, "__notes__")


def test_what_stopped_the_work_is_not_hidden_by_a_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyboardInterrupt) as caught:
        step_and_stop(Partial(tmp_path / "file" / "kept", IDENTITY), STATE)
    assert "cannot be written" in caplog.text
    assert not hasattr(caught.value, "__notes__")
