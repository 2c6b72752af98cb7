#!/usr/bin/env bash
# Checks the model of the ring in `spin/ring.pml` with spin: all states of each configuration.
# Then tries seeded faults of the model, and each must be found.
#
# `ci/spin.sh --canary` checks the smaller configurations, and tries three faults. Arguments select
# faults. A run needs at most 4 GiB of memory.
#
# It needs `gcc`, and the program `spin`, or its path in REORDER_SPIN. If the program is missing,
# the script unpacks Debian's package into the target directory. It installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/spin
mkdir -p "$target"
find_spin() {
    PATH=$PATH:$target/usr/bin command -v "${REORDER_SPIN:-spin}"
}
unpack_spin() {
    cd "$target" && rm -f spin_*.deb &&
        timeout -k 10 120 apt-get -qq download spin && dpkg-deb -x spin_*.deb .
}
if ! find_spin >/dev/null && [ -z "${REORDER_SPIN-}" ]; then
    (unpack_spin) >/dev/null 2>&1 </dev/null || true
fi
if ! command -v gcc >/dev/null || ! spin=$(find_spin); then
    echo "skipped: spin: spin or gcc is not installed (Debian: apt-get install spin gcc)"
    exit 0
fi

# Configurations: batches, completers, calls of each, and macros of the model.
small=(
    "1 2 2"
    "1 2 1 STOPS=1 SPURIOUS=1"
    "2 1 1 SIDES"
    "1 1 1 SIDES CANCELS=1"
    "3 3 1"
)
large=(
    "1 2 2 PER_BATCH=3"
    "2 2 1 SIDES"
    "2 1 1 SIDES CANCELS=1"
    "1 1 1 SIDES CANCELS=1 STOPS=1"
    "3 2 2"
    "1 1 2 SIDES CANCELS=1 PER_BATCH=3"
    "3 3 1 STOPS=1"
)
# Faults of the model, each with a configuration that finds it.
faults=(
    "WAKER_TAKEN_AFTER_PUBLISH 1 2 1 STOPS=1 SPURIOUS=1"
    "CLOSE_FORGETS_ITS_ORPHANS 2 1 1 SIDES"
    "CANCELLATION_NOT_CHECKED_AGAIN 1 1 1 SIDES CANCELS=1"
    "CLAIM_IN_TWO_STEPS 1 2 2"
    "EVICTED_POSITION_IS_A_DUPLICATE 1 2 1 STOPS=1 SPURIOUS=1"
    "CLOSE_TAKES_BACK_A_MID_WRITE 2 1 1 SIDES"
    "FIRST_SIDE_CLOSES 1 2 1"
    "BASE_AFTER_THE_SWEEP 2 1 1 SIDES"
    "CLOSED_BEFORE_THE_WAKERS 2 1 1 SIDES"
    "SPACE_NOT_CHECKED_AGAIN 1 2 2 PER_BATCH=3"
    "END_WAKES_NOBODY 1 2 1"
    "END_NOT_CHECKED_AGAIN 1 2 1"
    "REGISTERED_AFTER_THE_MARK 1 2 2"
    "LEAVING_WAKES_NO_PRODUCER 1 1 1 SIDES PER_BATCH=3"
    "CANCEL_IGNORES_THE_BATCH_NUMBER 2 1 1 SIDES CANCELS=1"
    "CANCEL_WAKES_NO_CONSUMER 1 1 1 SIDES CANCELS=1"
)

# check MACROS...: prints the states and the errors of one run.
check() {
    local work
    work=$(mktemp -d "$target/run.XXXXXX")
    (
        cd "$work"
        "$spin" -a -DBATCHES="$1" -DCOMPLETERS="$2" -DCALLS="$3" "${@:4}" \
            "$OLDPWD/spin/ring.pml" >log 2>&1 &&
            gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=4096 -o pan pan.c >>log 2>&1 &&
            timeout 3600 ./pan -E -m100000 >>log 2>&1 || true
        # A search that ended early has not looked at all states.
        if grep -q 'errors: 0$' log && ! grep -qE 'Search not completed|max search depth' log; then
            echo "$(awk '/states, stored/ {print $1}' log) states, no error"
        elif grep -q 'errors: [1-9]' log; then
            grep -m1 -o 'assertion violated.*' log
        else
            echo "not completed"
            tail -n 20 log >&2
        fi
    )
    rm -rf "$work"
}

# macros WORD...: the numbers as they are, and the macros with -D.
macros() {
    local word
    for word in "$@"; do
        if [[ $word =~ ^[0-9]+$ ]]; then echo "$word"; else echo "-D$word"; fi
    done
}

configurations=("${small[@]}")
chosen=("${faults[@]}")
if [ "${1-}" = --canary ]; then
    chosen=("${faults[@]:0:3}")
elif [ $# -gt 0 ]; then
    configurations=()
    chosen=()
    for name in "$@"; do
        found=
        for fault in "${faults[@]}"; do
            if [ "${fault%% *}" = "$name" ]; then chosen+=("$fault") && found=yes; fi
        done
        [ -n "$found" ] || { echo "spin: there is no fault $name" >&2; exit 2; }
    done
else
    configurations+=("${large[@]}")
fi

status=0
for configuration in "${configurations[@]}"; do
    read -ra words <<<"$configuration"
    result=$(check $(macros "${words[@]}"))
    echo "spin: $configuration: $result"
    [[ $result == *"no error" ]] || status=1
done
for fault in "${chosen[@]}"; do
    read -ra words <<<"$fault"
    result=$(check $(macros "${words[@]:1}") "-D${words[0]}")
    echo "spin: fault ${words[0]}: $result"
    [[ $result == "assertion violated"* ]] || status=1
done
exit $status
