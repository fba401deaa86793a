"""`polyhead methods`: the table of ways to score heads."""

from dataclasses import asdict

from polyhead.cli.console import Console
from polyhead.cli.requests import MethodsRequest
from polyhead.importance.methods import METHODS
from polyhead.report.tables import markdown


def methods(request: MethodsRequest, console: Console) -> int:
    """Print one row a method."""
    rows = []
    for name, row in METHODS.items():
        cost = f"{row.forward.text} + {row.backward.text}"
        rows.append([name, cost, "labels" if row.needs_labels else "-", row.sign, row.summary, row.source])
    table = markdown(["name", "passes: forward + backward", "needs", "sign", "what it scores", "source"], rows)
    facts = [
        {key: value for key, value in asdict(row).items() if not callable(value)}
        | {"forward": row.forward.text, "backward": row.backward.text}
        for row in METHODS.values()
    ]
    console.result({"schema": 1, "methods": facts}, f"{table}\n\na higher score means a more important head")
    return 0
