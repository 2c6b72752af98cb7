#!/usr/bin/env bash
# What the crates offer to their users is what `docs/api` says, and no release takes anything away
# without a new version.
#
# * `docs/api/CRATE.txt` lists the public items with all features, one a line. A change of it is seen in
#   review. `ci/api.sh --renew` writes the listings anew.
# * Against the last release that is tagged (`v1.2.3`): a line that is gone or changed needs a version
#   that users do not get by themselves. Lines that are new are not judged; what also breaks users, as
#   a variant more in an enum that is not `#[non_exhaustive]`, is for the review to see.
#
# Changes are seeded in copies of a listing, and each has to be judged as it should be.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/api
crates=(reorder-ring reorder-executor)

# list CRATE: its public items. Status 2 if the compiler's rustdoc writes another format.
list() {
    # The JSON of rustdoc is not stable; the variable lets any toolchain write it.
    RUSTC_BOOTSTRAP=1 cargo rustdoc -q -p "$1" --lib --all-features --target-dir "$target" -- \
        -Zunstable-options --output-format json || return
    cargo run -q --locked --manifest-path ci/api/Cargo.toml --target-dir "$target/tool" -- \
        "$target/doc/${1//-/_}.json"
}

# lost OLD NEW: the lines of OLD that NEW does not have.
lost() { comm -23 <(sort "$1") <(sort "$2"); }

# series VERSION: what a requirement of `VERSION` keeps to.
series() { sed -E 's/^(0\.0\.[0-9]+|0\.[1-9][0-9]*|[1-9][0-9]*).*/\1/' <<<"$1"; }

# compatible OLD NEW OLD-VERSION NEW-VERSION: whether the versions say what became of the items.
compatible() {
    [ "$(series "$3")" = "$(series "$4")" ] || return 0
    lost "$1" "$2" | sed "s/^/api: gone since $3: /" | { ! grep .; }
}

version() { sed -n 's/^version = "\(.*\)"/\1/p' | head -n 1; }

self_test() {
    local listing=docs/api/${crates[0]}.txt failed=0
    # judged WHAT EXPECTED OLD-VERSION NEW-VERSION SED-SCRIPT
    judged() {
        local verdict=refused
        sed "$5" "$listing" >"$target/seeded.txt"
        ! cmp -s "$listing" "$target/seeded.txt" || verdict=unchanged
        [ $verdict = unchanged ] ||
            ! compatible "$listing" "$target/seeded.txt" "$3" "$4" >/dev/null || verdict=accepted
        if [ $verdict = "$2" ]; then
            echo "api: seeded: $2: $1"
        else
            echo "api: seeded: $verdict, not $2: $1"
            failed=1
        fi
    }
    judged "an item is gone in a patch" refused 0.1.0 0.1.1 '/::Ring<T>::complete(/d'
    judged "an item has changed in a patch" refused 0.1.0 0.1.1 '/::Ring<T>::complete(/s/&self/\&mut self/'
    judged "an item is gone in a minor version of 1" refused 1.1.0 1.2.0 '/::Ring<T>::complete(/d'
    judged "an item is gone in a minor version of 0" accepted 0.1.9 0.2.0 '/::Ring<T>::complete(/d'
    judged "an item is gone in a major version" accepted 1.9.0 2.0.0 '/::Ring<T>::complete(/d'
    judged "an item is new in a patch" accepted 0.1.0 0.1.1 '$s/$/\npub fn reorder_ring::seeded()/'
    return $failed
}

case "${1-}" in
--renew | "") ;;
*)
    echo "usage: ci/api.sh [--renew]"
    exit 1
    ;;
esac

mkdir -p "$target" docs/api
if ! cargo fetch -q --locked --manifest-path ci/api/Cargo.toml 2>"$target/log"; then
    sed 's/^/api: /' "$target/log"
    echo "skipped: api: what ci/api depends on cannot be fetched"
    exit 0
fi

failed=0
for crate in "${crates[@]}"; do
    status=0
    list "$crate" >"$target/$crate.txt" || status=$?
    if [ $status -eq 2 ]; then
        echo "skipped: api: the listings: ci/api/Cargo.toml knows no rustdoc such as that of $(rustc -V)"
        break
    fi
    [ $status -eq 0 ] || exit 1
    if [ "${1-}" = --renew ]; then
        cp "$target/$crate.txt" "docs/api/$crate.txt"
    elif ! diff -u "docs/api/$crate.txt" "$target/$crate.txt"; then
        echo "api: $crate offers something else than docs/api/$crate.txt says: ci/api.sh --renew"
        failed=1
    else
        echo "api: $crate: $(wc -l <"$target/$crate.txt") lines, as docs/api/$crate.txt has them"
    fi
done

self_test || failed=1

release=$(git tag --merged HEAD --list 'v[0-9]*' --sort=-version:refname 2>/dev/null | head -n 1)
if [ -z "$release" ]; then
    echo "skipped: api: compatibility: no release is tagged that there could be with"
    exit $failed
fi
for crate in "${crates[@]}"; do
    git show "$release:docs/api/$crate.txt" >"$target/released.txt"
    if compatible "$target/released.txt" "docs/api/$crate.txt" \
        "$(git show "$release:Cargo.toml" | version)" "$(version <Cargo.toml)"; then
        echo "api: $crate: compatible with $release, or of a new version"
    else
        echo "api: $crate: users of $release would break; raise the version in Cargo.toml"
        failed=1
    fi
done
exit $failed
