"""What the numbers of a run may and may not be taken for."""

from polyhead.data.corpus_table import CORPORA
from polyhead.report.reading import Record, chosen_on_test, controls, seeds


def claim(record: Record) -> str:
    """Warnings about seeds, controls, choices made on the tested split, and text that was generated; empty if none is due."""
    missing = ["one seed"] * (len(seeds(record)) == 1) + ["no controls"] * (not controls(record))
    lines = [f"{', '.join(missing)}: no claim of a gain." if missing else ""]
    protocol, select_on = record["settings"].get("protocol", "sound"), record["settings"].get("select_on", "source-dev")
    if chosen_on_test(record):
        lines.append(f"Protocol `{protocol}`: kept to compare with published numbers; its gains are maxima over noisy draws.")
        lines.append("No p value is given: k was chosen on the tested split, and p would hold only for a k fixed beforehand.")
    if select_on == "target-dev":
        lines.append("Oracle: the number of heads was chosen on the targets' own dev sets, which a zero-shot user does not have.")
    lines.append(_generated(record))
    return " ".join(line[0].upper() + line[1:] for line in lines if line)


def _generated(record: Record) -> str:
    """That text of the run was made by polyhead itself, and what figures on it are worth; empty where all was read from files."""
    names = list(dict.fromkeys(data["name"] for data in record.get("data") or ()))
    made = [name for name in names if name in CORPORA and CORPORA[name].made]
    if not made:
        return ""
    which = "all text of this run" if made == names else f"the text of {', '.join(made)}"
    return f"{which} is generated from templates: its figures show how the method behaves and are no evidence about a language."
