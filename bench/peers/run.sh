#!/usr/bin/env bash
# Measures Symphainy beside other durable execution engines, in one run on this machine.
#
#   bench/peers/run.sh [--peers a,b] [--workloads w1,w2] [--seconds 15] ...    (see --help)
#   bench/peers/run.sh table FILE        the table of earlier results
#   bench/peers/run.sh list              the peers, and what each makes durable
#   bench/peers/run.sh fsyncs --peers a  how often each peer syncs its files (needs strace)
#
# Installs what the named peers need first (setup.sh).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
export PEERS_HOME=${PEERS_HOME:-$repo/.peers}

peers=""
previous=""
install=yes
for argument in "$@"; do
    case $argument in
    --peers=*) peers=${argument#--peers=} ;;
    -h | --help | list | table) install=environment ;;
    esac
    [ "$previous" = --peers ] && peers=$argument
    previous=$argument
done
if [ $install = environment ]; then
    "$here/setup.sh" dbos # it needs nothing but the Python packages
else
    # shellcheck disable=SC2086 # the names are meant to be split
    "$here/setup.sh" ${peers//,/ }
fi
export PYTHONPATH=$repo
exec "$PEERS_HOME/venv/bin/python" -m bench.peers "$@"
