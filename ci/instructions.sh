#!/usr/bin/env bash
# Instructions per operation of the ring and the pool, counted by callgrind: exact, whatever else the
# machine does. None may grow beyond `ci/instructions.txt`. (What a locked instruction costs, or a
# line that moves between cores, it does not tell; that is for the benches.)
#
#   ci/instructions.sh            compares, and shows that it can fail
#   ci/instructions.sh --renew    writes the baseline anew: its change belongs into the commit that made it
#
# Compilers differ. With another one than the baseline's, a quarter more is allowed.
set -euo pipefail
cd "$(dirname "$0")/.."

baseline=ci/instructions.txt
compiler=$(rustc -vV | awk '/^host:/ { host = $2 } /^release:/ { print "rustc " $2 " for " host }')
if [ "${1-}" != --renew ]; then
    baseline_compiler=$(sed -n '2s/^# //p' $baseline)
    if [ "${compiler##* }" != "${baseline_compiler##* }" ]; then
        echo "skipped: instructions: the baseline is for ${baseline_compiler##* }, this is ${compiler##* }"
        exit 0
    fi
fi
if ! command -v valgrind >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "instructions: installing valgrind"
    { apt-get update && apt-get install -y valgrind; } >/dev/null 2>&1 || true
fi
if ! command -v valgrind >/dev/null; then
    echo "skipped: instructions: valgrind is not installed (Debian: apt-get install valgrind)"
    exit 0
fi

# They would change the code.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/instructions
mkdir -p "$target"

# count SOURCE BUILD: prints what each operation takes with the ring in SOURCE, built in BUILD.
count() {
    local build=$2/release operation operations
    (cd "$1" && cargo build -q --release -p reorder-ring --target-dir "$2")
    rustc --edition 2024 -C opt-level=3 -C codegen-units=1 -o "$2/probe" ci/instructions_probe.rs \
        --extern reorder_ring="$build/libreorder_ring.rlib" -L dependency="$build/deps"
    "$2/probe" >"$2/operations"
    while read -r operation; do
        operations=$(valgrind --tool=callgrind --toggle-collect='probe_*' --log-file="$2/log" \
            --callgrind-out-file="$2/counts" "$2/probe" "$operation")
        awk -v operation="$operation" -v operations="$operations" \
            '/^totals:/ { printf "%7.1f  %s\n", $2 / operations, operation }' "$2/counts"
    done <"$2/operations"
}

# compare BASELINE COUNTS SLACK: prints both, and fails if a count is more than SLACK times the baseline's.
compare() {
    awk -v slack="$3" '
        { count = $1; name = $0; sub(/^ *[^ ]+ +/, "", name) }
        /^#/ { next }
        NR == FNR { baseline[name] = count; next }
        !(name in baseline) { bad = 1; print "instructions: " name " is not in the baseline"; next }
        {
            # One last digit is rounding.
            grew = count > baseline[name] * slack + 0.1001
            fell = count < baseline[name] - 0.1001
            printf "instructions: %6.1f, before %6.1f  %s%s\n", count, baseline[name], name,
                grew ? ": GREW" : fell ? ": fell" : ""
            if (grew || count == 0) bad = 1
            delete baseline[name]
        }
        END {
            for (name in baseline) { bad = 1; print "instructions: " name " is no longer counted" }
            exit bad
        }
    ' "$1" "$2"
}

count . "$target/build" >"$target/now"
if [ "${1-}" = --renew ]; then
    printf '# Instructions per operation; ci/instructions.sh --renew writes this.\n# %s\n' "$compiler" \
        | cat - "$target/now" >$baseline
    echo "instructions: $baseline is renewed"
    exit 0
fi

slack=1
if [ "$compiler" != "$baseline_compiler" ]; then
    slack=1.25
    echo "instructions: the baseline is of $baseline_compiler, this is $compiler: a quarter more is allowed"
fi
if ! compare $baseline "$target/now" $slack; then
    echo "instructions: if there is a reason, ci/instructions.sh --renew, and say it in the commit"
    exit 1
fi

# The fault makes each of these a little slower, and each has to be noticed.
copy=$target/faulty
rm -rf "$copy"
cargo xtask faults apply slower "$copy"
count "$copy" "$target/build-faulty" >"$target/slower"
rm -rf "$copy"
compare "$target/now" "$target/slower" 1 >"$target/slower.log" || true
for operation in reserve complete try_next; do
    if ! grep -qx "instructions: .*  $operation: GREW" "$target/slower.log"; then
        cat "$target/slower.log"
        echo "instructions: a slower $operation passes: the check cannot fail"
        exit 1
    fi
done
echo "instructions: a slower reserve, complete and try_next are noticed"
