"""Names, labels and settings that hold markup, code or terminal commands stay text in everything that is written about a run."""

import re
from pathlib import Path

from plain_markdown import EVIL, assert_plain
from report.record_case import DATA, cell, record, statistic

from polyhead.core.heads import HeadMask
from polyhead.models.model_card import CardScore, ModelCard, render_card
from polyhead.report.curve_text import curve_page
from polyhead.report.document import write_document
from polyhead.report.finished_run import finished_runs
from polyhead.report.markdown_page import markdown_page
from polyhead.report.page import page
from polyhead.report.record import RunRecord


def evil_record() -> RunRecord:
    names = [f"de={EVIL}", f"nl={EVIL}2"]
    cells = [cell(42), cell(43, gain=0.2), cell(42, arm="random"), cell(43, arm="random")]
    for own in cells:
        own["chosen_reason"], own["ranking"], own["ranking_cost"]["method"] = EVIL, [EVIL, "1.0"], EVIL
        for target, name in zip(own["targets"], names, strict=True):
            target["name"], target["language"] = name, EVIL
    beyond = {"noise": {"mean": 0.1, "standard_error": 0.1}, "gain_minus_noise": {"value": 0.1, "interval": [-1.0, 1.0]}}
    rows = [statistic(name, 0.1, language=EVIL, **beyond) for name in names]
    data = {**DATA, "name": EVIL, "split": EVIL, "language": EVIL, "sha256": EVIL, "repairs": {EVIL: 1}}
    facts = {"data": [data], "environment": {EVIL: EVIL}, "command": f"polyhead run {EVIL}", "date": EVIL}
    settings = {"sources": [EVIL], "method": EVIL, "protocol": EVIL}
    return record(*cells, controls=("random",), statistics=rows, facts=facts, **settings)


def test_the_page_of_a_run() -> None:
    assert_plain(page(evil_record()))


def test_the_markdown_of_runs(tmp_path: Path) -> None:
    folders = []
    for name in ("a|`b`<i>c", "[d](http://e.vil)"):
        folder = tmp_path / name.replace("/", "_")
        folder.mkdir()
        write_document(folder / "result.json", evil_record())
        folders.append(folder)
    assert_plain(markdown_page(finished_runs(folders)))


def test_the_page_of_curves() -> None:
    order = {"group": EVIL, "name": EVIL, "direction": "lowest", "scores": [50.0, 40.0], "read": 3, "heads_of_other_half": None}
    area = {"group": EVIL, "area": 0.9, "interval": [0.8, 1.0], "minus_random": None, "minus_highest": None, "regret": None}
    document = {
        "model": EVIL,
        "task": "pos",
        "main_metric": "accuracy",
        "data": {"name": EVIL, "split": "dev", "sentences": 3, "words": 9, "sha256": "f" * 64},
        "max_pruned": 1,
        "draws": 1000,
        "orders": [order],
        "areas": [area],
        "environment": {EVIL: EVIL},
        "seconds": 1.0,
        "command": EVIL,
    }
    assert_plain(curve_page(document, picture="curve.svg").replace("![score against heads ablated](curve.svg)", ""))


def test_the_card_of_a_model_in_an_odd_folder() -> None:
    mask = HeadMask([[True, False], [True, True]])  # type: ignore[arg-type]
    card = ModelCard(
        task=EVIL,
        training_data=(EVIL,),
        ranking=EVIL,
        choice=EVIL,
        scores=(CardScore(EVIL, EVIL, EVIL, 0.5),),
        caveat=EVIL,
    )
    name = 'my"); import os; os.system("x")  #\n```\n# h <script>'
    text = render_card(card, mask, name=name, auto_class="AutoModel").partition("\n---\n")[2]
    assert_plain(text)
    code = re.search(r"```python\n(.*?)\n```\n", text, flags=re.DOTALL)
    assert code is not None
    said: list[str] = []

    class AutoModel:
        @staticmethod
        def from_pretrained(folder: str) -> None:
            said.append(folder)

    exec(re.sub(r"^(import|from) .*\n", "", code[1], flags=re.MULTILINE), {"AutoModel": AutoModel})
    assert said == [name]
