#!/bin/bash
# Asks the bridge to end when its last conference does, and waits for it.
host=http://localhost:8080
while getopts "h:p:t:s" option; do
  case $option in h) host=$OPTARG ;; *) ;; esac
done
code=$(curl -s -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' \
  -d '{"graceful-shutdown": "true"}' "$host/colibri/shutdown")
[ "$code" = 200 ] || { echo "Invalid HTTP status for shutdown: $code"; exit 1; }
while curl -sf "$host/colibri/stats" > /dev/null; do sleep 5; done
