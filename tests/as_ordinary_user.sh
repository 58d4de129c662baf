#!/usr/bin/env bash
# Runs a command as an ordinary user, in a clone of its own: what works only for root, or only in the developer's
# folder, fails here. Needs root, to make the user and to remove it again.   usage: as_ordinary_user.sh 'make test'
set -Eeuo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "needs root, to make a user" >&2; exit 1; }

user=homeostat-test-$$
home=$(mktemp -d /var/tmp/homeostat-user.XXXXXX)
libraries=/etc/ld.so.conf.d/$user.conf
cleanup() { userdel "$user" 2>/dev/null || true; rm -rf "$home"; [ ! -e "$libraries" ] || { rm "$libraries"; ldconfig; }; }
trap cleanup EXIT
useradd --home-dir "$home" --no-create-home --shell /bin/bash "$user"
git clone --quiet --no-hardlinks . "$home/homeostat"

# The interpreter may lie where only root may look (a version manager in root's home): then the user gets a copy.
python=$(.venv/bin/python -c 'import os, sys; print(os.path.realpath(sys.executable))')
chown -R "$user" "$home"
if ! su "$user" -c "test -x '$python'" 2>/dev/null; then
  cp -a "$(dirname "$(dirname "$python")")" "$home/python"
  chown -R "$user" "$home/python"
  python=$home/python/bin/$(basename "$python")
  # its shared library is named by where the original lies: have the loader find the copy, whatever the environment
  echo "$home/python/lib" >"$libraries" && chmod 755 "$home" && ldconfig
fi
cat >"$home/run" <<INNER
set -e
cd '$home/homeostat'
unset TMPDIR
export HOME='$home' UV_PYTHON='$python' UV_CACHE_DIR='$home/cache' PATH='$(dirname "$python"):/usr/local/bin:/usr/bin:/bin'
$1
INNER
chown "$user" "$home/run"
su --preserve-environment "$user" -c "bash '$home/run'"
left=$(pgrep -u "$user" -a || true)
[ -z "$left" ] || { echo "processes left behind: $left" >&2; exit 1; }
