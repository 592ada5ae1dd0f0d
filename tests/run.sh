#!/usr/bin/env bash
# Runs the tests: what is broad first, what needs minutes next, what needs a quiet machine last and alone.
# The servers that they talk to: Debian packages are installed under CI=true or APT=1 (as root); otherwise the tests
# that need one are skipped by name. Under CI=true a missing server is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}

PACKAGES=(
  chromium fonts-noto-cjk                       # the page, in a browser as its users have it
  gir1.2-gst-rtsp-server-1.0 gir1.2-gstreamer-1.0 python3-gi   # GStreamer's RTSP server
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-tools
  vlc-bin vlc-plugin-base                       # serves by UDP only
  ffmpeg iproute2 util-linux                    # what ipycam encodes with, and the network of its own that it gets
  zsh fish                                      # shells that complete our commands
)
missing=()
if command -v dpkg-query >/dev/null; then
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
else
  missing=("${PACKAGES[@]}")
fi
if ((${#missing[@]})); then
  if [[ ${CI:-} == true || ${APT:-} == 1 ]]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=600 update -qq
    apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "Tests against servers from Debian packages are skipped by name. To run them as well (as root on Debian):"
    echo "  apt-get install -y --no-install-recommends ${missing[*]}"
  fi
fi

"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy

status=0
run() { "$PYTHON" -m pytest -q "$@" || { code=$?; [[ $code == 5 ]] || status=$code; }; }   # 5: none of that kind
# Most of these wait for servers and processes; a file's tests stay together, because they share what they started.
run -n "${JOBS:-3}" --dist loadfile -m "not slow and not quiet" "$@"
# These wait for intervals to pass: three files at once too.
run -n "${JOBS:-3}" --dist loadfile -m "slow and not quiet" "$@"
run -m quiet "$@"
exit "$status"
