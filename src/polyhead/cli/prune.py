"""`polyhead prune`: remove heads from a model and save the rest."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.options import comma_separated
from polyhead.cli.outputs import check_folder
from polyhead.cli.requests import PruneRequest
from polyhead.core.errors import CheckpointError, SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.store import writing
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_saved, load_tokenizer
from polyhead.models.model_card import ModelCard, pruned_further
from polyhead.models.model_heads import head_mask
from polyhead.models.named_masks import head_masks
from polyhead.models.pruning import prune as prune_model
from polyhead.models.saving import densify, save_pruned
from polyhead.selection.ranking import prune_lowest, prune_nested
from polyhead.selection.score_files import check_scores, check_shape, other_model, read_mask, read_scores


def prune(request: PruneRequest, console: Console) -> int:
    """Choose the heads, prune them, save the model."""
    _check_choice(request)
    check_folder("--out", request.out, new=True)
    model = load_saved(request.model, revision=request.revision)
    before, present = sum(p.numel() for p in model.parameters()), head_mask(model)
    files = mask_files(request.mask)
    named = {name: _read(path, request, present) for name, path in files.items() if name}
    if named:
        mask, ranking, choice = HeadMask(np.any([own.keep for own in named.values()], axis=0)), "", "those that no mask keeps"
    else:
        mask, ranking, choice = _mask(request, files.get(""), present, console)
    left = mask & present
    if request.n_pruned is None and (already := mask.n_pruned - (left.n_pruned - present.n_pruned)):
        console.note(f"note: {already} of the {mask.n_pruned} heads were already pruned")
    for name, own in (named or {"": mask}).items():
        floor, kept = request.min_per_layer, (own & present).keep.sum(axis=1)
        if (kept < floor).any():
            of, layer = f"mask {name}: " if name else "", int((kept < floor).argmax())
            raise SettingError(f"{of}layer {layer} would keep {kept[layer]} heads; --min-per-layer is {floor}")
    prune_model(model, named or left)
    masks = head_masks(model)
    after = sum(p.numel() for p in model.parameters())
    tokenizer = None
    try:
        tokenizer = load_tokenizer(request.model, revision=request.revision)
    except CheckpointError as error:
        console.note(f"note: saved without a tokenizer: {error}")
    encoding = EncodingChoice.read(request.model, revision=request.revision)
    base = "" if Path(request.model).is_dir() else request.model
    card = ModelCard.read(request.model, revision=request.revision) or ModelCard(base_model=base)
    if left.n_pruned > present.n_pruned:
        card = pruned_further(card, ranking=ranking, choice=choice)
    with writing(request.out):
        (densify if request.densify else save_pruned)(model, request.out, tokenizer=tokenizer, card=card, encoding=encoding)
    pruned = [str(head) for head in left.pruned]
    document = {
        "schema": 1,
        "model": request.model,
        "out": str(request.out),
        "n_pruned": left.n_pruned,
        "n_kept": left.n_kept,
        "pruned": pruned,
        "kept_per_layer": left.keep.sum(axis=1),
        "weights": {"before": before, "after": before if request.densify else after},
        "dense": request.densify,
        "masks": {name: {"n_kept": own.n_kept, "pruned": [str(head) for head in own.pruned]} for name, own in masks.items()},
    }
    shape = "full shape, pruned heads set to zero" if request.densify else f"{before - after:,} of {before:,} weights removed"
    lines = [
        f"saved {request.out}: {left.n_kept} heads kept, {left.n_pruned} pruned ({shape})",
        f"pruned: {' '.join(pruned) or 'none'}",
        *(f"mask {name}: {own.n_kept} of {left.n_kept} heads" for name, own in masks.items()),
    ]
    console.result(document, "\n".join(lines))
    return DONE


def _check_choice(request: PruneRequest) -> None:
    ways = {"--heads": bool(request.heads), "--mask": bool(request.mask), "--scores": request.scores is not None}
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise SettingError(f"{' and '.join(given)}: give one of {', '.join(ways)}")
    if not given and request.n_pruned is None and not request.densify:
        raise SettingError("no heads named; give --heads 3.5,4.1, or --mask FILE, or --scores FILE with --n-pruned K")
    comma_separated("--heads", request.heads)  # before the model is loaded
    if request.densify and any(mask_files(request.mask)):
        raise SettingError("--densify: a dense copy holds one set of heads; give one mask without a name, or leave it out")
    if request.scores is not None and request.n_pruned is None:
        raise SettingError("--scores FILE: give --n-pruned K with it")
    if request.n_pruned is not None and given not in ([], ["--scores"]):
        raise SettingError(f"--n-pruned {request.n_pruned}: goes with --scores FILE; leave one of it and {given[0]} out")
    if request.scores is None and request.normalise != "none":
        raise SettingError(f"--normalise {request.normalise}: scales the scores of --scores FILE; leave it out")


def mask_files(given: Sequence[str]) -> dict[str, Path]:
    """The files of masks by name; under the empty name that of a mask without one.

    Raises:
        SettingError: A name or a file is missing, a name is given twice, or one mask has a name and another has none.
    """
    files: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=") if not Path(text).exists() else ("", "", text)
        name, path = (name, path) if equals else ("", text)
        if equals and not (name and path):
            raise SettingError(f"--mask {text}: expected NAME=FILE, such as de=heads_de.json, or FILE")
        if name in files:
            what = f"mask {name} is given twice" if name else "two masks without a name"
            raise SettingError(f"--mask {text}: {what}; give one FILE, or NAME=FILE once for each language")
        files[name] = Path(path).expanduser()
    if "" in files and len(files) > 1:
        raise SettingError(f"--mask {files['']}: has no name, and others have; give NAME=FILE for each")
    return files


def _read(path: Path, request: PruneRequest, present: HeadMask) -> HeadMask:
    """A mask that fits the model."""
    mask = read_mask(path)
    check_shape(path, mask.keep.shape, model=request.model, present=present)
    return mask


def _mask(request: PruneRequest, file: Path | None, present: HeadMask, console: Console) -> tuple[HeadMask, str, str]:
    """What to keep, and two sentences for the model card: how heads were ranked, and how they were chosen."""
    if file is not None:
        return _read(file, request, present), "", f"the mask in {file.name}"
    if request.scores is not None and request.n_pruned is not None:
        scores = read_scores(request.scores)
        check_scores(request.scores, scores, model=request.model, present=present)
        console.note(other_model(request.scores, scores, model=request.model))
        floor, how = request.min_per_layer, request.normalise
        mask = prune_lowest(scores, request.n_pruned, present=present, min_per_layer=floor, normalisation=how)
        on = f" on {', '.join(scores.languages)} text" if scores.languages else ""
        return mask, f"by {scores.title}{on}, lowest first", f"the {request.n_pruned} lowest in {request.scores.name}"
    if request.n_pruned is not None:
        choice = EncodingChoice.read(request.model, revision=request.revision)
        order = choice.nested if choice else ()
        mask = prune_nested(order, request.n_pruned, present=present, min_per_layer=request.min_per_layer)
        return mask, "in the order of its training under nested masks", f"the first {request.n_pruned} of them"
    heads = [HeadId.parse(item) for item in comma_separated("--heads", request.heads)]
    if twice := [head for head, count in Counter(heads).items() if count > 1]:
        raise SettingError(f"--heads: {twice[0]} is named more than once; name each head once")
    return HeadMask.without(present.n_layers, present.n_heads, heads), "", "named one by one"
