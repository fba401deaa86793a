"""Cost of a whole run on a real encoder, by stage, and its size on disk.

    python benchmarks/run_cost.py WORK           # about ten minutes; writes results/run_cost.json
    python benchmarks/run_cost.py WORK --name before  # the same under another name, for example at an earlier commit

The 12 × 12-head encoder of `shared/models/e5` (folder: POLYHEAD_E5), 1,500 sentences of UD English-EWT, eight targets,
K = 24, one seed, one thread. Seconds are processor seconds of the run and its child processes, which other jobs hardly affect; a
stage ends when its file appears. Megabytes are those of the run folder at the end.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from environment import RESULTS, SHARED, environment, write

from polyhead.core.files import read_json

ROOT = Path(__file__).resolve().parents[1]
TARGETS = "de_gsd nl_alpino ar_padt he_htb zh_gsdsimp ja_gsd ur_udtb fa_seraji"
# The stage that ends when a file of this name appears; later files of a stage replace earlier ones.
STAGES = {
    "record.json": "fine-tuning",
    "scores-": "scoring",
    "screen-": "screening",
    "test-": "testing",
    "heads.json": "head analysis",
}


def command(folder: Path, encoder: Path) -> list[str]:
    targets = [f"ud/{name}" for name in TARGETS.split()]
    settings = ["--train-limit", "1500", "--max-pruned", "24", "--seed", "42", "--no-text"]
    text = ["--task", "pos", "--data", os.path.relpath(SHARED / "data", ROOT), "--source", "ud/en_ewt", "--target", *targets]
    start = "import sys; from polyhead.cli.main import main; sys.exit(main())"
    return [
        sys.executable,
        "-c",
        start,
        "run",
        "--model",
        os.path.relpath(encoder, ROOT),
        *text,
        *settings,
        "--out",
        os.path.relpath(folder, ROOT),
    ]


def processor_seconds(process: int) -> float:
    """User and system time of a process and its finished children."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def files_of(folder: Path) -> dict[str, int]:
    found = {}
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                found[str(path.relative_to(folder))] = path.stat().st_size
        except OSError:  # it is being replaced
            continue
    return found


def measured(folder: Path, encoder: Path) -> dict[str, Any]:
    """Processor seconds by stage and in all, and the files that remain."""
    started, seen, spent, last = time.perf_counter(), set[str](), dict[str, float](), 0.0
    peak, now = 0, 0.0
    with subprocess.Popen(command(folder, encoder), env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT) as process:
        while process.poll() is None:
            time.sleep(1)
            try:
                now = processor_seconds(process.pid)
            except OSError:
                continue
            files = files_of(folder)
            peak = max(peak, sum(files.values()))
            for name in sorted(files.keys() - seen):
                seen.add(name)
                base = Path(name).name
                stage = next((stage for start, stage in STAGES.items() if base.startswith(start)), None)
                if stage is not None and base.endswith(".json"):
                    spent[stage] = round(spent.get(stage, 0.0) + now - last, 1)
                    last = now
    if process.returncode:
        sys.exit(f"polyhead run ended with {process.returncode}")
    left = files_of(folder)
    spent["rest"] = round(now - last, 1)
    return {
        "processor_seconds": spent,
        "processor_seconds_in_all": round(now, 1),
        "wall_seconds": round(time.perf_counter() - started, 1),
        "megabytes_left": round(sum(left.values()) / 1e6),
        "megabytes_at_most": round(peak / 1e6),
        "checkpoints_left": sum(name.endswith("model.safetensors") for name in left),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for the run and, unless POLYHEAD_E5 names it, the encoder")
    parser.add_argument("--name", default="after", help="key of the figures in the result file")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    encoder = Path(os.environ.get("POLYHEAD_E5", options.work / "e5")).absolute()
    if not (encoder / "config.json").is_file():
        subprocess.run([sys.executable, SHARED / "models" / "e5" / "convert.py", encoder], check=True)
    found = measured(options.work.absolute() / "run", encoder)
    path = RESULTS / "run_cost.json"
    held = read_json(path)["runs"] if path.is_file() else {}
    entry = {**found, "environment": environment(seed=42)}
    write("run_cost", {"work": __doc__.split("\n\n")[2], "runs": {**held, options.name: entry}})


if __name__ == "__main__":
    main()
