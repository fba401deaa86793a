"""An mkdocs hook that adds the folder `examples`, beside `docs`, to the site."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def on_files(files: Any, config: Any) -> Any:
    """The site's files plus the examples' text, pages, figures and records."""
    for path in sorted(EXAMPLES.rglob("*.*")):
        uri = path.relative_to(EXAMPLES.parent).as_posix()
        if path.suffix != ".md" or path.parent == EXAMPLES:  # a run's report.md repeats its page
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files
