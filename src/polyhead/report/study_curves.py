"""Curves of low-resource settings: the score by the share of the target's training data."""

from typing import Any

from polyhead.report.reading import short
from polyhead.report.study_columns import model_name, variants
from polyhead.report.study_scores import StudyScores
from polyhead.selection.gains import RANKED


def curve_points(scores: StudyScores) -> list[dict[str, Any]]:
    """Points of the curves: panel, share of the target's data in percent, score, and whether heads are pruned."""
    found = []
    rows = [row for row in scores.rows if row.family.facts.setting == "low-resource" and row.gain.arm == RANKED]
    said = variants(list({row.family.key: row.family for row in rows}.values()), without="target_tenths")
    for row in rows:
        facts = row.family.facts
        if row.gain.name is None or row.language == "mean":
            continue
        parts = (facts.task, model_name(facts.model), said[row.family.key], f"{row.family.source} → {short(row.gain.name)}")
        panel = ", ".join(filter(None, parts))
        for heads, score in (("all heads", row.unpruned), ("pruned", row.pruned)):
            found.append({"panel": panel, "share": 10 * (facts.target_tenths or 0), "score": score, "heads": heads})
    return found


def curve_chart(altair: Any, scores: StudyScores) -> Any:
    """One panel per task, model, source and target (the paper's figures 2 and 3); None without low-resource cells."""
    points = curve_points(scores)
    if not points:
        return None
    base = altair.Chart(altair.Data(values=points)).encode(
        x=altair.X("share:Q", title="% of the target's training data", scale=altair.Scale(domain=[0, 100])),
        y=altair.Y("score:Q", title="test score in points", scale=altair.Scale(zero=False)),
        color=altair.Color("heads:N", title=None, scale=altair.Scale(domain=["all heads", "pruned"], scheme="tableau10")),
    )
    drawn = altair.layer(base.mark_line(), base.mark_point(filled=True, size=40)).properties(width=240, height=160)
    return drawn.facet(facet=altair.Facet("panel:N", title=None), columns=3).resolve_scale(y="independent")
