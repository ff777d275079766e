#!/bin/sh
# Gets the stores ready for this release, before its web server starts: deploy/release.sh POLICIES
set -eu
python manage.py migrate --noinput
if [ -n "$(ls -A "$1")" ]; then
  python manage.py ingest_policies "$1"
else
  echo "release: no policies in $1; those in the database stay as they are"
fi
# An answer that could not be made ahead is made when it is asked for: no reason not to start.
python manage.py warm_cache --all || echo "release: nothing, or not everything, was warmed: see above"
