"""What a small encoder gains from its initialisation: positional heads, and word vectors from translations.

    python benchmarks/tiny_encoder.py pretrain [--starts both svd positional neither] [--steps 500]   # minutes per start
    python benchmarks/tiny_encoder.py test     # a minute per start and seed
    python benchmarks/tiny_encoder.py table    # writes results/tiny_encoder.json

The recipe of `polyhead/tiny` with each start, everything else the same, stopped after fewer steps. Each encoder, and the one in
the package, is then fine-tuned on phrases/en with three seeds and tested in nine languages with all heads and with none.
Finished work is kept. No timings.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import environment
import numpy as np
from fine_tuned import SEEDS
from treebanks import LABELS, POS, WORK

from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.heads import HeadMask
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoding import encode, model_limit
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_scores
from polyhead.learning.training import fit
from polyhead.models.loading import load_tagger, load_tokenizer
from polyhead.models.names import OWN_ENCODERS, model_folder

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ("en", "de", "nl", "es", "ar", "he", "zh", "ja", "tr")
STARTS = {
    "both": {},
    "svd": {"positional_heads": "[]"},
    "positional": {"svd": "false"},
    "neither": {"positional_heads": "[]", "svd": "false"},
}
FOLDER = WORK / "encoders"


def pretrain(start: str, steps: int) -> None:
    """Run the recipe with some lines changed, as a user would."""
    out = FOLDER / f"{start}-{steps}"
    if out.is_dir():
        return
    changed = {**STARTS[start], "steps": str(steps)}
    lines = (ROOT / "recipes" / "tiny.toml").read_text(encoding="utf-8").splitlines()
    text = "\n".join(f"{key} = {changed[key]}" if (key := line.split(" ")[0]) in changed else line for line in lines)
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = FOLDER / f"{start}-{steps}.toml"
    settings.write_text(text + "\n", encoding="utf-8")
    subprocess.run([sys.executable, ROOT / "recipes" / "pretrain.py", settings, "--out", out], check=True)


def encoders() -> dict[str, str]:
    """Name and folder of every existing encoder, the package's first."""
    made = sorted(path for path in FOLDER.glob("*") if (path / "pretraining.json").is_file())
    return {name: name for name in OWN_ENCODERS} | {path.name: str(path) for path in made}


def place(name: str, seed: int) -> Path:
    return FOLDER / f"{name.replace('/', '-')}.{seed}.json"


def test(name: str, model_name: str, seed: int) -> None:
    """Fine-tune on phrases/en; accuracy of every language's test split with all heads and with none."""
    if place(name, seed).is_file():
        return
    tokenizer = load_tokenizer(model_name)
    model = load_tagger(model_name, labels=LABELS, seed=seed)
    limit = model_limit(model.config)
    train = encode(open_corpus("phrases/en", "train").sentences, tokenizer, LABELS, model_limit=limit)
    fit(model, train, TrainSpec(seed=seed), device="auto")
    shape = (model.config.num_hidden_layers, model.config.num_attention_heads)
    masks = [HeadMask(np.full(shape, keep, dtype=np.bool_)) for keep in (True, False)]
    rows = {}
    for language in LANGUAGES:
        test_split = open_corpus(f"phrases/{language}", "test")
        encoded = encode(test_split.sentences, tokenizer, LABELS, model_limit=limit, unknown="ignore")
        data = Labelled(encoded, [sentence.labels for sentence in test_split.sentences])
        scores, _ = masked_scores(model, scoring_batches(encoded), data, POS, LABELS, masks, precision="fp32")
        rows[language] = {"all_heads": 100 * float(scores[0]), "no_heads": 100 * float(scores[1])}
    write_json_atomic(place(name, seed), rows)
    print(name, seed, {key: [round(value, 1) for value in row.values()] for key, row in rows.items()}, file=sys.stderr)


def table() -> dict[str, Any]:
    """Means over seeds with each seed's figures, and the pre-training loss every 50 steps."""
    found = {}
    for name, path in encoders().items():
        seeds = [seed for seed in SEEDS if place(name, seed).is_file()]
        if not seeds:
            continue
        rows = {seed: read_json(place(name, seed)) for seed in seeds}
        record = open_pretraining(path)
        found[name] = {
            "seeds": seeds,
            "steps": record["settings"]["training"]["steps"],
            "losses": [round(loss, 3) for loss in record["losses"]],
            "accuracy": {
                language: {
                    kind: {
                        "mean": round(float(np.mean([row[language][kind] for row in rows.values()])), 2),
                        "by_seed": [round(row[language][kind], 2) for row in rows.values()],
                    }
                    for kind in ("all_heads", "no_heads")
                }
                for language in LANGUAGES
            },
        }
    return found


def open_pretraining(path: str) -> dict[str, Any]:
    return dict(read_json(model_folder(path) / "pretraining.json"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["pretrain", "test", "table"])
    parser.add_argument("--starts", nargs="+", choices=list(STARTS), default=list(STARTS))
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    if options.stage == "pretrain":
        for start in options.starts:
            pretrain(start, options.steps)
    elif options.stage == "test":
        FOLDER.mkdir(parents=True, exist_ok=True)
        for seed in SEEDS:
            for name, path in encoders().items():
                test(name, path, seed)
    else:
        content = {"environment": environment.environment(seed=SEEDS[0]), "work": __doc__.split("\n\n")[2], "encoders": table()}
        print(f"written to {environment.write('tiny_encoder', content)}", file=sys.stderr)


if __name__ == "__main__":
    main()
