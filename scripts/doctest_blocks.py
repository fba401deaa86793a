"""A griffe extension for the reference that shows examples in docstrings (lines that start with `>>>`) as code."""

import re
from typing import Any

from griffe import Extension

_EXAMPLE = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)


class DoctestBlocks(Extension):
    """Puts every example of a docstring into a fenced block."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Rewrite one object's docstring."""
        if obj.docstring is not None and ">>> " in obj.docstring.value:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)
