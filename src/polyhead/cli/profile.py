"""`polyhead profile`: how long a batch takes on this machine, by heads and by neurons, and how true predictions are."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.inputs import set_threads
from polyhead.cli.outputs import check_file
from polyhead.cli.requests import ProfileRequest
from polyhead.compression.latency import cached_latency
from polyhead.compression.latency_check import Check, check_plans
from polyhead.compression.latency_models import GRAPHS, check_backend, check_fits, free_bytes, full_counts, kept_counts
from polyhead.compression.latency_points import grid_of
from polyhead.compression.latency_table import Backend, LatencyTable
from polyhead.compression.plan_sizes import random_counts, smaller_plans
from polyhead.core.errors import SettingError
from polyhead.core.values import counted
from polyhead.models.devices import pick_device
from polyhead.models.loading import load_saved
from polyhead.report.tables import markdown

_NOISY = 0.03  # of a time: then predictions within 5 % cannot be expected


def profile(request: ProfileRequest, console: Console) -> int:
    """Measure a latency table for each backend, or read what was kept; predict and measure random plans."""
    backends: tuple[Backend, ...] = tuple(dict.fromkeys(request.backend))
    for backend in backends:
        check_backend(backend)
    if request.out is not None:
        check_file("--out", request.out, suffixes=(".json",))
        if len(backends) > 1:
            raise SettingError(f"--out {request.out}: one file holds one table; give one --backend with it")
    device = pick_device(request.machine.device)
    if device.type != "cpu" and (graphs := [backend for backend in backends if backend in GRAPHS]):
        raise SettingError(f"--device {device}: {graphs[0]} runs on the CPU here; give --device cpu")
    set_threads(request.machine.threads)
    model = load_saved(request.model, revision=request.revision).float().eval().to(device)
    check_fits(model, batch=request.batch, length=request.length, free=free_bytes(device))
    whole, here = full_counts(model), kept_counts(model)
    tables, checks = {}, {}
    for backend in backends:
        table = cached_latency(
            model,
            batch=request.batch,
            length=request.length,
            backend=backend,
            precision=request.precision,
            again=request.again,
            progress=console.progress,
        )
        tables[backend] = table
        if table.noise > _NOISY:
            again = "measure again, with --again, when nothing else runs"
            console.note(f"note: {backend}: other work disturbed this measurement ({_percent(table.noise)}); {again}")
        if request.check:
            heads, neurons = grid_of(model, backend).plans
            plans = random_counts(table, request.check, seed=request.seed, heads=heads, neurons=neurons)
            checks[backend] = check_plans(model, table, plans, progress=console.progress)
    if request.out is not None:
        tables[backends[0]].write(request.out)
    now = here if here != whole else None
    found = {
        "schema": 1,
        "model": request.model,
        "layers": len(whole),
        "heads": whole[0][0],
        "neurons": whole[0][1],
        "tables": [_document(table, now, checks.get(backend, ())) for backend, table in tables.items()],
    }
    shape = f"{request.model}: {len(whole)} layers of {whole[0][0]} heads and {whole[0][1]:,} neurons"
    console.result(found, "\n\n".join([shape, *(_text(table, now, checks.get(name, ())) for name, table in tables.items())]))
    return DONE


def _document(table: LatencyTable, now: Sequence[tuple[int, int]] | None, checks: Sequence[Check]) -> dict[str, Any]:
    found = {
        **asdict(table),
        "full_ms": table.full,
        "noise": table.noise,
        "misfit": table.misfit,
        "parts_ms": dict(_parts(table)),
        "ceilings": [{"plan": plan, "ms": ms, "speed_up": table.full / ms if ms else None} for plan, ms in _ceilings(table)],
        "checks": [{**asdict(check), "error": check.error} for check in checks],
    }
    return found if now is None else {**found, "model_ms": table.predict(now)}


def _parts(table: LatencyTable) -> list[tuple[str, float]]:
    """Milliseconds of the unpruned model by part."""
    attention = table.n_layers * table.attention_ms(table.n_heads)
    feed_forward = table.n_layers * table.feed_forward_ms(table.n_neurons)
    return [("attention", attention), ("feed-forward", feed_forward), ("rest", table.fixed)]


def _ceilings(table: LatencyTable) -> list[tuple[str, float]]:
    return [(name, table.predict(counts)) for name, counts in smaller_plans(table).items()]


def _text(table: LatencyTable, now: Sequence[tuple[int, int]] | None, checks: Sequence[Check]) -> str:
    threads = counted(table.threads, "thread")
    where = f"{table.kernel}, {table.precision}, {threads if table.device == 'cpu' else table.device}"
    head = f"## {table.backend}: {table.batch} x {table.length} subwords, {where}"
    full = table.full
    parts = markdown(
        ["part", "ms", "share"], [[name, _ms(ms), _percent(ms / full)] for name, ms in [*_parts(table), ("all", full)]]
    )
    steps = [
        markdown(
            [f"{what} in a layer", "ms", "one layer"],
            [[f"{n:,}", _ms(full + table.n_layers * (ms - own[-1][1])), _ms(ms)] for n, ms in own],
        )
        for what, own in (("heads", table.attention), ("neurons", table.feed_forward))
    ]
    ceilings = markdown(
        ["without", "ms", "speed-up"], [[name, _ms(ms), f"{full / ms:.2f}" if ms else "–"] for name, ms in _ceilings(table)]
    )
    lines = [head, parts]
    if now is not None:
        lines.append(f"this model, pruned already: {_ms(table.predict(now))} ms, {full / table.predict(now):.2f} times as fast")
    lines += [
        *steps,
        "ms: all layers alike, the rest of the model whole; one layer: what its heads or neurons add",
        ceilings,
        f"largest standard error of a measured time: {_percent(table.noise)}; beyond it, times of heads and neurons add up to "
        f"{_percent(table.misfit)}",
    ]
    if checks:
        rows = [
            [
                i,
                *(f"{sum(own):,}" for own in zip(*check.counts, strict=True)),
                _ms(check.predicted_ms),
                _ms(check.measured_ms),
                f"{100 * check.error:+.1f} %",
            ]
            for i, check in enumerate(checks, 1)
        ]
        worst = max(abs(check.error) for check in checks)
        lines.append(markdown(["random plan", "heads", "neurons", "predicted ms", "measured ms", "error"], rows))
        lines.append(f"largest error: {_percent(worst)}")
    return "\n\n".join(lines)


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
