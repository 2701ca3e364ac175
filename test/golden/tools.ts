import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lines } from './case.ts';

/**
 * The name of an image in place of base images that are not available in a test. It is busybox with
 * stubs of the tools that the seed documents call. A stub only makes the files that later steps
 * need, and never uses the network.
 */
export const TOOLS = 'kiln-golden-tools';

const sh = (...text: readonly string[]) => lines('#!/bin/sh', 'set -e', ...text);

const STUBS: Readonly<Record<string, string>> = {
  npm: sh(
    'case "$1 $2" in',
    '  "run build") mkdir -p dist; echo built >dist/app.js ;;',
    '  "run production") mkdir -p public/js public/css; echo js >public/js/app.js; echo css ' +
      '>public/css/app.css; echo {} >public/mix-manifest.json ;;',
    '  *) mkdir -p node_modules/left-pad ~/.npm; echo pad >node_modules/left-pad/index.js; ' +
      'echo npm "$@" >>~/.npm/log ;;',
    'esac',
  ),
  go: sh(
    'echo go "$@" "$CGO_ENABLED" "$GOOS" >>/var/log.go',
    'out=; for word in "$@"; do [ "$last" != -o ] || out=$word; last=$word; done',
    'case $1 in build) [ -n "$out" ] || out=${last%.go}; printf "#!/bin/sh\\n" >"$out"; ' +
      'chmod 755 "$out" ;; esac',
  ),
  apk: sh('case $1 in update | --no-cache | add) echo apk "$@" >>/etc/apk/log ;; esac'),
  'apt-get': sh(
    'mkdir -p /var/lib/apt/lists',
    'echo apt-get "$@" >>/var/lib/apt/lists/log',
    'echo apt-get "$@" >>/var/log.apt',
  ),
  curl: sh(
    'for url in "$@"; do :; done',
    'case $url in',
    '  *.tar.xz) cp /usr/local/share/stub.tar.xz "${url##*/}" ;;',
    '  *SHASUMS256.txt.asc) (cd /usr/local/share; sha256sum stub.tar.xz) | sed "s/ stub/ ' +
      'node-v$NODE_VERSION-linux-x64/" >"${url##*/}" ;;',
    '  *) echo "$url" ;;',
    'esac',
  ),
  // gpg --batch --decrypt --output TO FROM
  gpg: sh('cp "$5" "$4"'),
  wget: sh('printf "#!/bin/sh\\nshift\\nexec \\"\\$@\\"\\n" >"$2"'),
  composer: sh(
    'case $1 in install) mkdir -p vendor/bin; echo "<?php" >vendor/autoload.php ;; esac',
  ),
  php: sh('mkdir -p bootstrap/cache; echo "<?php" >bootstrap/cache/packages.php'),
  groupadd: sh('for name in "$@"; do :; done', 'echo "$name:x:900:" >>/etc/group'),
  useradd: sh(
    'for name in "$@"; do :; done',
    'echo "$name:x:900:900::/home/$name:/bin/sh" >>/etc/passwd',
  ),
  'redis-server': sh('id -u >/tmp/redis.uid'),
  'docker-php-entrypoint': sh('exec php "$@"'),
  ssh: sh('echo Welcome'),
  'ssh-keyscan': sh('echo "$1 ssh-ed25519 AAAA"'),
  git: sh('mkdir -p myproj; echo git "$@" >myproj/log'),
  addgroup: sh('for name in "$@"; do :; done', 'echo "$name:x:901:" >>/etc/group'),
  adduser: sh(
    'for name in "$@"; do :; done',
    'echo "$name:x:901:901::/home/$name:/bin/sh" >>/etc/passwd',
  ),
};

/** Writes the context of that image, for `docker build` or `kiln build`. */
export function writeTools(directory: string): void {
  const bin = join(directory, 'local/bin');
  const share = join(directory, 'local/share');
  mkdirSync(bin, { recursive: true });
  mkdirSync(share);
  for (const [name, text] of Object.entries(STUBS))
    writeFileSync(join(bin, name), text, { mode: 0o755 });
  const node = join(directory, 'node/bin');
  mkdirSync(node, { recursive: true });
  writeFileSync(join(node, 'node'), '#!/bin/sh\n', { mode: 0o755 });
  const from = [
    '-C',
    directory,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--sort=name',
    '--mtime=@1700000000',
  ];
  const tar = execFileSync('tar', [...from, '-c', 'node']);
  writeFileSync(join(share, 'stub.tar.xz'), execFileSync('xz', ['-c'], { input: tar }));
  rmSync(join(directory, 'node'), { recursive: true });
  writeFileSync(
    join(directory, 'Dockerfile'),
    'FROM busybox\nCOPY local /usr/local\nRUN mkdir -p /var/lib /opt /etc/apk /etc/nginx\n',
  );
  for (const path of [bin, share]) utimesSync(path, 1_700_000_000, 1_700_000_000);
}
