#!/usr/bin/env bash
# Checks the example `parallel_gzip` as a process:
#
# * The system's gzip decompresses its outputs, for 50 files of 0 bytes to 64 MiB.
# * It decompresses the outputs of the system's gzip, and has the same exit status.
# * With pipes, it reads standard input and writes standard output.
# * A signal ends it, and leaves no output that is incomplete.
# * Its peak memory does not grow with the size of a file.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v gzip >/dev/null; then
    echo "skipped: gzip: this system has no gzip"
    exit 0
fi

cargo build -q -p reorder-executor --example parallel_gzip
example=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/examples/parallel_gzip
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "gzip: $*"
    exit 1
}

# repeat COUNT FILE: prints the file COUNT times.
repeat() {
    local i
    for ((i = 0; i < $1; i++)); do cat "$2"; done
}

# There are four kinds of content, with 64 MiB each: sources of this repository, noise (compressed
# data), a mixture of both, and zeros.
mkdir "$folder/kinds" "$folder/in"
largest=$((64 << 20))
kinds=$folder/kinds
find reorder executor docs -type f -exec cat {} + >"$kinds/once"
repeat $((largest / $(wc -c <"$kinds/once") + 1)) "$kinds/once" >"$kinds/more"
head -c $largest "$kinds/more" >"$kinds/text"
seq 12000000 | gzip -1 >"$kinds/once"
repeat $((largest / $(wc -c <"$kinds/once") + 1)) "$kinds/once" >"$kinds/more"
head -c $largest "$kinds/more" >"$kinds/noise"
for part in 1 2 3 4 5 6 7 8; do
    tail -c $((part * 5000011)) "$kinds/text" >"$kinds/once"
    head -c 3000017 "$kinds/once"
    head -c 5388591 "$kinds/noise"
done >"$kinds/more"
head -c $largest "$kinds/more" >"$kinds/mixed"
head -c $largest /dev/zero >"$kinds/zeros"

# The sizes are near those at which the behaviour changes (a block has 131072 bytes), or large.
sizes=(
    0 1 2 3 17 100 999 4095 4096 4097 16384 32767 32768 32769 65535 65536 65537
    100000 131071 131072 131073 163839 163840 163841 262143 262144 262145 300001 393216 500000
    524287 524288 524289 655360 777777 1000000 1048575 1048576 1048577 1234567 1500000 2000003
    2097152 3000000 4194303 6000000 8388608 16777216 33554433 67108864
)
names=(text mixed noise zeros)
for i in "${!sizes[@]}"; do
    head -c "${sizes[i]}" "$kinds/${names[i % 4]}" >"$folder/in/$i"
done
# The largest file has mixed content.
cp "$kinds/mixed" "$folder/in/$((${#sizes[@]} - 1))"

# check_outputs OUT: checks that OUT has a correct output for each file of `in`, and no other files.
check_outputs() {
    local input
    for input in "$folder"/in/*; do
        gzip -t "$1/${input##*/}.gz" || fail "gzip reports that ${input##*/}.gz is broken"
        gzip -dc "$1/${input##*/}.gz" | cmp - "$input" ||
            fail "${input##*/} differs after decompression"
    done
    [ "$(find "$1" -type f | wc -l)" -eq "${#sizes[@]}" ] || fail "there are other files in $1"
}

