#!/bin/bash
cd "$(dirname "$0")" || exit 1
export JAVA_SYS_PROPS PYTHONPATH=$PWD/python PYTHONDONTWRITEBYTECODE=1
exec python3 standins/jicofo
