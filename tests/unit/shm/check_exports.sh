#!/bin/sh
# check_exports.sh NM LIBRARY HEADER: the functions LIBRARY exports are those HEADER declares.
set -eu
exported=$("$1" -D --defined-only "$2" | awk '$2 != "A" {sub("@.*", "", $3); print $3}' | sort)
declared=$(grep '^SIDECAST_API' "$3" | grep -o 'sidecast_[a-z_]*(' | tr -d '(' | sort)
if [ "$exported" != "$declared" ]; then
  printf 'exported:\n%s\n\ndeclared:\n%s\n' "$exported" "$declared" >&2
  exit 1
fi
