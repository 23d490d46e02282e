# shellcheck shell=bash
# How scripts read locks/, which scripts/lock.sh makes: one file for each set of packages, as pip reads it. Sourced.

: "${root:?}"
locks=$root/locks

# lock_of EXTRAS: the file for EdgeAssist with these extras, such as llama,onnx.
lock_of() { echo "$locks/${1//,/-}.txt"; }

# locked FILE NAME...: the lines on these packages, with their hashes.
locked() { awk -v names=" ${*:2} " '/^[^ ]/ {split($1, part, "=="); wanted = index(names, " " part[1] " ")} wanted' "$1"; }

# not_locked FILE NAME...: the lines on all other packages.
not_locked() { awk -v names=" ${*:2} " '/^#/ {next} /^[^ ]/ {split($1, part, "=="); wanted = !index(names, " " part[1] " ")} wanted' "$1"; }

# constraints FILE...: the versions without hashes, for wheels that were built here.
constraints() { sed -nE 's/^([a-z0-9][^\\]*[^ \\]) *\\?$/\1/p' "$@" | sort -u; }
