"""Orders of heads made on one half of the sentences and judged on the other, and the other way round."""

from collections.abc import Callable
from pathlib import Path

from polyhead.core.heads import Normalisation
from polyhead.core.progress import Progress
from polyhead.importance.methods import check_normalisation, method, score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import Labelled
from polyhead.models.model_heads import head_mask
from polyhead.selection.judged_orders import Order, both_ways, ranked
from polyhead.selection.oracle import greedy_order
from polyhead.studies.oracle_candidates import CANDIDATES, oracle_shortlist
from polyhead.studies.tagger import Tagger

Halves = tuple[list[int], list[int]]


def check_methods(names: tuple[str, ...], normalisation: Normalisation) -> None:
    """Refuse unknown names and a normalisation that does not suit a method's scores.

    Raises:
        UnknownNameError: No method has this name.
        SettingError: See `check_normalisation`.
    """
    for name in names:
        check_normalisation(name, normalisation)


def method_orders(
    name: str,
    tagger: Tagger,
    data: Labelled,
    halves: Halves,
    *,
    called: str,
    depth: int,
    normalisation: Normalisation,
    seed: int,
    progress: Progress | None = None,
    resume_file: Callable[[str], Path] | None = None,
) -> list[Order]:
    """The order of an importance method and its reverse.

    A method that reads labels ranks on each half; one that does not ranks once, on all sentences.

    Args:
        name: A row of `METHODS`.
        tagger: The model.
        data: The sentences to be judged.
        halves: Places of the sentences of each half.
        called: Name in tables.
        depth: K; methods that learn or settle the lowest few heads get this number.
        normalisation: Scaling before ranking.
        seed: Random seed.
        progress: Updated as work is done.
        resume_file: Where unfinished work is kept, from the name of the work.

    Raises:
        SettingError: See `score_heads`; also if a half has no labelled word.
    """
    row = method(name)
    options = {"n_lowest": depth} if row.takes("n_lowest") else {}
    parts = {half: data.part(places) for half, places in zip("ab", halves, strict=True)} if row.needs_labels else {"all": data}
    found = [
        ranked(
            score_heads(
                name,
                tagger.model,
                scoring_batches(part.encoded),
                seed=seed,
                precision=tagger.precision,
                progress=progress,
                resume_file=None if resume_file is None else resume_file(f"{name}.{half}"),
                options=options,
            ),
            head_mask(tagger.model),
            normalisation,
        )
        for half, part in parts.items()
    ]
    return both_ways(Order("", called, "lowest", found[0], crossed=found[1] if row.needs_labels else None))


def oracle_order(
    tagger: Tagger,
    data: Labelled,
    halves: Halves,
    *,
    depth: int,
    candidates: int = CANDIDATES,
    seed: int,
    progress: Progress | None = None,
    resume_file: Callable[[str], Path] | None = None,
) -> Order:
    """The greedy oracle of each half; arguments as in `method_orders`, `candidates` as the `size` of `oracle_shortlist`."""
    found = []
    for half, places in zip("ab", halves, strict=True):
        part = data.part(places)
        shortlist = None
        if head_mask(tagger.model).n_kept > candidates:
            batches = scoring_batches(part.encoded)
            shortlist = oracle_shortlist(tagger.model, batches, size=candidates, seed=seed, precision=tagger.precision)
        oracle = greedy_order(
            tagger.model,
            part,
            tagger.task,
            tagger.labels,
            n_steps=depth,
            shortlist=shortlist,
            precision=tagger.precision,
            progress=progress,
            resume_file=None if resume_file is None else resume_file(f"oracle.{half}"),
        )
        found.append(oracle.order)
    return Order("greedy oracle", "greedy oracle", "oracle", found[0], crossed=found[1])
