"""Requests of the commands about studies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from polyhead.cli.options import DataOption, JsonOption, Machine, Shown
from polyhead.core.settings_file import Many
from polyhead.core.specs import Count, Positive
from polyhead.studies.study_store import KeepWeights

LOCAL: Final = "local"
Share = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
StoreOption = Annotated[Path, Shown("Folder of the study's results, which several studies may share.", "STORE")]


@dataclass(frozen=True, kw_only=True)
class StudyNewRequest:
    """Print a study file with comments, to start from.

    Presets: small (to learn on), pos, ner, slots, controls, multi-source, low-resource, rank-correlation, closeness, and paper,
    which holds all of them. Redirect the output to a file: polyhead study new small > small.toml
    """

    preset: Annotated[str, Shown("Its name, such as small.", "PRESET", positional=True)]
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class StudyRunRequest:
    """Run a study: every combination of models, corpora, methods, seeds and controls that its file names.

    polyhead study new gives a file to start from. All mistakes in it are named before anything runs. With --dry-run nothing
    runs: it shows cells, fine-tunings, hours and gigabytes.
    """

    study: Annotated[Path, Shown("The study file.", "FILE.toml", positional=True)]
    out: StoreOption
    dry_run: Annotated[bool, Shown("Show what it needs and what is already there; run nothing.")] = False
    data: DataOption = None
    keep_weights: Annotated[KeepWeights, Shown("Weights kept when a cell is done; others are made again if ever needed.")] = (
        "none"
    )
    test_every_k: Annotated[bool, Shown("Test every k that is tried, for rules that choose another one later.")] = False
    workers: Annotated[
        Count | None, Shown("Processes that share the work and the threads; unless given one, with --ray as many as fit.")
    ] = None
    ray: Annotated[
        str | None, Shown("Work on Ray: started here, or the cluster at an address, auto or HOST:PORT.", "[ADDRESS]", alone=LOCAL)
    ] = None
    cpus_per_task: Annotated[
        Positive | None, Shown("Processors of each of Ray's workers, and so its threads; 1 unless given.")
    ] = None
    gpus_per_task: Annotated[
        Share | None, Shown("GPUs of each of Ray's workers, such as 0.25; unless given 1 if the cluster has any.")
    ] = None
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class StudyWorkRequest:
    """Work on the studies of a store until every cell is done or has failed; any number of processes may do so at a time.

    They need only the folder, on one host or on many, and no server. Each takes what no other is working on. One that is killed
    loses only its running step, which another takes over.
    """

    store: Annotated[Path, Shown("Folder that polyhead study run wrote.", "STORE", positional=True)]
    study: Annotated[Many[str], Shown("Names of studies in the store; all unless given.", "NAME...")] = ()
    data: DataOption = None
    machine: Machine
    json: JsonOption = False


@dataclass(frozen=True, kw_only=True)
class StudyStatusRequest:
    """Say what of a store's studies is finished, what runs, what failed and why, and how much time is left."""

    store: Annotated[Path, Shown("Folder that polyhead study run wrote.", "STORE", positional=True)]
    study: Annotated[Many[str], Shown("Names of studies in the store; all unless given.", "NAME...")] = ()
    json: JsonOption = False
