"""Exit codes, one-line errors, quick help without heavy imports, pure JSON."""

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from polyhead.cli import failures, main
from polyhead.cli.failures import guarded
from polyhead.cli.request_options import click_command
from polyhead.core.errors import PolyheadError, note_kept
from polyhead.core.files import replacing
from polyhead.importance.methods import METHODS

COMMAND = [sys.executable, "-c", "import sys; from polyhead.cli.main import main; sys.exit(main())"]
RUN = ["run", "--model", "m", "--task", "pos", "--source", "phrases/en", "--target", "phrases/de", "--out", "o"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["rank", "--help"],
        ["predict", "--taks"],
        ["rnu"],
        ["rank", "m", "--task", "pso", "--data", "f"],
        [*RUN, "--controls", "rnadom"],
        [*RUN, "--protocol", "paper-released", "--prune", "after"],
    ],
)
def test_help_and_mistakes_cost_no_heavy_import(arguments: list[str]) -> None:
    code = f"""
import sys
from polyhead.cli.main import main
code = main({arguments!r})
heavy = {{"torch", "scipy", "sklearn", "transformers"}} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == (0 if "--help" in arguments else 2), result.stderr


def test_every_command_is_listed_and_resolves(cli: Callable) -> None:
    result = cli("--help")
    assert result.code == 0
    assert all(f"\n  {name} " in result.out for name in main.COMMANDS)
    for command in main.COMMANDS.values():
        assert callable(main.resolve(command.request))
        assert callable(main.resolve(command.work))
    assert list(main.COMMANDS) == [
        "run",
        "fit",
        "rank",
        "prune",
        "trim",
        "profile",
        "shrink",
        "evaluate",
        "predict",
        "export",
        "compare",
        "curve",
        "report",
        "study new",
        "study run",
        "study work",
        "study status",
        "study table",
        "study plan",
        "study report",
        "study export",
        "doctor",
        "data list",
        "data get",
        "data check",
        "methods",
    ]


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_every_command_has_help_and_json(cli: Callable, name: str) -> None:
    result = cli(*name.split(), "--help")
    assert result.code == 0
    assert "--json" in result.out


@pytest.mark.parametrize("name", list(main.COMMANDS))
def test_every_option_is_explained_in_a_sentence(name: str) -> None:
    for option in click_command(main.resolve(main.COMMANDS[name].request), name).params:
        said = option.help or ""
        if "--help" not in option.opts and "--install-completion" not in option.opts and "--show-completion" not in option.opts:
            assert said.endswith("."), f"{option.opts}: {said!r}"
            assert re.search(r"[A-Za-z]{2}.* ", said), f"{option.opts}: {said!r}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evalute"], "unknown command 'evalute' (did you mean evaluate?)"),
        (["data", "lst"], "unknown command 'data lst' (did you mean data list?)"),
        (["help", "rnk"], "unknown command 'rnk' (did you mean rank?)"),
        (["--version", "junk"], "--version: takes no argument, but 'junk' was given"),
        (["rank", "m", "--taks", "pos"], "--task"),
        (["rank", "m", "--task", "pos"], "give a labelled file with --data FILE, or a corpus with --corpus NAME"),
        (["evaluate", "m", "--task", "pos", "--target", "--json"], "--target: expected one or more values"),
        ([*RUN, "--search", "brute"], "--search = 'brute': should be 'sequential', 'sweep', 'screened' or 'nested'"),
        ([*RUN, "--max-pruned", "many"], "--max-pruned = 'many': should be a whole number"),
        (["rank", "m", "--task", "pos", "--data", "f", "--split", "test"], "--split = 'test': should be 'train' or 'dev'"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(cli: Callable, arguments: list[str], said: str) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert result.err.startswith("polyhead: error: ")
    assert said in result.err


def raises(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PolyheadError("x:1: bad"), 2),
        (PermissionError(13, "Permission denied", "/root/out"), 2),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 2),
        (OSError(errno.EFBIG, "File too large", "/data/m.safetensors"), 2),
        (OSError(errno.EIO, "Input/output error"), 2),
        (MemoryError(), 2),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("oops"), 3),
        (OSError("no number and no name"), 3),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 3),
        (SafetensorError("invalid header"), 3),
    ],
)
def test_codes_of_failures(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(failures.tempfile, "tempdir", str(tmp_path))
    assert guarded(raises(error)) == code
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    traces = list(tmp_path.glob("polyhead-*.trace.txt"))
    assert len(traces) == (code == 3)
    if traces:
        assert str(traces[0]) in message
        assert "Traceback" in traces[0].read_text()


def test_what_is_full_is_said_with_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raises(OSError(errno.EFBIG, "File too large", "/data/m.bin"))) == 2
    assert "/data/m.bin: cannot be written: the file would be larger than the limit" in capsys.readouterr().err

    def write() -> int:
        with replacing(tmp_path / "w.safetensors") as temporary:
            save_file({"w": torch.zeros(100_000)}, temporary)
        return 0

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        code = guarded(write)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert code == 2
    assert f"{tmp_path / 'w.safetensors'}: " in capsys.readouterr().err


def test_the_signal_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    guarded(lambda: 0)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_an_interrupt_that_an_import_turned_into_another_error_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("initialisation failed") from None
        return 0

    assert guarded(work) == 130
    assert capsys.readouterr().err == "polyhead: interrupted\n"


def test_an_interrupt_says_what_the_work_has_noted_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as stop:
            note_kept(stop, Path("run"))
            note_kept(stop, Path("run/fits"))
            raise
        return 0

    assert guarded(work) == 130
    assert capsys.readouterr().err == "polyhead: interrupted; unfinished work is kept in run: start it again to continue\n"


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.3])
def test_ctrl_c_is_quiet_from_the_start(delay: float) -> None:
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from polyhead.cli.main import main
try:
    print("ready", flush=True)
    code = main(sys.argv[1:])
except KeyboardInterrupt:  # before main began
    code = 130
sys.exit(code)
"""
    arguments = ["doctor", "polyhead/tiny", "--task", "pos", "--corpus", "phrases/en"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert message in ("", "polyhead: interrupted\n")


@pytest.mark.parametrize(
    "arguments", [["data", "list", "phrases"], ["rank", "\x1b[31mmodèle·語", "--task", "pos", "--data", "ü"]]
)
@pytest.mark.parametrize(
    "settings", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_output_that_is_not_utf8(arguments: list[str], settings: dict[str, str]) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHONIO", "LANG"))}
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, env=environment | settings)
    assert done.returncode == (2 if arguments[0] == "rank" else 0), done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert b"\x1b" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_after_its_cleanup_with_130(number: signal.Signals, tmp_path: Path) -> None:
    code = f"""
import signal, sys, time, pathlib
from polyhead.cli.failures import guarded
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
def work():
    try:
        print("ready", flush=True)
        time.sleep(30)
    finally:
        pathlib.Path({str(tmp_path / "saved")!r}).touch()
sys.exit(guarded(work))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    process.send_signal(number)
    _, message = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (tmp_path / "saved").exists()
    assert message.count("\n") == 1
    assert message == "polyhead: interrupted\n"


def test_a_closed_pipe_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stdout:
        result = subprocess.run([*COMMAND, "--help"], stdout=stdout, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 0
    assert result.stderr == ""


def test_methods_as_json_is_one_document(cli: Callable) -> None:
    document = cli("methods", "--json").json
    names = [row["name"] for row in document["methods"]]
    assert names == list(METHODS)
    assert all(json.dumps(row) and row["forward"] and row["backward"] and row["memory"] for row in document["methods"])
    text = cli("methods")
    assert text.code == 0
    lines = text.out.splitlines()
    assert [line for line in lines if line in names] == names
    assert max(map(len, lines)) <= 80
