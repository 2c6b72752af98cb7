#!/usr/bin/env bash
# Every order in the ring, its pool and the executor is needed: each that is stronger than relaxed is weakened, one
# half at a time, and a model that `docs/ALGORITHM.md` or `docs/EXECUTOR.md` names for its pair has to die. What no
# model can show is argued there, in a table that this script reads.
#
# Loom's atomics do the weakening: they know an access by its place in the source, so one build is enough.
# Arguments select labels: `ci/orderings.sh take:vacate`.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/loom
work=$target/orderings
rm -rf "$work"
mkdir -p "$work"
export RUSTFLAGS="${RUSTFLAGS-} --cfg reorder_loom --cfg crossbeam_loom"

CARGO_TARGET_DIR=$target cargo test --release -p loom-tests --test models --no-run 2>"$work/build" ||
    { cat "$work/build"; exit 1; }
models=$(sed -n 's/.*Executable.*(\(.*\))$/\1/p' "$work/build")

# The accesses there are: those that any model reaches. With few preemptions all do so in no time.
LOOM_MAX_PREEMPTIONS=1 REORDER_ORDERINGS=$work/accesses "$models" --test-threads 2 >"$work/log" 2>&1 ||
    { tail -n 40 "$work/log"; echo "orderings: a model fails before anything is weakened"; exit 1; }

# label FILE LINE: the label of the note above that access.
label() {
    head -n "$2" "$1" | tac | sed -n 's|^ *// ORDERING: \([a-z_0-9-]*:[a-z_0-9-]*\): .*|\1|p' | head -n 1
}

# rows LABEL PART: the models of the pairs that this half of the label belongs to. A row names a refused
# compare-and-swap as such.
rows() {
    awk -F'|' -v label="\`$1\`" -v part="$2" '
        !/^\| `/ || NF < 6 { next }
        part == "release" { side = $2 }
        part == "acquire" || part == "refused" { side = $3 }
        part == "fence" { side = $2 $3 }
        {
            refused = index(side, label " refused")
            found = part == "refused" ? refused : (index(side, label) && !refused)
            if (found) print $5
        }
    ' docs/ALGORITHM.md docs/EXECUTOR.md | grep -o '`[a-z_]*::[a-z_]*`' | tr -d '`' | sort -u
}

argued() { grep -qs "^| \`$1\`, $2 |" docs/ALGORITHM.md docs/EXECUTOR.md; }

# attempt PLACE PART LABEL: prints what became of this mutant, in one line.
attempt() {
    exec 2>/dev/null # The shell tells of each process that aborts.
    local place=$1 part=$2 label=$3 model why status
    for model in $(rows "$label" "$part"); do
        status=0
        REORDER_WEAKEN=$place:$part timeout 120 "$models" --exact "$model" --nocapture \
            >"$work/$label-$part-${model/::/-}.log" 2>&1 || status=$?
        why=$(sed -n '/ panicked at /{n;p;q}' "$work/$label-$part-${model/::/-}.log")
        # One that times out, is killed without a word, or has fewer executions was not noticed.
        if [ $status -ne 0 ] && [ $status -ne 124 ] && [ -n "$why" ] && [[ $why != *"fewer than"* ]]; then
            echo "killed $label, $part: dies in $model: ${why:0:70}"
            return
        fi
    done
    if argued "$label" "$part"; then
        echo "argued $label, $part: see docs"
    elif [ -z "$(rows "$label" "$part")" ]; then
        echo "survived $label, $part ($place): no pair in docs has it, and no argument"
    else
        echo "survived $label, $part ($place): lives in $(rows "$label" "$part" | tr '\n' ' ')"
    fi
}
export -f rows argued attempt
export models work

sort "$work/accesses" | while IFS=: read -r file line part; do
    name=$(label "$file" "$line")
    # The models' own accesses are not what they are about.
    [[ $name != model:* ]] || continue
    if [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; then
        echo "$file:$line $part $name"
    fi
done >"$work/mutants"
xargs -P "$(nproc)" -L 1 bash -c 'attempt "$@"' attempt <"$work/mutants" | tee "$work/outcomes"

# A pair whose access no model reaches, or which is gone.
if [ $# -eq 0 ]; then
    sed -n '/^| release | acquire |/,/^$/p' docs/ALGORITHM.md docs/EXECUTOR.md | cut -d'|' -f2,3 | grep -o '`[a-z_0-9-]*:[a-z_0-9-]*`' |
        tr -d '`' | sort -u | while read -r name; do
            grep -q " $name\$" "$work/mutants" || echo "survived $name: no model reaches it"
        done | tee -a "$work/outcomes"
fi

count() { grep -c "^$1 " "$work/outcomes" || true; }
echo "$(wc -l <"$work/mutants") mutants, $(count killed) killed, $(count survived) survived, $(count argued) argued"
[ "$(count survived)" -eq 0 ] && [ "$(wc -l <"$work/outcomes")" -eq "$(wc -l <"$work/mutants")" ] &&
    [ "$(count killed)" -gt 0 ]
