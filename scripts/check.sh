#!/bin/sh
# Types, lint and format, import directions: seconds, no root needed.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
setup_npm
say 'types'
node_modules/.bin/tsc -p .
say 'lint and format'
node_modules/.bin/biome check --error-on-warnings .
say 'import directions, licences, pages made from the code'
node_modules/.bin/node scripts/directions.ts
node_modules/.bin/node scripts/rules.ts --check
node_modules/.bin/node scripts/reference.ts --check
node_modules/.bin/node scripts/proto.ts --check
