#!/usr/bin/env bash
# Checks with `typos` that the tree is written in British English. `_typos.toml` has the settings.
#
# If typos is missing, the script builds it into the target directory. That takes minutes, once.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.52.0
if ! command -v typos >/dev/null; then
    target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/typos
    PATH=$target/tools/bin:$PATH
    # A build without optimisation takes half the time, and still reads the tree within seconds.
    install=(cargo install -q --locked --debug "typos-cli@$version")
    install+=(--root "$target/tools" --target-dir "$target/install")
    if ! command -v typos >/dev/null && ! CARGO_PROFILE_DEV_DEBUG=0 "${install[@]}"; then
        echo "skipped: spelling: typos $version is not installed, and cannot be built here"
        exit 0
    fi
    rm -rf "$target/install"
fi

# It must find a wrong word, and an American one. The quotes hide both words from the check itself.
for word in reci''eve behavi''or; do
    if typos - >/dev/null <<<"$word"; then
        echo "spelling: typos does not find $word"
        exit 1
    fi
done

typos --format brief
echo "spelling: $(typos --files | wc -l) files, nothing found"
