#!/bin/sh
# Makes .venv with polyhead and everything its demo and tests need. Safe to run again; `make` calls it when .venv is out of date.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "polyhead needs Python 3.11 or newer; $python is $("$python" --version 2>&1). Set PYTHON=/path/to/a/newer/python." >&2
    exit 2
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
pip=".venv/bin/python -m pip install --quiet --disable-pip-version-check"
torch=$(sed -n 's/^torch==//p' constraints.txt)

# Torch comes first, so that no later package pulls in another build. On Linux without a GPU this must be the CPU build: the plain
# name would download several gigabytes of CUDA packages. If pip's indexes lack it, uv knows where PyTorch keeps it.
if .venv/bin/python -c 'import torch' 2>/dev/null; then
    :
elif [ "$(uname -s)" = Linux ] && ! nvidia-smi -L >/dev/null 2>&1; then
    $pip "torch==$torch+cpu" 2>/dev/null || {
        $pip uv
        .venv/bin/uv pip install --quiet --python .venv/bin/python --torch-backend cpu "torch==$torch"
    }
else
    $pip "torch==$torch"
fi
$pip --constraint constraints.txt --editable '.[report,dev,docs]'
touch .venv/ready
