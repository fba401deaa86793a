#!/bin/sh
# Installs the browser and fonts for tests of the report page on Debian; without them those tests are skipped.
set -eu
fonts="fonts-noto-core fonts-noto-cjk"
if command -v chromium >/dev/null && dpkg -s $fonts >/dev/null 2>&1; then
    exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "chromium and $fonts are not installed, and installing them needs apt-get and root; browser tests are skipped" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
for attempt in 1 2 3; do
    if apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium $fonts >/dev/null; then
        exit 0
    fi
    echo "apt-get failed (attempt $attempt)" >&2
    sleep 10
done
echo "chromium or its fonts could not be installed; browser tests are skipped" >&2
