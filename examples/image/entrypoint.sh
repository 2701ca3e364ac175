#!/bin/sh
# Starts the server in a cgroup namespace of its own where that is possible. On control groups v1, a
# container otherwise sees its groups at paths that do not exist in it.
if unshare --cgroup true 2>/dev/null; then exec unshare --cgroup buildkitd "$@"; fi
exec buildkitd "$@"
