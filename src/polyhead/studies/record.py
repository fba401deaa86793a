"""The parts of a run's record: one for each cell, the cost of heads in this model, and the model's card."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.core.values import jsonable
from polyhead.data.conllu import Words
from polyhead.data.labels import MERGED
from polyhead.models.architectures import architecture
from polyhead.models.model_card import CardScore, ModelCard
from polyhead.models.model_heads import attention_sites
from polyhead.models.model_neurons import has_neurons, neuron_sites
from polyhead.models.sites import AttentionSite
from polyhead.report.reading import short
from polyhead.report.record import CellRecord, CostRecord, RankingCost, SettingsRecord, TargetRecord, TrialRecord
from polyhead.selection.ranking import rank
from polyhead.studies.cell import Outcome
from polyhead.studies.context import FitStore, RunContext
from polyhead.studies.evaluations import points_by_name
from polyhead.studies.prune_after import pruning_note
from polyhead.studies.settings import RunSettings


class Clock:
    """Time a run has taken: the fine-tunings of all its processes, and the rest of this process."""

    def __init__(self, store: FitStore) -> None:
        self._store, self._started = store, time.perf_counter()
        self._earlier = {record.fingerprint: float(record.result["seconds"]) for record in store.records()}

    def seconds(self) -> float:
        """Wall-clock time so far."""
        new = [record for record in self._store.records() if record.fingerprint not in self._earlier]
        begun = sum(float(record.result["fit"].get("seconds_before", 0.0)) for record in new)
        return sum(self._earlier.values()) + begun + time.perf_counter() - self._started


def settings_record(settings: RunSettings, *, words: Words, seeds: Sequence[int], controls: Sequence[str]) -> SettingsRecord:
    """The run's settings, and what follows from them."""
    facts = {"words": words, "seeds": seeds, "controls": controls, "claim": settings.rules.claim}
    return SettingsRecord.model_validate_json(json.dumps({**jsonable(settings.facts), **jsonable(facts)}))


def cell_record(context: RunContext, outcome: Outcome) -> CellRecord:
    """One seed of one arm; scores in points (0..100)."""
    cell, scores, table, pruned = outcome.cell, outcome.scores, outcome.table, outcome.pruned
    trial_tests = outcome.tests if context.settings.rules.reported_split else {}
    return CellRecord(
        seed=cell.seed,
        arm=cell.arm,
        fit=outcome.chosen.folder.name,
        scores=jsonable(scores.values),
        ranking=[str(head) for head in rank(scores)],
        ranking_cost=RankingCost(
            method=scores.method,
            seconds=scores.seconds,
            forward_passes=scores.forward_passes,
            backward_passes=scores.backward_passes,
            units=scores.n,
            settings=dict(scores.settings),
        ),
        screen=None if table.screen is None else list(table.screen),
        standard_error=table.standard_error,
        trials=[
            TrialRecord(
                k=trial.k,
                heads=[str(head) for head in outcome.masks[trial.k].pruned],
                dev=trial.score,
                seconds=_seconds(outcome, trial.k),
                tests=points_by_name(context, trial_tests[trial.k]) if trial_tests else None,
            )
            for trial in table.trials
        ],
        chosen=table.chosen,
        chosen_reason=table.reason,
        fine_tunings=_fine_tunings(context, outcome),
        targets=[
            TargetRecord(
                name=name,
                language=context.inputs.languages[name],
                n_words=full.n_words,
                k=outcome.reported[name],
                unpruned=_scaled(full.metrics),
                pruned=_scaled(pruned[name].metrics),
                nested_unpruned=None if outcome.nested_unpruned is None else _scaled(outcome.nested_unpruned[name].metrics),
            )
            for name, full in outcome.unpruned.items()
        ],
    )


def _fine_tunings(context: RunContext, outcome: Outcome) -> int:
    searches = [outcome, *outcome.others]
    if outcome.nested is not None:
        return 1 + len(searches)
    return 0 if context.settings.search.prune == "after" else 1 + sum(len(one.table.trials) - 1 for one in searches)


