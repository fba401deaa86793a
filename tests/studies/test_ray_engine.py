"""Studies on a real Ray of this machine: every stage is made once, whoever dies, fails or holds one."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray_scale import SleepingTask, made_by, open_sleeping, sleeping_tasks
from tiny_run import study_text, tiny_data

from polyhead.cli.main import main
from polyhead.core.errors import LeaseLost, SettingError
from polyhead.core.leases import Leases
from polyhead.core.store_kind import open_store
from polyhead.report.study_record import read_cell
from polyhead.studies.failures import read_failures
from polyhead.studies.ray_crew import Cluster, connected
from polyhead.studies.ray_engine import run_on_ray, work_on_ray
from polyhead.studies.ray_worker import MakeJob
from polyhead.studies.study_folder import add_study
from polyhead.studies.study_run import work_study
from polyhead.studies.study_store import KIND, SCHEMA, Only

ROOT = Path(__file__).resolve().parents[2]
PATHS = [str(ROOT / name) for name in ("src", "tests", "tests/studies", "benchmarks")]
NOWHERE = Cluster("10.255.255.1:1")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray with room for two workers."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(PATHS))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
        yield ray
        ray.shutdown()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    open_store(tmp_path / "store", kind=KIND, schema=SCHEMA)
    return tmp_path / "store"


def killed_once_busy(store: Path, killed: list[int]) -> None:
    """Kill one worker as soon as something has been made."""
    while not killed:
        time.sleep(0.05)
        if not any(store.glob("fits/*/record.json")):
            continue
        for path in (store / "workers").glob("*.json"):
            status = json.loads(path.read_text())
            if status["job"] and status["pid"] != os.getpid():
                os.kill(status["pid"], signal.SIGKILL)
                killed.append(status["pid"])
                break


def figures(store: Path) -> dict[str, Any]:
    """All that a study's tables are made of; the counts' hash is in their name."""
    found: dict[str, Any] = {}
    for path in (store / "cells").glob("*.json"):
        record = read_cell(path)
        assert record.result is not None
        result = record.result.model_dump(include={"scores", "ranking", "chosen", "targets"})
        trials = [(trial.k, trial.heads, trial.dev) for trial in record.result.trials]
        (counts,) = (store / "cells").glob(f"{path.stem}.*.safetensors")
        found[path.stem] = [record.cell.arm, record.dev, result, trials, counts.name]
    return found


@pytest.mark.slow
def test_a_study_with_a_killed_worker_has_the_numbers_of_one_worker_alone(
    ray: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_data(tmp_path)
    (tmp_path / "study.toml").write_text(study_text(folder, seeds=[1, 2], controls=["random"]))
    alone, together = tmp_path / "alone", tmp_path / "together"
    for store in (alone, together):
        add_study(tmp_path / "study.toml", store)
    plain = work_study(alone, device="cpu")
    killed: list[int] = []
    threading.Thread(target=killed_once_busy, args=(together, killed), daemon=True).start()
    outcome = run_on_ray(together, Cluster(), device="cpu", beat=0.3)
    assert killed
    assert (outcome.done, outcome.failed) == (plain.done, ()) == (4, ())
    assert figures(together) == figures(alone)
    assert sorted(path.name for path in (together / "fits").iterdir()) == sorted(path.name for path in (alone / "fits").iterdir())
    assert list((together / "workers").glob("*.json")) == []

    made = {path: path.stat().st_mtime_ns for path in together.glob("*/*/record.json")}
    command = ["study", "run", str(tmp_path / "study.toml"), "--out", str(together), "--ray", NOWHERE.address, "--json"]
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])  # after what this Ray has said of the killed worker
    assert (again["done"], again["found"]) == (0, 4), "Ray is not even looked for"
    assert made == {path: path.stat().st_mtime_ns for path in together.glob("*/*/record.json")}


def open_deadly(store: Path, access: Only) -> MakeJob:
    """Jobs of which one kills its process."""

    def make(task: SleepingTask) -> Any:
        if task.name == "cell-7":
            os.kill(os.getpid(), signal.SIGKILL)
        return open_sleeping(store, access)(task)

    return make


@pytest.mark.slow
def test_cells_that_fail_kill_their_workers_or_wait_for_others_stop_nobody(
    ray: Any, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = sleeping_tasks(12)
    tasks[4] = replace(tasks[4], fails=True)
    with (
        Leases(store / "leases", "at-work", beat=0.2) as at_work,
        Leases(store / "leases", "gone", beat=0.2) as gone,
        caplog.at_level(logging.WARNING),
    ):
        gone.process = ""  # as on another host: only heartbeats tell
        held, lost = at_work.acquire("group-0-source"), gone.acquire("group-1-source")
        assert held is not None
        assert lost is not None
        gone._stopping.set()
        threading.Timer(15, held.release).start()
        outcome = work_on_ray(tasks, store, open_deadly, Cluster(), beat=0.2)
        with pytest.raises(LeaseLost):
            lost.check()
    assert (outcome.done, outcome.found, outcome.discarded) == (10, 0, 0)
    failed = {failure.name: failure.what for failure in outcome.failed}
    assert failed.keys() == {"cell-4", "cell-7"}
    assert "RuntimeError: this cell fails" in failed["cell-4"]
    assert "RuntimeError: this cell fails" in caplog.text
    assert "the worker's process died 3 times" in failed["cell-7"]
    made = made_by(store)
    assert len(made) == 4 + 10 * 3 + len([name for name in made if name.startswith("cell-4-")])

    tasks[4] = replace(tasks[4], fails=False)
    again = work_on_ray(tasks, store, open_sleeping, Cluster(), beat=0.5)
    assert (again.done, again.found, again.failed) == (2, 10, ())
    assert read_failures(store / "failures") == {}
    assert made.items() <= made_by(store).items(), "nothing is made twice"


@pytest.mark.slow
def test_an_interrupt_ends_the_workers_and_keeps_what_is_done(store: Path) -> None:
    code = f"""
import signal
from pathlib import Path
from ray_scale import open_sleeping, sleeping_tasks
from polyhead.cli.failures import guarded
from polyhead.studies.ray_crew import Cluster
from polyhead.studies.ray_engine import work_on_ray

def main() -> int:
    work_on_ray(sleeping_tasks(1000, seconds=0.2), Path({str(store)!r}), open_sleeping, Cluster(workers=2), beat=0.5)
    return 0

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
raise SystemExit(guarded(main))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while len(list((store / "fits").glob("*.json"))) < 5:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; unfinished work is kept in" in err
    assert out == ""
    n_made = len(made_by(store))
    pids = set(made_by(store).values())
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until, "workers are left"
        time.sleep(0.1)
    assert len(made_by(store)) <= n_made + 2


def test_without_ray_one_line_says_how_to_install_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingError, match=r'pip install "polyhead\[ray\]"'):
        work_on_ray(sleeping_tasks(1), store, open_sleeping, Cluster())


def test_a_ray_client_address_is_refused() -> None:
    pytest.importorskip("ray")
    with pytest.raises(SettingError, match="on a node of the cluster"), connected(Cluster("ray://head:10001")):
        pass
