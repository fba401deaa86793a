#!/bin/sh
# Makes .venv-oldest: the packages of constraints-oldest.txt in front of those of .venv (torch is not installed again).
set -eu
cd "$(dirname "$0")/.."

.venv/bin/python -m venv --clear .venv-oldest
.venv-oldest/bin/python - "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" <<'END'
import pathlib, sys, sysconfig
behind = pathlib.Path(sysconfig.get_path("purelib"), "venv.pth")
behind.write_text(f"import site; site.addsitedir({sys.argv[1]!r})\n")
END
.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement constraints-oldest.txt
touch .venv-oldest/ready
