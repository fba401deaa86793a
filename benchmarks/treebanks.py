"""What the benchmarks tag: treebanks by language, the label set, and the folder of unfinished work."""

import os
from pathlib import Path

from polyhead.data.labels import LabelSet
from polyhead.data.tasks import task

WORK = Path(os.environ.get("POLYHEAD_BENCHMARKS", "runs/benchmarks"))
POS = task("pos")
LABELS = LabelSet(POS.labels)
TREEBANKS = {
    "en": "ud/en_ewt",
    "de": "ud/de_gsd",
    "nl": "ud/nl_alpino",
    "ar": "ud/ar_padt",
    "he": "ud/he_htb",
    "zh": "ud/zh_gsdsimp",
    "ja": "ud/ja_gsd",
    "ur": "ud/ur_udtb",
    "fa": "ud/fa_seraji",
}
