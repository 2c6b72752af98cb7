#!/usr/bin/env bash
# Every atomic access has an argument, and every argument an access.
#
# * Within the 8 lines above each atomic access in `reorder/src` and `executor/src` there stands an
#   `// ORDERING: label:name: ...` note; no two notes share a label. In `reorder/src` each access has
#   a note of its own. Test modules are exempt.
# * The labels of `reorder/src` are those of `docs/ALGORITHM.md`, both ways; so are those of
#   `executor/src` and `docs/EXECUTOR.md`, if there is such a file.
# * A label that a note in `reorder/src` names as its partner exists.
#
# `ci/labels.sh --self-test` seeds one fault of each kind in copies of the source and fails unless
# every one is noticed. `ci/labels.sh ROOT` checks another tree.
set -euo pipefail
cd "$(dirname "$0")/.."

# accesses OWN FILE...: complains of accesses without a note (of their own, if OWN is 1).
accesses() {
    awk '
        FNR == 1 { note = -99; start = 0; tests = 0 }
        # By convention the test module is the last item of a file.
        /^#\[cfg\(.*test/ { attribute = FNR }
        /^mod tests \{/ && attribute == FNR - 1 { tests = 1 }
        tests { next }
        # A note counts from its last line on: the access stands below the whole comment.
        /^ *\/\/ ORDERING: / { note = FNR; used = 0 }
        /^ *(\/\/|use |pub\(crate\) use )/ { next }
        # An access may span several lines; its orderings tell it from a method of the same name.
        /\.(load|store|swap|compare_exchange|compare_exchange_weak|fetch_[a-z]+)\(|(^|[^a-z_])fence\(/ {
            start = FNR; text = ""
        }
        start { text = text $0 }
        start && text ~ /[^A-Za-z](Relaxed|Acquire|Release|AcqRel|SeqCst)[^A-Za-z]/ {
            if (start - note > 8) fault(FILENAME ":" start ": an atomic access without an ORDERING note")
            else if (used && own) fault(FILENAME ":" start ": shares its ORDERING note with another access")
            used = 1; start = 0
        }
        start && (FNR - start >= 6 || /;$/) { start = 0 }
        function fault(what) { print "labels: " what; bad = 1 }
        END { exit bad }
    ' own="$1" "${@:2}"
}

# labels FILE...: the labels of the notes, one a line, in order.
labels() {
    sed -n 's|^ *// ORDERING: \([a-z_0-9-]*:[a-z_0-9-]*\): .*|\1|p' "$@" | sort
}

# mentioned FILE...: everything between backticks that looks like a label.
mentioned() {
    grep -oh '`[a-z_0-9]*:[a-z_0-9-]*`' "$@" | tr -d '`' | sort -u
}

# check ROOT
check() {
    local root=$1 failed=0 crate doc twice sources
    for crate in reorder executor; do
        mapfile -t sources < <(find "$root/$crate/src" -name '*.rs' -not -path '*/tests/*' -not -path '*/primitive/*' | sort)
        accesses $([ $crate = reorder ] && echo 1 || echo 0) "${sources[@]}" || failed=1
        if grep -n '^ *// ORDERING:' "${sources[@]}" |
            grep -v '// ORDERING: [a-z_0-9-]*:[a-z_0-9-]*: '; then
            echo "labels: the notes above have no label (// ORDERING: function:name: ...)"
            failed=1
        fi
        twice=$(labels "${sources[@]}" | uniq -d)
        [ -z "$twice" ] || { echo "labels: more than one note has the label" $twice; failed=1; }

        doc=$root/docs/ALGORITHM.md
        [ $crate = reorder ] || doc=$root/docs/EXECUTOR.md
        if [ ! -f "$doc" ]; then
            echo "skipped: labels: the labels of $crate/src against docs/${doc##*/}: no such file"
            [ $crate = executor ] || failed=1
            continue
        fi
        comm -23 <(labels "${sources[@]}" | uniq) <(mentioned "$doc") |
            sed "s|.*|labels: docs/${doc##*/} does not mention &|" | { ! grep .; } || failed=1
        comm -13 <(labels "${sources[@]}" | uniq) <(mentioned "$doc") |
            sed "s|.*|labels: docs/${doc##*/} mentions &, which no note has|" | { ! grep .; } || failed=1
        if [ $crate = reorder ]; then
            comm -13 <(labels "${sources[@]}" | uniq) \
                <(sed -n 's|^ *//||p' "${sources[@]}" | mentioned -) |
                sed 's|.*|labels: a comment names &, which no note has|' | { ! grep .; } || failed=1
        fi
    done
    return $failed
}

# must_fail WHAT FILE SED-SCRIPT EXPECTED: seeds a fault in a copy and wants it reported.
must_fail() {
    local copy
    copy=$(mktemp -d)
    mkdir "$copy/reorder" "$copy/executor"
    cp -r docs "$copy"
    cp -r reorder/src "$copy/reorder"
    cp -r executor/src "$copy/executor"
    sed -i "$3" "$copy/$2"
    if cmp -s "$2" "$copy/$2"; then
        echo "labels: self-test: the seed changes nothing any more: $1"
        failed=1
    elif check "$copy" >"$copy/log" 2>&1 || ! grep -q "$4" "$copy/log"; then
        echo "labels: self-test: not noticed: $1"
        failed=1
    else
        echo "labels: self-test: noticed: $1"
    fi
    rm -rf "$copy"
}

case "${1-}" in
--self-test)
    failed=0
    slot=reorder/src/slot.rs
    must_fail "an access without a note" $slot '/ORDERING: take:vacate/s/ORDERING/Ordering/' \
        'slot.rs:.*without an ORDERING note'
    must_fail "a note without a label" $slot 's/ORDERING: take:vacate:/ORDERING:/' 'have no label'
    must_fail "a label that the document lacks" $slot 's/take:vacate/take:seeded/g' \
        'does not mention take:seeded'
    must_fail "a label that the source lacks" docs/ALGORITHM.md '$s/$/ `seeded:label`/' \
        'mentions seeded:label, which no note has'
    must_fail "a label twice" $slot 's/ORDERING: take:vacate:/ORDERING: take:load:/' \
        'more than one note has the label take:load'
    must_fail "a partner that does not exist" $slot 's/pairs with `take:vacate`/pairs with `no:such`/' \
        'a comment names no:such'
    exit $failed
    ;;
*)
    check "${1:-.}"
    echo "labels: every atomic access has its note, and the documents have every label"
    ;;
esac
