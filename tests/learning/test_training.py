import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch.nn.functional import cross_entropy
from training_case import N_LABELS, PAD, same, tiny_encoded, tiny_model, weights
from watch import Crash, Watch

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.learning.batching import collate, training_batches
from polyhead.learning.losses import word_loss
from polyhead.learning.training import fit, slowdown

CPU = torch.device("cpu")
SPEC = TrainSpec(epochs=2, batch_size=4, learning_rate=1e-2, precision="fp32", seed=3)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(model, encoded=None, spec=SPEC, **options):
    return fit(model, encoded or tiny_encoded(), spec, device=CPU, **options)


def plain_training(model, encoded, spec):
    """The same training in plain torch: whole embedding, per-tensor AdamW, no tricks."""
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1.0, foreach=False, fused=False)
    batches = [
        batch
        for epoch in range(spec.epochs)
        for batch in training_batches(encoded, batch_size=spec.batch_size, order=spec.order, seed=spec.seed, epoch=epoch)
    ]
    rising = round(spec.warmup * len(batches))
    losses = []
    model.train()
    for step, batch in enumerate(batches):
        share = (step + 1) / rising if step < rising else (len(batches) - step) / (len(batches) - rising)
        for group in optimiser.param_groups:
            group["lr"] = spec.learning_rate * share
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        loss = cross_entropy(logits.reshape(-1, N_LABELS), batch.labels.reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.clip)
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("order", ["file", "buckets"])
def test_equals_a_plain_loop(order):
    spec = dataclasses.replace(SPEC, order=order, weight_decay=0.1, learning_rate=2e-3)
    ours, plain, start = tiny_model(dropout=0.0), tiny_model(dropout=0.0), tiny_model(dropout=0.0)
    record = train(ours, spec=spec)
    losses = plain_training(plain, tiny_encoded(), spec)
    assert record.losses == pytest.approx([np.mean(losses[:6]), np.mean(losses[6:])], abs=1e-5)
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], tensor, rtol=0, atol=2e-5), name
    table = "bert.embeddings.word_embeddings.weight"
    # rows that no sentence has: decay alone, the product over all steps
    unseen = slice(30, None)
    assert torch.allclose(ours.state_dict()[table][unseen], plain.state_dict()[table][unseen], rtol=1e-6, atol=1e-8)
    assert not torch.equal(ours.state_dict()[table][unseen], start.state_dict()[table][unseen])


def test_same_numbers_twice_and_other_numbers_from_another_seed():
    first, second, other = tiny_model(), tiny_model(), tiny_model()
    records = [train(first), train(second), train(other, spec=dataclasses.replace(SPEC, seed=4))]
    assert same(weights(first), weights(second))
    assert records[0].losses == records[1].losses != records[2].losses
    assert not same(weights(first), weights(other))


