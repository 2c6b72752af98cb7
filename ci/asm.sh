#!/usr/bin/env bash
# Reads the machine code of the hot paths: one atomic read-modify-write per item, and no loop.
#
# `ci/asm_probe.rs` wraps `Ring::complete`, `Producer::reserve` and `Consumer::try_next` in symbols
# of their own. For each of them, the assembly must have
#   * no loop: the graph of its jumps has no cycle (a jump back from an outlined cold block to the
#     hot path is not one, so "no backward jump" would be the wrong question);
#   * no call, but to the functions that the source marks `#[cold] #[inline(never)]`: they are what
#     tells the cold path from the hot one, and each is entered only after the hot path gave up;
#   * the exact number of locked instructions: 1 in `complete`, 0 in the others. They are counted in
#     the whole symbol, so the hot path has no more of them.
# The faults in `faults/assembly.toml` break this in copies of the source, and the check has to notice.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(rustc -vV | sed -n 's/^host: \([^-]*\)-.*/\1/p')" != x86_64 ]; then
    echo "skipped: asm: the check reads x86-64 assembly, and this machine is another one"
    exit 0
fi

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/asm
mkdir -p "$target"

# assembly SOURCE BUILD OUT: the probe's assembly against the ring in SOURCE, built in BUILD.
assembly() {
    (cd "$1" && cargo build -q --release -p reorder-ring --target-dir "$2")
    rustc --edition 2024 --crate-type lib -C opt-level=3 -C codegen-units=1 --emit asm -o "$3" \
        --extern reorder_ring="$2/release/libreorder_ring.rlib" \
        -L dependency="$2/release/deps" ci/asm_probe.rs
}

# check ASSEMBLY SYMBOL LOCKED: prints what the symbol has, and fails if it may not have it.
check() {
    awk -v symbol="$2" -v allowed="$3" '
        function edge(to) { edges++; edge_from[edges] = block; edge_to[edges] = to }
        $0 == symbol ":" { inside = 1; block = "entry"; blocks[block]; next }
        !inside { next }
        /^\.Lfunc_end/ { inside = 0; found = 1; next }
        /^\.L[A-Za-z0-9_]*:/ {
            label = $1; sub(/:.*/, "", label)
            if (falls) edge(label)
            block = label; blocks[block]; falls = 1; next
        }
        $1 ~ /^[.#]/ { next }
        {
            instructions++; falls = 1
            # xchg with memory locks without the prefix.
            if ($1 == "lock" || ($1 ~ /^xchg/ && /\(/)) locked++
            if ($1 ~ /^j/ && $2 ~ /^\.L/) {
                # A conditional jump ends its block, too; what follows is a block of its own.
                edge($2); was = block
                if ($1 ~ /^jmp/) falls = 0
                block = was "+" instructions; blocks[block]
                if (falls) { edges++; edge_from[edges] = was; edge_to[edges] = block }
            } else if ($1 ~ /^j/ || $1 ~ /^call/) {
                # A jump out of the function is a call in the last place.
                if ($1 ~ /^j/) falls = 0
                if ($2 ~ /(13complete_cold|13wake_consumer|10refuse_tag|11check_space|13try_next_cold|15notify_producer|6refuse)17h[0-9a-f]*E(@|$)/) cold++
                else { bad = 1; print "asm: " symbol " calls " $2 }
            } else if ($1 ~ /^ret/ || $1 == "ud2") falls = 0
        }
        END {
            if (!found) { print "asm: no symbol " symbol; exit 1 }
            # Blocks that nothing leads to are taken away, until none is left or a cycle is.
            do {
                again = 0
                split("", entered)
                for (e in edge_to) entered[edge_to[e]] = 1
                for (b in blocks) if (!(b in entered)) {
                    delete blocks[b]; again = 1
                    for (e in edge_to) if (edge_from[e] == b) { delete edge_to[e]; delete edge_from[e] }
                }
            } while (again)
            for (b in blocks) { bad = 1; print "asm: " symbol " has a loop through " b }
            if (locked + 0 != allowed) bad = 1
            printf "asm: %s: %d instructions, %d locked (expected %d), %d calls of cold functions\n",
                symbol, instructions, locked, allowed, cold
            exit bad
        }
    ' "$1"
}

check_all() {
    local failed=0
    check "$1" probe_complete 1 || failed=1
    check "$1" probe_reserve 0 || failed=1
    check "$1" probe_try_next 0 || failed=1
    return $failed
}

assembly . "$target/build" "$target/ring.s"
check_all "$target/ring.s"

cargo xtask faults list assembly >"$target/faults"
for name in $(cut -d" " -f1 "$target/faults"); do
    copy=$target/faulty
    rm -rf "$copy"
    cargo xtask faults apply "$name" "$copy"
    assembly "$copy" "$target/build-faulty" "$target/$name.s"
    if check_all "$target/$name.s" >"$target/$name.log"; then
        cat "$target/$name.log"
        echo "asm: the fault $name passes: the check cannot fail"
        exit 1
    fi
    echo "asm: the fault $name is noticed:"
    sed 's/^/    /' "$target/$name.log"
done
rm -rf "$target/faulty"
