#!/usr/bin/env bash
# The gateway part on Debian 13, as on a board with Python 3.13, LiteRT and numpy 2: a Debian of its own in build/trixie,
# with what the device's lock installs, runs the tests that are named as arguments. Needs root, debootstrap and a
# network; the first call takes two minutes, and the system is kept for the next.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "Debian 13 is set up by root with debootstrap: on Debian, apt-get install debootstrap" >&2
  exit 1
fi

system=build/trixie
if [ ! -e "$system/.whole" ]; then
  echo "setting up Debian 13 in $system (some 110 MB to fetch) ..."
  rm -rf "$system"
  mkdir -p "$system"
  debootstrap --variant=minbase --include=python3-minimal,python3-venv,tzdata,ca-certificates trixie "$system" \
    >"$system.log" || { tail -20 "$system.log" >&2; exit 1; }
  touch "$system/.whole"
fi

# The tree as it is now, without what git ignores.
rm -rf "$system/src"
mkdir "$system/src"
git ls-files --cached --others --exclude-standard -z \
  | tar --create --null --files-from=- --ignore-failed-read --warning=no-failed-read \
  | tar --extract --directory="$system/src"
# How this machine finds and trusts the network, which may be one with a gate of its own.
cp --dereference /etc/resolv.conf /etc/hosts "$system/etc/"
cp --dereference /etc/ssl/certs/ca-certificates.crt "$system/etc/ssl/certs/ca-certificates.crt"

# In namespaces of its own: when it ends, its mounts are gone and its processes with them.
cat >"$system/inside" <<'INSIDE'
#!/usr/bin/env bash
set -euo pipefail
cd /src
export HYPOTHESIS_STORAGE_DIRECTORY=/venv/hypothesis
if ! cmp --silent locks/gateway-test.txt /venv/lock; then
  rm -rf /venv
  python3 -m venv /venv
  /venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
    -r locks/gateway-test.txt
  # Hypothesis lists the characters of this Python once; that would count as a test that is too slow.
  /venv/bin/python -W ignore -c 'from hypothesis import strategies; strategies.text().example()'
  cp locks/gateway-test.txt /venv/lock
fi
/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
/venv/bin/python -c 'import importlib.metadata as m, platform as p; print("LiteRT", m.version("ai-edge-litert"), "with numpy", m.version("numpy"), "on Python", p.python_version())'
exec /venv/bin/python -m pytest -q "$@"
INSIDE
chmod +x "$system/inside"
exec unshare --mount --pid --fork --kill-child bash -c '
  mount --types proc proc "$0/proc"
  mount --rbind /dev "$0/dev"
  mount --rbind /sys "$0/sys"
  mount --types tmpfs tmpfs "$0/tmp"
  exec chroot "$0" /inside "$@"
' "$system" "$@"