@pytest.mark.parametrize("part", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_each_kind_of_dropout_follows_the_seed(part):
    def trained(seed):
        model = tiny_model(dropout=0.0)
        for module in model.modules():
            is_attention = hasattr(module, "query")
            if isinstance(getattr(module, "dropout", None), torch.nn.Dropout) and is_attention == part.startswith("attention"):
                module.dropout.p = 0.3
        train(model, spec=dataclasses.replace(SPEC, order="file", epochs=1, seed=seed))
        return weights(model)

    assert same(trained(1), trained(1))
    assert not same(trained(1), trained(2))


def test_learns_and_says_how_far_it_is():
    watch = Watch()
    record = train(tiny_model(), spec=dataclasses.replace(SPEC, epochs=6), progress=watch)
    assert record.losses[-1] < 0.7 * record.losses[0]
    assert (watch.total, watch.done, watch.stops) == (36, 36, 1)
    assert (record.steps, record.epochs, record.resumed_at, record.precision) == (36, 6, 0, "fp32")


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_leaves_everything_but_the_weights_as_it_was(ends):
    model = tiny_model().eval()
    modules = dict(model.named_modules())
    names = {name: (tuple(p.shape), p.requires_grad) for name, p in model.named_parameters()}
    before = torch.get_rng_state()
    spec = dataclasses.replace(SPEC, freeze=("embeddings",)) if ends == "well" else SPEC
    mask = HeadMask.without(2, 2, [HeadId(1, 1)])
    if ends == "well":
        train(model, spec=spec, mask=mask)
    else:
        with pytest.raises(Crash):
            train(model, spec=spec, mask=mask, progress=Watch(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert dict(model.named_modules()) == modules
    assert {name: (tuple(p.shape), p.requires_grad) for name, p in model.named_parameters()} == names
    assert not model.training
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_masked_heads_take_no_part():
    model, spec = tiny_model(), dataclasses.replace(SPEC, weight_decay=0.0)
    start = weights(model)
    train(model, spec=spec, mask=HeadMask.without(2, 2, [HeadId(0, 1)]))
    moved = {name: tensor != start[name] for name, tensor in weights(model).items()}
    query, output = "bert.encoder.layer.0.attention.self.query.weight", "bert.encoder.layer.0.attention.output.dense.weight"
    assert moved[query][:8].any()
    assert not moved[query][8:].any()
    assert moved[output][:, :8].any()
    assert not moved[output][:, 8:].any()


def test_frozen_embeddings_do_not_move_at_all():
    model = tiny_model()
    start = weights(model)
    train(model, spec=dataclasses.replace(SPEC, freeze=("embeddings",)))
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, start[name]) == name.startswith("bert.embeddings"), name


def test_a_loss_weighs_words_equally():
    model, encoded = tiny_model().eval(), tiny_encoded(2, seed=1)
    together = collate([[window] for window in encoded.windows], pad_id=PAD)
    alone = [collate([[window]], pad_id=PAD) for window in encoded.windows]
    counts = [int((batch.labels != -100).sum()) for batch in alone]
    expected = sum(n * word_loss(model, batch) for n, batch in zip(counts, alone, strict=True)) / sum(counts)
    assert counts[0] != counts[1]
    assert torch.allclose(word_loss(model, together), expected)


def test_a_batch_without_labels_has_loss_zero():
    encoded = tiny_encoded(4)
    blank = [dataclasses.replace(w, label_ids=np.full_like(w.label_ids, -100)) for w in encoded.windows]
    record = train(tiny_model(), dataclasses.replace(encoded, windows=tuple(blank)))
    assert record.losses == (0.0, 0.0)


def test_nothing_to_train_on():
    with pytest.raises(SettingError, match="nothing to train on"):
        train(tiny_model(), tiny_encoded(0))


@pytest.fixture
def saved_at_every_step(monkeypatch):
    monkeypatch.setattr("polyhead.learning.training_state.TrainingState.is_due", lambda self: True)


@pytest.mark.usefixtures("saved_at_every_step")
@pytest.mark.parametrize("stop_at", [1, 5, 6, 9])
def test_continues_after_a_crash_to_the_same_bits(tmp_path, stop_at):
    whole, model = tiny_model(), tiny_model()
    expected = train(whole)
    with pytest.raises(Crash):
        train(model, resume_file=tmp_path / "training", progress=Watch(stop_at))
    again = tiny_model()
    record = train(again, resume_file=tmp_path / "training")
    assert record.resumed_at in (stop_at - 1, stop_at)
    assert same(weights(again), weights(whole))
    assert (record.losses, record.steps) == (expected.losses, expected.steps)
    assert (record.seconds_before > 0) == (record.resumed_at > 0)
    assert record.seconds > record.seconds_before
    finished = tiny_model()
    assert train(finished, resume_file=tmp_path / "training").resumed_at == 12
    assert same(weights(finished), weights(whole))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_saves_first(tmp_path, number):
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(KeyboardInterrupt) as caught:
        train(tiny_model(), resume_file=tmp_path / "training", progress=Watch(5, lambda: os.kill(os.getpid(), number)))
    assert caught.value.__notes__ == [f"unfinished work is kept in {tmp_path / 'training'}: start it again to continue"]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    again, whole = tiny_model(), tiny_model()
    assert train(again, resume_file=tmp_path / "training").resumed_at == 5
    train(whole)
    assert same(weights(again), weights(whole))


def test_a_state_of_another_training_is_refused(tmp_path):
    train(tiny_model(), resume_file=tmp_path / "training")
    for what, options in {
        "settings.seed": {"spec": dataclasses.replace(SPEC, seed=4)},
        "data": {"encoded": tiny_encoded(seed=1)},
        "mask": {"mask": HeadMask.full(2, 2)},
    }.items():
        with pytest.raises(StoreError, match=rf"\({what} was [^;]*\); finish"):
            train(tiny_model(), resume_file=tmp_path / "training", **options)
    with pytest.raises(StoreError, match=r"\(weights was [^;]*\); finish"):
        train(tiny_model(seed=1), resume_file=tmp_path / "training")


def test_continues_under_other_threads_with_a_warning(tmp_path, caplog):
    train(tiny_model(), resume_file=tmp_path / "training")
    train(tiny_model(), resume_file=tmp_path / "training")
    assert not caplog.records
    torch.set_num_threads(2)
    train(tiny_model(), resume_file=tmp_path / "training")
    assert "threads 2 after starting with 1" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped"])
def test_a_damaged_state_is_said_and_the_training_done_again(tmp_path, damage, caplog):
    whole, model, file = tiny_model(), tiny_model(), tmp_path / "training"
    train(whole, resume_file=file)
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes({"cut": content[:-20], "emptied": b"", "flipped": content}[damage])
    assert train(model, resume_file=file).resumed_at == 0
    assert "training: damaged" in caplog.text
    assert same(weights(model), weights(whole))
    assert train(tiny_model(), resume_file=file).resumed_at == 12


@pytest.mark.usefixtures("saved_at_every_step")
@pytest.mark.parametrize("rate", [1e6, 1e30])
def test_a_training_that_diverges_ends_at_once_and_keeps_the_last_good_state(tmp_path, rate):
    model, file = tiny_model(), tmp_path / "training"
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight *= 1e30
    spec = dataclasses.replace(SPEC, learning_rate=rate, clip=1e30)
    with pytest.raises(SettingError, match=r"diverged: .* at step \d+ of 12, learning rate .*; try learning rate 0.0003"):
        train(model, spec=spec, resume_file=file)
    if file.exists():
        assert all(bool(tensor.isfinite().all()) for tensor in load(file.read_bytes()).values())


def test_weights_that_overflow_in_the_last_step_are_not_called_trained(tmp_path):
    spec = dataclasses.replace(SPEC, epochs=1, batch_size=100, learning_rate=3e38, warmup=0.0)
    with pytest.raises(SettingError, match="weights not finite at step 1 of 1"):
        train(tiny_model(), spec=spec, resume_file=tmp_path / "training")
    assert not (tmp_path / "training").exists()
    with pytest.raises(SettingError, match="weights not finite at step 1 of 1"):
        train(tiny_model(), spec=spec)


def test_rows_that_nothing_reads_may_not_overflow_either():
    spec = dataclasses.replace(SPEC, learning_rate=1e-2, weight_decay=1e30)
    with pytest.raises(SettingError, match="not finite"):
        train(tiny_model(), spec=spec)


def test_the_space_for_the_state_is_asked_for_first(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    watch = Watch()
    with pytest.raises(StoreError, match=r"training: the state for continuing after a stop takes 0\.\d MB, and only 0\.0 MB"):
        train(tiny_model(), resume_file=tmp_path / "training", progress=watch)
    assert watch.done == 0
    train(tiny_model(), spec=dataclasses.replace(SPEC, epochs=1))


@pytest.mark.slow
def test_killed_in_mid_epoch_it_continues_to_the_same_bits(tmp_path):
    """SIGKILL at an arbitrary moment, several times over."""
    code = (
        "import sys, time, torch; torch.set_num_threads(1); from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2]); import training_case as case\n"
        "from polyhead.core.specs import TrainSpec; from polyhead.learning.training import fit\n"
        "from polyhead.learning.training_state import TrainingState; TrainingState.is_due = lambda self: True\n"
        "class Slow:\n"
        "    def start(self, total, what): print('started', flush=True)\n"
        "    def advance(self, n): time.sleep(0.02)\n"
        "    def stop(self): pass\n"
        "spec = TrainSpec(epochs=6, batch_size=4, learning_rate=1e-2, precision='fp32')\n"
        "model, file = case.tiny_model(), Path(sys.argv[1])\n"
        "options = dict(device=torch.device('cpu'), progress=Slow())\n"
        "fit(model, case.tiny_encoded(), spec, resume_file=file, **options)\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "training"), str(Path(__file__).parents[1])]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "started\n"
    while not (tmp_path / "training").exists():
        time.sleep(0.01)
    time.sleep(0.15)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    spec = TrainSpec(epochs=6, batch_size=4, learning_rate=1e-2, precision="fp32")
    again, whole = tiny_model(), tiny_model()
    assert 0 < train(again, spec=spec, resume_file=tmp_path / "training").resumed_at < 36
    train(whole, spec=spec)
    assert same(weights(again), weights(whole))


@pytest.mark.parametrize(("later", "warnings"), [(1.0, 0), (9.0, 0), (11.0, 1)])
def test_steps_that_become_ten_times_slower_are_said_once(later, warnings, caplog):
    after_step = slowdown()
    for step in range(60):
        positions = 100 * (1 + step % 3)  # longer batches take longer
        after_step(positions * (1.0 if step < 20 else later), positions)
        if step == 25:
            after_step(1e6, 100)  # one slow step alone does not count
    assert [message[:27] for message in caplog.messages] == ["steps take ten times as lon"] * warnings
