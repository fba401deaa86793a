"""Writes the checksums of the phrase files into the package after a change of their tables: python scripts/phrase_checksums.py"""

import tempfile
from pathlib import Path

from polyhead.data.phrases.files import write_phrases

TABLE = Path(__file__).resolve().parents[1] / "src/polyhead/data/phrases/tables/checksums.toml"

with tempfile.TemporaryDirectory() as folder:
    sums = write_phrases(Path(folder))
rows = "".join(f'"{file}" = "{digest}"\n' for file, digest in sorted(sums.items()))
TABLE.write_text(f"# Written by scripts/phrase_checksums.py.\nschema = 1\n\n[sha256]\n{rows}", encoding="utf-8")
