"""`polyhead doctor`: checks of gating, scoring, pruning and checkpoints on the user's own model and text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from polyhead.cli.console import Console, wrapped
from polyhead.cli.exit_codes import CHECK_FAILED, DONE
from polyhead.cli.inputs import labelled_sample
from polyhead.cli.options import method_options
from polyhead.cli.requests import DoctorRequest
from polyhead.core.errors import SettingError
from polyhead.doctor.examine import examine
from polyhead.doctor.finding import Finding
from polyhead.importance.methods import method as find_method
from polyhead.report.tables import markdown


def doctor(request: DoctorRequest, console: Console) -> int:
    """Read, check, print; 1 if anything failed."""
    if request.reading.precision not in (None, "fp32"):
        raise SettingError(f"--precision {request.reading.precision}: the tolerances are for fp32, which is used; leave it out")
    chosen = find_method(request.method)
    options = chosen.chosen(method_options(request.option))
    sample = labelled_sample(request, console, needs_labels=True, may_be_new=True)
    tagger = sample.tagger
    findings = examine(
        tagger.model,
        sample.encoded,
        labels=tagger.labels,
        task=tagger.task,
        method=chosen.name,
        seed=request.seed,
        options=options,
        split=None if request.corpus is None else sample.data.split,
        progress=console.progress,
    )
    n_failed = sum(not finding.ok for finding in findings)
    document = {
        "schema": 1,
        "model": request.model,
        "task": tagger.task.name,
        "method": chosen.name,
        "seed": request.seed,
        "device": str(tagger.device),
        "data": sample.facts,
        "new_classifier": sample.is_new,
        "n_failed": n_failed,
        "checks": [asdict(finding) for finding in findings],
    }
    console.result(document, wrapped(_text(document, findings)))
    return CHECK_FAILED if n_failed else DONE


def _text(document: dict[str, Any], findings: Sequence[Finding]) -> str:
    rows = [[finding.name, finding.result, _shown(finding.value), _shown(finding.allowed)] for finding in findings]
    notes = [line for finding in findings if (line := _note(finding))]
    found = Counter(finding.result for finding in findings)
    counts = [f"{found[result]} {result}" for result in ("ok", "FAILED", "not promised", "not checked") if found[result]]
    parts = [
        markdown(["check", "result", "value", "allowed"], rows),
        "\n".join(notes),
        f"{len(findings)} checks: {', '.join(counts)}; method {document['method']}, {document['data']['sentences']} sentences, "
        f"seed {document['seed']}, float32 on {document['device']}",
    ]
    return "\n\n".join(part for part in parts if part)


def _note(finding: Finding) -> str:
    """What to say of a finding below the table; empty where the table says it all."""
    if finding.ok:
        return f"{finding.result}: {finding.name}: {finding.detail}" if finding.result == "not checked" else ""
    return f"FAILED: {finding.name}: {finding.detail + '; ' if finding.detail else ''}{finding.meaning}"


def _shown(value: float) -> str:
    return "–" if value != value else f"{value:.2g}"
