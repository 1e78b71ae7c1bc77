#!/usr/bin/env bash
# Installs the named peers (default: the default peers of a run) from the public package
# registries into .peers at the root of the checkout, once; a repeat does nothing.
#
#   bench/peers/setup.sh [PEER ...]      e.g. restate dbos temporal dbos-pg
#   bench/peers/setup.sh --lock          resolve requirements.txt anew (needs `make install`)
#
# PEERS_HOME names another folder than .peers, PYTHON another Python (3.11 or newer).
# Needed besides Python: npm for restate*, Go for temporal*, PostgreSQL for dbos-pg.
# symphainy* is this checkout itself: `make install`.
set -euo pipefail

RESTATE_SERVER=1.7.12
# Releases after 1.5.1 carry a local `replace` in go.mod, which `go install module@version` refuses.
TEMPORAL_CLI=v1.5.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
home=${PEERS_HOME:-$repo/.peers}
python=${PYTHON:-python3}

fail() { # what is missing, and the cure
    echo "bench/peers: $1" >&2
    exit 1
}

if [ "${1:-}" = --lock ]; then
    [ -x "$repo/.venv/bin/uv" ] || fail "uv is missing. Run 'make install' first."
    cd "$here"
    exec "$repo/.venv/bin/uv" pip compile --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --quiet --upgrade \
        --custom-compile-command 'bench/peers/setup.sh --lock' requirements.in -o requirements.txt
fi

environment() { # the libraries of all peers, and of the harness
    local stamp="$home/venv/.installed"
    cmp -s "$here/requirements.txt" "$stamp" && return
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or newer is needed; name one with PYTHON=..."
    echo "bench/peers: installing Python packages" >&2
    "$python" -m venv --clear "$home/venv"
    "$home/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --only-binary :all: -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$stamp"
}

restate() { # a binary inside a package; no install script of the packages is run
    local package="$home/npm/node_modules/@restatedev/restate-server/package.json"
    grep -qs "\"version\": \"$RESTATE_SERVER\"" "$package" && return
    command -v npm >/dev/null ||
        fail "restate needs npm (Node.js). Install it, or name other peers with --peers."
    echo "bench/peers: installing restate-server $RESTATE_SERVER" >&2
    mkdir -p "$home/npm"
    npm install --silent --no-fund --no-audit --ignore-scripts --save-exact \
        --prefix "$home/npm" "@restatedev/restate-server@$RESTATE_SERVER"
}

temporal() { # the command line tool holds the single-binary development server
    local wanted="$home/bin/temporal-$TEMPORAL_CLI"
    if [ ! -x "$wanted" ]; then
        command -v go >/dev/null ||
            fail "temporal needs Go to build its CLI. Install it, or name other peers with --peers."
        echo "bench/peers: building the Temporal CLI $TEMPORAL_CLI (some minutes)" >&2
        mkdir -p "$home/bin"
        GOBIN="$home/bin" go install "github.com/temporalio/cli/cmd/temporal@$TEMPORAL_CLI"
        mv "$home/bin/temporal" "$wanted"
    fi
    ln -sfn "temporal-$TEMPORAL_CLI" "$home/bin/temporal"
}

postgres() { # never installed from here: it is the system's package
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ||
        fail "dbos-pg needs PostgreSQL's initdb (Debian: apt-get install postgresql)."
}

symphainy() {
    [ -x "${SYMPHAINY_BIN:-$repo/.venv/bin/symphainy}" ] ||
        fail "the symphainy command is missing. Run 'make install'."
}

[ "$(uname -s)" = Linux ] || fail "Linux is needed: CPU and memory are read from /proc."
[ $# -gt 0 ] || set -- symphainy restate restate-granian dbos temporal
mkdir -p "$home"
for peer in "$@"; do
    case $peer in
    symphainy | symphainy-*) symphainy ;;
    restate | restate-*) restate ;;
    dbos) ;;
    dbos-pg) postgres ;;
    temporal | temporal-*) temporal ;;
    *) fail "no peer is called '$peer'; bench/peers/run.sh list names them." ;;
    esac
done
environment
