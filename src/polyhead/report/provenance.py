"""Where a run's numbers come from: machine, command, learning rate, settings."""

import shlex
from typing import Any

from polyhead.report.reading import Record


def provenance(record: Record) -> str:
    """Environment, date, time, command and learning rate, line by line, then the settings that were given."""
    lines = [f"- {name}: {value}" for name, value in (record.get("environment") or {}).items() if value is not None]
    lines += [f"- date: {record['date']}"] if record.get("date") else []
    lines.append(f"- time: {record.get('seconds', 0) / 60:.1f} minutes")
    lines.append(f"- learning rate: {learning_rate(record)}")
    command = record.get("command")
    if command:
        lines.append(f"- command: `{command if isinstance(command, str) else shlex.join(command)}`")
    rows = "\n".join(f"{name} = {value}" for name, value in _given(record).items())
    return "\n".join(lines) + f"\n\n```text\n{rows}\n```"


def learning_rate(record: Record) -> str:
    """The peak learning rate that was used, and whether the encoder's width decided it; older records may lack the number."""
    used, asked = record.get("learning_rate"), (record["settings"].get("train") or {}).get("learning_rate")
    if asked is not None:
        return f"{asked if used is None else used:g}"
    return "by the encoder's width" if used is None else f"{used:g} (by the encoder's width)"


def _given(record: Record) -> dict[str, Any]:
    """The settings that hold something; without the seed of `train`, which every seed of the run replaces by itself."""
    settings = {key: value for key, value in record["settings"].items() if value not in (None, [], {})}
    if "train" in settings and "seeds" in settings:
        settings["train"] = {key: value for key, value in settings["train"].items() if key != "seed" and value is not None}
    return settings
