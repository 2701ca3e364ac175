#!/bin/sh
# Checks types, lint, format, import directions, licences and generated files. Takes seconds and
# needs no root.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
setup_npm
say 'types'
node_modules/.bin/tsc -p .
node_modules/.bin/tsc -p page/browser
say 'lint and format'
node_modules/.bin/biome check --error-on-warnings .
say 'import directions, licences, generated files'
node_modules/.bin/node scripts/directions.ts
node_modules/.bin/node scripts/rules.ts --check
node_modules/.bin/node scripts/reference.ts --check
node_modules/.bin/node scripts/proto.ts --check
