"""The stages of a run: the code that decides the numbers of each, and the version stored with them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        version: Part of the fingerprint of the stage's results; raised when its numbers change.
        files: Source files under `polyhead/`, or patterns of them, whose code decides its numbers.
    """

    version: int
    files: tuple[str, ...]


_MODEL: Final = (
    "core/heads.py",
    "core/neurons.py",
    "learning/batching.py",
    "learning/losses.py",
    "learning/scoring_mode.py",
    "models/architectures.py",
    "models/classifiers.py",
    "models/devices.py",
    "models/finding.py",
    "models/gates.py",
    "models/loading.py",
    "models/model_heads.py",
    "models/model_neurons.py",
    "models/named_masks.py",
    "models/neuron_sites.py",
    "models/position_bias.py",
    "models/proof_checks.py",
    "models/proofs.py",
    "models/proposals.py",
    "models/pruning.py",
    "models/repeating.py",
    "models/sites.py",
    "models/small_copies.py",
)

# scripts/stages.py compares the files with their recorded hashes and says what to do about changes.
STAGES: Final[dict[str, Stage]] = {
    "reading": Stage(
        1,
        (
            "data/**/*.py",
            "learning/encoded.py",
            "learning/encoded_files.py",
            "learning/encoding.py",
            "learning/subwords.py",
            "learning/text_encoder.py",
            "learning/whole_texts.py",
            "studies/inputs.py",
            "studies/run_data.py",
            "studies/text_memory.py",
        ),
    ),
    "training": Stage(
        1,
        (
            *_MODEL,
            "compression/layer_calls.py",
            "compression/refit.py",
            "compression/refit_neurons.py",
            "compression/repair.py",
            "core/specs.py",
            "learning/fast_dropout.py",
            "learning/head_means.py",
            "learning/nested.py",
            "learning/optimiser.py",
            "learning/resumable.py",
            "learning/seen_embeddings.py",
            "learning/teaching.py",
            "learning/training*.py",
            "models/pruning_record.py",
            "models/row_record.py",
            "models/saving.py",
            "models/transformers_loader.py",
            "studies/finetunes.py",
            "studies/prune_after.py",
        ),
    ),
    "evaluation": Stage(1, (*_MODEL, "learning/inference.py", "learning/metrics.py", "studies/evaluations.py")),
    "scoring": Stage(
        1,
        (
            *_MODEL,
            "core/resampling.py",
            "importance/*.py",
            "learning/head_means.py",
            "learning/resumable.py",
            "learning/shared_prefix.py",
            "selection/combining.py",
            "studies/cell.py",
        ),
    ),
    "screening": Stage(
        1,
        (
            *_MODEL,
            "learning/inference.py",
            "learning/masked_evaluation.py",
            "learning/metrics.py",
            "learning/shared_prefix.py",
            "studies/cell.py",
            "studies/evaluations.py",
            "studies/nested_search.py",
            "studies/screening.py",
        ),
    ),
    # Nothing is kept of the next two but the result: a finished run of an older version is computed again from kept figures.
    "selection": Stage(
        2,
        (
            "core/heads.py",
            "selection/ranking.py",
            "selection/score_files.py",
            "selection/trials.py",
            "studies/arms.py",
            "studies/cell.py",
            "studies/evaluations.py",
            "studies/nested_search.py",
            "studies/protocols.py",
            "studies/settings.py",
        ),
    ),
    "statistics": Stage(
        2,
        (
            "learning/metrics.py",
            "report/statistic_rows.py",
            "selection/gains.py",
            "selection/resampling.py",
            "selection/statistics.py",
            "studies/evaluations.py",
            "studies/record.py",
            "studies/run.py",
            "studies/summary.py",
        ),
    ),
    "head analysis": Stage(
        1,
        (
            "core/resampling.py",
            "data/trees.py",
            "importance/attention.py",
            "importance/data_pass.py",
            "importance/gate_pass.py",
            "selection/head_effects.py",
            "selection/resampling.py",
            "studies/attention_shares.py",
            "studies/head_profile.py",
            "studies/language_profile.py",
            "studies/word_attention.py",
        ),
    ),
}


def version(name: str) -> int:
    """The version of one stage."""
    return STAGES[name].version


def versions() -> dict[str, int]:
    """The version of every stage, by name."""
    return {name: stage.version for name, stage in STAGES.items()}
