"""Several holders whose calls to the file system are interleaved in every way that hypothesis finds."""

import io
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from polyhead.core.errors import LeaseLost
from polyhead.core.leases import Lease, Leases

WORKERS = st.integers(0, 2)
CALLS = ((os, "open"), (os, "scandir"), (os, "link"), (os, "unlink"), (io, "open"))
here = threading.local()


def stopping(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, before which an actor's thread waits for its turn."""

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if (actor := getattr(here, "actor", None)) is not None:
            actor.paused.release()
            actor.turn.acquire()
        return call(*arguments, **named)

    return wrapped


class Actor:
    """A worker whose operations advance by one call to the file system at a time."""

    def __init__(self, folder: Path, worker: str, clock: Callable[[], float]) -> None:
        self.leases = Leases(folder, worker, beat=1.0, patience=2, clock=clock)
        self.leases.process = ""
        self.leases.start = lambda: None  # type: ignore[method-assign]  # heartbeats are a rule here
        self.lease: Lease | None = None
        self.turn, self.paused = threading.Semaphore(0), threading.Semaphore(0)
        self.is_busy = False
        self.error: BaseException | None = None

    def start(self, operation: Callable[[], None]) -> None:
        def run() -> None:
            here.actor = self
            self.turn.acquire()
            try:
                operation()
            except BaseException as error:
                self.error = error
            self.is_busy = False
            self.paused.release()

        self.is_busy = True
        threading.Thread(target=run, daemon=True).start()

    def step(self) -> None:
        self.turn.release()
        self.paused.acquire()
        if self.error is not None:
            raise self.error


class Protocol(RuleBasedStateMachine):
    """Three workers and one stage."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module, name in CALLS:
            self.patch.setattr(module, name, stopping(getattr(module, name)))
        self.folder = Path(tempfile.mkdtemp())
        self.result = self.folder / "result"
        self.now = 0.0
        self.actors = [Actor(self.folder / "leases", f"worker-{n}", lambda: self.now) for n in range(3)]
        self.recorded: list[str] = []
        self.generations: list[int] = []
        self.was_finished = False

    def teardown(self) -> None:
        for actor in self.actors:
            while actor.is_busy:
                actor.step()
        self.consistent()
        self.patch.undo()
        shutil.rmtree(self.folder)

    def acquire(self, actor: Actor) -> None:
        actor.lease = actor.leases.acquire("stage")
        if actor.lease is not None and not self.was_finished:
            self.generations.append(actor.lease.generation)

    def commit(self, actor: Actor) -> None:
        assert actor.lease is not None
        with suppress(LeaseLost):
            actor.lease.commit(self.result, actor.leases.worker.encode())
            self.recorded.append(actor.leases.worker)

    def release(self, actor: Actor) -> None:
        assert actor.lease is not None
        finished = bool(self.recorded)
        self.was_finished |= finished
        actor.lease.release(finished=finished)
        actor.lease = None

    def beat(self, actor: Actor) -> None:
        assert actor.lease is not None
        actor.lease._beat()

    @rule(worker=WORKERS, calls=st.integers(1, 9), then=st.sampled_from(["commit", "release", "beat"]))
    def moves(self, worker: int, calls: int, then: str) -> None:
        """A worker makes so many calls; an idle one first asks for the stage, or does something with its lease."""
        actor = self.actors[worker]
        if not actor.is_busy:
            operation = self.acquire if actor.lease is None else getattr(self, then)
            actor.start(lambda: operation(actor))
        for _ in range(calls):
            if actor.is_busy:
                actor.step()

    @rule()
    def a_beat_passes(self) -> None:
        self.now += 1.0

    @precondition(lambda self: not any(actor.is_busy for actor in self.actors))
    @invariant()
    def consistent(self) -> None:
        holders = []
        for actor in self.actors:
            if actor.lease is not None:
                try:
                    actor.lease.check()
                except LeaseLost:
                    continue
                holders.append(actor.leases.worker)
        assert len(holders) <= 1

    @invariant()
    def one_result(self) -> None:
        assert len(self.recorded) <= 1
        if self.recorded:
            assert self.result.read_bytes() == self.recorded[0].encode()

    @invariant()
    def tokens_differ(self) -> None:
        """Not always in rising order: a holder may be stopped before `acquire` returns, and be replaced before it wakes."""
        assert len(set(self.generations)) == len(self.generations)


@pytest.mark.slow
def test_interleaved_holders_never_record_twice() -> None:
    quick = settings(max_examples=300, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Protocol, settings=quick)
