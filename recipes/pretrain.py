"""Train a small multilingual encoder from scratch, on your own text or on generated phrases.

    python recipes/pretrain.py recipes/tiny.toml --out runs/tiny

One file of settings determines the result. A stopped command, run again, continues and ends with the same numbers. `--out` is a
folder that `from_pretrained` reads, with `pretraining.json`: settings, losses, versions.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from pretraining.learning import learn
from pretraining.settings import ModelSpec, read_recipe
from pretraining.start import new_encoder
from pretraining.subwords import as_subwords, learn_tokenizer
from pretraining.text import read_groups
from transformers import PreTrainedTokenizerFast

from polyhead.cli.console import Bar, Lines
from polyhead.core.errors import PolyheadError
from polyhead.core.files import new_folder, write_json_atomic
from polyhead.core.values import fingerprint
from polyhead.models.devices import pick_device, pick_precision
from polyhead.models.environment import environment


def main() -> int:
    """Parse the command line and run the recipe; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("settings", type=Path, help="TOML file, for example recipes/tiny.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder for the encoder; OUT.state holds unfinished work")
    parser.add_argument("--half", action="store_true", help="store weights in 16 bits")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    try:
        return pretrain(options)
    except PolyheadError as error:
        print(f"pretrain: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pretrain: stopped; run the same command again to continue", file=sys.stderr)
        return 130


def pretrain(options: argparse.Namespace) -> int:
    """Run the recipe: text, tokenizer, initialisation, training, folder."""
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise PolyheadError(f"--out {options.out}: holds something already; name a new folder, or delete this one")
    recipe = read_recipe(options.settings)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    precision = pick_precision("auto", device)
    state = options.out.with_name(options.out.name + ".state")
    groups = list(read_groups(recipe.text))
    tokenizer = _tokenizer(state / f"tokenizer-{fingerprint([asdict(recipe.text), asdict(recipe.model)])}", groups, recipe.model)
    corpus = as_subwords(groups, tokenizer)
    print(f"{len(groups):,} groups, {corpus.n_lines:,} lines, {len(corpus.subwords):,} subwords", file=sys.stderr)
    model = new_encoder(
        recipe.model, corpus, dropout=recipe.training.dropout, seed=recipe.training.seed, vocabulary=len(tokenizer)
    ).to(device)
    progress = Bar() if sys.stderr.isatty() else Lines()
    losses = learn(
        model,
        corpus,
        recipe.training,
        positions=recipe.model.positions,
        precision=precision,
        resume_file=state / "training.partial",
        progress=progress,
    )
    facts = {"settings": asdict(recipe), "subwords": len(corpus.subwords), "lines": corpus.n_lines, "losses": losses}
    with new_folder(options.out) as fresh:
        (model.half() if options.half else model).save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
        write_json_atomic(fresh / "pretraining.json", {"schema": 1, **facts, "environment": environment(device, precision)})
    print(f"written to {options.out}; last loss {losses[-1] if losses else float('nan'):.3f}", file=sys.stderr)
    return 0


def _tokenizer(folder: Path, groups: list[tuple[str, ...]], model: ModelSpec) -> PreTrainedTokenizerFast:
    """The tokenizer saved before a stop, else a new one."""
    if not folder.is_dir():
        with new_folder(folder) as fresh:
            learn_tokenizer(groups, vocabulary=model.vocabulary, positions=model.positions).save_pretrained(fresh)
    found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return found


if __name__ == "__main__":
    sys.exit(main())
