#!/bin/bash
# The command line's options are the real program's and mean nothing to the stand-in.
cd "$(dirname "$0")" || exit 1
[ ! -f lib/videobridge.rc ] || . lib/videobridge.rc
export JAVA_SYS_PROPS PYTHONPATH=$PWD/python PYTHONDONTWRITEBYTECODE=1
exec python3 standins/jvb