"$example" --out "$folder/out" "$folder"/in/* >"$folder/lines" || fail "the run of all files failed"
[ "$(grep -c ' -> ' "$folder/lines")" -eq $((${#sizes[@]} + 1)) ] ||
    fail "the line of a file is missing"
check_outputs "$folder/out"
echo "gzip: $(tail -n 1 "$folder/lines")"
echo "gzip: all ${#sizes[@]} outputs decompress to their inputs with the system's gzip"

# A missing file is reported and fails the run, and the other files are compressed.
rm -r "$folder/out"
status=0
files=("$folder/in/0" "$folder/missing" "$folder"/in/?? "$folder"/in/[1-9])
"$example" -1 --out "$folder/out" "${files[@]}" >/dev/null 2>"$folder/errors" || status=$?
[ $status -eq 1 ] || fail "with a missing file, the exit status is $status, not 1"
expected="parallel_gzip: $folder/missing: No such file or directory (os error 2)"
[ "$(cat "$folder/errors")" = "$expected" ] ||
    fail "the message for a missing file is wrong: $(cat "$folder/errors")"
check_outputs "$folder/out"
# If the reader of the lines closes the pipe early, there is no panic and no failure.
"$example" --force --out "$folder/out" "$folder"/in/? 2>"$folder/errors" | head -n 1 >/dev/null ||
    fail "a closed standard output fails the run"
[ ! -s "$folder/errors" ] ||
    fail "a closed standard output gives an error: $(cat "$folder/errors")"

# Outputs of the system's gzip decompress, and its option -N finds the name and the time.
mkdir "$folder/theirs"
cp -p "$folder"/in/?? "$folder/theirs"
gzip "$folder"/theirs/*
"$example" -d "$folder"/theirs/*.gz >/dev/null || fail "-d fails for outputs of gzip"
for input in "$folder"/in/??; do
    cmp "$input" "$folder/theirs/${input##*/}" || fail "-d of an output of gzip is wrong"
done
mkdir "$folder/named"
touch -d '2001-02-03 04:05:06' "$folder/named/name"
"$example" "$folder/named/name" >/dev/null
mv "$folder/named/name" "$folder/named/before"
(cd "$folder/named" && mv name.gz other.gz && touch other.gz && gzip -dN other.gz)
[ -f "$folder/named/name" ] || fail "the header has no name"
[ ! "$folder/named/name" -nt "$folder/named/before" ] || fail "the header has no time"

# Pipes: standard input to standard output, also without arguments. `-c` keeps the order.
text=$folder/in/40
for option in "" - -9 -c "-0 -"; do
    # shellcheck disable=SC2086 # There may be two options, or none.
    "$example" $option <"$text" | gzip -dc | cmp - "$text" || fail "'$option' fails in a pipe"
done
for option in -d "-d -" -dc; do
    # shellcheck disable=SC2086
    gzip -c "$text" "$text" | "$example" $option | cmp - <(cat "$text" "$text") ||
        fail "'$option' fails in a pipe"
done
"$example" -c "$folder"/in/?? | gzip -dc | cmp - <(cat "$folder"/in/??) || fail "-c fails"
# The reader closes the pipe early: both programs end by SIGPIPE, without a message.
set +o pipefail
for filter in gzip "$example"; do
    { "$filter" -1c "$kinds/noise" 2>"$folder/errors" || echo $? >"$folder/status"; } |
        head -c 10 >/dev/null
    [ "$filter" != gzip ] || mv "$folder/status" "$folder/expected"
done
set -o pipefail
if [ -c /dev/full ]; then
    status=0
    "$example" -c "$text" 2>"$folder/full" >/dev/full || status=$?
    [ $status -eq 1 ] || fail "with a full disk, the exit status is $status, not 1"
    grep -q 'cannot write the output' "$folder/full" || fail "a full disk is not reported"
fi
cmp "$folder/status" "$folder/expected" || fail "another exit status than gzip's at a closed pipe"
[ ! -s "$folder/errors" ] || fail "a closed pipe gives an error: $(cat "$folder/errors")"
echo "gzip: decompression, header and pipes agree with the system's gzip"

# same_status ARGUMENT...: checks that both programs have the same exit status.
same_status() {
    local ours=0 theirs=0
    (cd "$folder/status-of" && gzip "$@") </dev/null >/dev/null 2>&1 || theirs=$?
    (cd "$folder/status-of" && "$example" "$@") </dev/null >/dev/null 2>&1 || ours=$?
    [ $ours -eq $theirs ] || fail "'$*': the exit status is $ours, and that of gzip is $theirs"
}
mkdir -p "$folder/status-of/directory"
cd "$folder/status-of"
echo content >plain
gzip -c plain >good.gz
{ cat good.gz; echo garbage; } >garbage.gz
{ cat good.gz; head -c 1000 /dev/zero; } >zeros.gz
head -c 20 good.gz >cut.gz
cp plain wrong.gz
: >empty.gz
: >good # An output that exists.
cd - >/dev/null
for file in good.gz garbage.gz zeros.gz cut.gz wrong.gz empty.gz missing.gz directory; do
    same_status -dc $file
