import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, ROOT } from './rig.ts';

/*
 * The Debian package, installed by apt into a clean Debian tree. That tree is a stage of a build,
 * and what is tried in it are RUN steps.
 */

const TRIED = `
FROM debian:12
RUN apt-get update && apt-get install -y --no-install-recommends man-db
RUN --mount=type=bind,from=package,target=/deb apt-get install -y --no-install-recommends /deb/*.deb
RUN kiln --version && man --where kiln && kiln doctor | grep '^ok.*node'
RUN bash -c '. /usr/share/bash-completion/completions/kiln && complete -p kiln'
RUN test -f /usr/share/zsh/vendor-completions/_kiln && \\
    test -f /usr/share/fish/vendor_completions.d/kiln.fish && \\
    test -f /usr/lib/systemd/system/kiln.socket && test -f /usr/share/doc/kiln/copyright && \\
    test -f /usr/share/doc/kiln/docs/getting-started.md
RUN mkdir /c && printf 'FROM scratch\\nCOPY hello /\\n' > /c/Dockerfile && echo hello > /c/hello
RUN --mount=type=tmpfs,target=/var/lib/kiln --security=insecure \\
    ls /usr/lib/kiln/dist > /before && kiln build --output type=local,dest=/out /c && \\
    cmp /c/hello /out/hello && ls /usr/lib/kiln/dist > /after && cmp /before /after
RUN apt-get purge -y kiln && ! command -v kiln && test ! -e /usr/lib/kiln
`;

test('the Debian package installs into a clean Debian, works there, and goes again', async () => {
  await using rig = await Rig.create('debian');
  const place = rig.path('package');
  execFileSync('sh', [join(ROOT, 'scripts/deb.sh'), place], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  assert.equal(readdirSync(place).length, 1);
  rig.write('c', { Dockerfile: TRIED });
  const said = await rig.build(
    'c',
    ...['--build-context', `package=${place}`, '--allow', 'security.insecure'],
  );
  assert.match(said, /kiln version \d+\.\d+\.\d+$/m);
});

test.run();