def _seconds(outcome: Outcome, k: int) -> float:
    """Of a trial: its fine-tuning; in a nested search the one fine-tuning stands with k = 0, the other trials cost none."""
    if outcome.nested is not None:
        return 0.0 if k else outcome.nested.seconds
    return outcome.fits[k].seconds


def cost_record(model: PreTrainedModel, present: HeadMask) -> CostRecord:
    """Upper bounds on what pruning this model can save (method: weights and multiply-adds counted from the shapes).

    `present` says which heads the encoder had before this run.
    """
    sites = attention_sites(model)
    heads = [tuple(int(head) for head in row.nonzero()[0]) for row in present.keep]
    feed_forward = _feed_forward_weights(model)

    def share(length: int) -> float:
        attention = sum(_attention_work(site, own, length) for site, own in zip(sites, heads, strict=True))
        return attention / (attention + feed_forward) if attention else 0.0

    all_heads = sum(site.weights_of(own) for site, own in zip(sites, heads, strict=True))
    left = sum(site.weights_of(site.kept or range(site.n_blocks)) for site in sites)
    total = sum(parameter.numel() for parameter in model.parameters())
    return CostRecord(
        head_weights=sites[0].weights_per_head,
        heads=present.n_kept,
        all_heads_weights=all_heads,
        model_weights=total + all_heads - left,
        pruned_model_weights=total,
        embedding_weights=model.get_input_embeddings().weight.numel(),
        heads_pruned=present.n_kept - sum(len(site.kept) for site in sites),
        attention_share_128=share(128),
        attention_share_512=share(512),
    )


def _attention_work(site: AttentionSite, heads: Collection[int], length: int) -> int:
    """Multiply-adds per token of some heads, in a sentence of `length` tokens; a key and value that several share count once."""
    n_keys = len({head // site.group for head in heads})
    own = len(heads) * (site.query.in_features + site.output.out_features)
    shared = n_keys * (site.key.in_features + site.value.in_features)
    return site.uses * site.head_dim * (own + shared + 2 * length * len(heads))


def _feed_forward_weights(model: PreTrainedModel) -> int:
    """Weights of all feed-forward blocks as the model is, without biases; of a family without a row for them, of two layers."""
    config, sites = model.config, attention_sites(model)
    if has_neurons(config):
        return sum(site.uses * layer.weight.numel() for site in neuron_sites(model) for layer in (*site.inputs, site.output))
    inner = getattr(config, architecture(config).feed_forward, 4 * config.hidden_size)
    return int(2 * config.hidden_size * inner * sum(site.uses for site in sites))


def model_card(context: RunContext, outcome: Outcome, *, caveat: str) -> ModelCard:
    """What a reader of the saved checkpoint must know; its scores are those of the checkpoint itself."""
    settings, metric = context.settings, context.inputs.task.metric
    chosen = outcome.tests[outcome.table.chosen]
    scores = [
        CardScore(
            data=f"{short(name)} test",
            language=context.inputs.languages[name],
            metric=metric,
            pruned=chosen[name].metrics[metric],
            full=full.metrics[metric],
        )
        for name, full in outcome.unpruned.items()
    ]
    return ModelCard(
        base_model="" if Path(settings.encoder).is_dir() else settings.model,
        task=settings.task,
        languages=tuple(dict.fromkeys(context.inputs.languages[name] for name in context.inputs.source_dev)),
        training_data=tuple(
            f"{short(data.name)} train, {data.sentences:,} sentences"
            + "".join(f"; {what}" for what in data.repairs if what.startswith(MERGED))
            for data in context.inputs.records
            if data.split == "train"
        ),
        ranking=f"by {outcome.scores.method} on {', '.join(map(short, settings.sources))} dev, lowest first",
        choice="; ".join(filter(None, (outcome.table.reason, pruning_note(settings)))),
        scores=tuple(scores),
        caveat=caveat,
    )


def _scaled(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: 100 * value for name, value in metrics.items()}