done
same_status -c plain missing directory
same_status -c plain directory
same_status -d plain
same_status -d good.gz
same_status -dc good.gz good.gz
same_status good.gz
same_status -c9 plain
same_status -dc plain
same_status -d
same_status --unknown
same_status --help
"$example" >"$folder/lines" </dev/null || fail "the run without arguments failed"
[ "$(wc -l <"$folder/lines")" -le 3 ] || fail "the run without arguments prints too many lines"
echo "gzip: exit status as gzip has it; without arguments: $(tail -n 1 "$folder/lines")"

# Signals. The files have no end that a test could wait for.
mkdir "$folder/endless"
if ! truncate -s 1T "$folder/endless/one" "$folder/endless/two" 2>/dev/null; then
    echo "skipped: gzip: signals: there cannot be files of 1 TiB"
else
    # interrupt STATUS SIGNAL...: sends signals when both outputs exist, and checks the exit status.
    interrupt() {
        local pid signal status=0 expected=$1
        # With job control, a process in the background does not ignore SIGINT.
        set -m
        "${start[@]}" "$example" "$folder"/endless/* >/dev/null 2>&1 &
        pid=$!
        set +m
        until [ "$(find "$folder/endless" -name '.parallel_gzip-*' -size +0 | wc -l)" -eq 2 ]; do
            kill -0 $pid || fail "the program ended before the signal"
            sleep 0.02
        done
        for signal in "${@:2}"; do kill -s "$signal" $pid; done
        wait $pid 2>/dev/null || status=$?
        [ $status -eq "$expected" ] || fail "${*:2}: the exit status is $status, not $expected"
        [ "$(ls -A "$folder/endless")" = one$'\n'two ] ||
            fail "${*:2}: the program left files: $(ls -A "$folder/endless")"
    }
    # A caller in the background may have made this script ignore SIGINT.
    start=(env --default-signal=HUP,INT,TERM)
    "${start[@]}" true 2>/dev/null || start=()
    interrupt 130 INT
    interrupt 143 TERM
    interrupt 129 HUP
    # A signal that is ignored at the start, as by nohup, stays ignored.
    start=(env --default-signal=INT,TERM --ignore-signal=HUP)
    if "${start[@]}" true 2>/dev/null; then
        interrupt 143 HUP TERM
    fi
    echo "gzip: signals leave no incomplete outputs"
fi

# peak FILE...: prints the peak memory in KiB for these files, or nothing if the system does not
# report it. With 2 workers, a file has up to 11 buffers on any machine. Each measured set is large
# enough to fill them.
peak() {
    "$example" --verbose --workers 2 --force --out "$folder/out" "$@" |
        sed -n 's/^peak memory: \([0-9]*\) kB$/\1/p'
}

head -c $((8 << 20)) "$kinds/noise" >"$folder/noise8"
small=$(peak "$folder/noise8")
if [ -z "$small" ]; then
    echo "skipped: gzip: peak memory: this system does not report it"
    exit 0
fi
large=$(peak "$kinds/noise")
all=$(peak "$folder"/in/*)
echo "gzip: peak memory: $small KiB for 8 MiB, $large KiB for 64 MiB," \
    "$all KiB for ${#sizes[@]} files"
[ "$large" -le $((small * 5 / 4 + 2048)) ] || fail "the peak memory grows with the size of a file"
# Up to 4 files are open at the same time. Each has up to 11 buffers of 160 KiB, a buffer of 128 KiB
# for reads, and a thread that deflates with a state of 300 KiB: 2188 KiB in all.
[ "$all" -le $((small * 5 / 4 + 2048 + 3 * 2188)) ] ||
    fail "the peak memory grows with the number of files"
