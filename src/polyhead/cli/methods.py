"""`polyhead methods`: the table of ways to score heads."""

import textwrap
from dataclasses import asdict

from polyhead.cli.console import WIDTH, Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.requests import MethodsRequest
from polyhead.importance.method import Method
from polyhead.importance.methods import METHODS


def methods(request: MethodsRequest, console: Console) -> int:
    """Print a few lines per method."""
    facts = [
        {key: value for key, value in asdict(row).items() if not callable(value)}
        | {"forward": row.forward.text, "backward": row.backward.text, "options": [asdict(item) for item in row.listed_options]}
        for row in METHODS.values()
    ]
    about = (
        "A higher score means a more important head. Cost in passes over the data, forward + backward; L is the number of "
        "layers, H the number of heads per layer. Signed scores: a head below 0 hurts the model."
    )
    console.result(
        {"schema": 1, "methods": facts}, "\n\n".join([textwrap.fill(about, WIDTH), *(_entry(row) for row in METHODS.values())])
    )
    return DONE


def _entry(row: Method) -> str:
    needs = f"needs {row.needs}" if row.reads_text else "needs only the model (rank still asks which text it is for)"
    lines = [row.summary, f"{row.forward.text} + {row.backward.text} passes; {needs}; sign: {row.sign}"]
    lines += [f"--option {item.name}=VALUE: {item.help} (default {item.default})" for item in row.listed_options]
    lines.append(row.source)
    return "\n".join([row.name, *(textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ") for line in lines)])
