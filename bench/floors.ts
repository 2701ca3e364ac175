import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CaseContext, Floor } from './case.ts';
import { curlFlags } from './places.ts';

/** A build that finds everything has to start, at least. */
export const emptyProcess: Floor = {
  title: 'an empty Node process',
  script: () => `${process.execPath} /dev/null`,
};

const hasCrun = spawnSync('crun', ['--version'], { stdio: 'ignore' }).status === 0;

/**
 * crun refuses to run where it sees both versions of control groups, and here it needs none. In a
 * mount namespace of its own the script covers them.
 */
const isolated = (script: string) =>
  `unshare -m sh -ec 'mount -t tmpfs none /sys/fs/cgroup; ${script}'`;

/** Writes a bundle that runs `command` on the root file system of a test image. */
function bundle(context: CaseContext, image: string, command: string): string {
  const directory = join(context.directory, 'bundle');
  mkdirSync(directory, { recursive: true });
  const spec = JSON.parse(execFileSync('sh', ['-c', SPEC], { encoding: 'utf8' }));
  spec.root = { path: context.root(image), readonly: false };
  spec.process.terminal = false;
  spec.process.args = ['sh', '-c', command];
  writeFileSync(join(directory, 'config.json'), JSON.stringify(spec));
  return directory;
}

const SPEC = 'd=$(mktemp -d) && cd "$d" && crun spec && cat config.json && rm -r "$d"';

/** Bare runs of crun, one after the other or at the same time, on one root without layers. */
export function bareSteps(
  count: number,
  command = 'true',
  { atOnce = false, after = '', image = 'busybox' } = {},
): Floor {
  const each = `crun --cgroup-manager=disabled run -b "$BUNDLE" "kiln-bench-$$-$i"`;
  const loop = `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); ${each}${atOnce ? ' &' : ';'} done`;
  return {
    title: `${count} × bare \`crun run\`${after && ', and the copies'}`,
    script: (context) =>
      hasCrun
        ? `BUNDLE='${bundle(context, image, command)}'; export BUNDLE; ` +
          `${isolated(`${loop}${atOnce ? '; wait' : ''}`)}${after && `; ${after}`}`
        : undefined,
  };
}

/**
 * Downloads the layers of an image and unpacks them, all at the same time, each into a directory of
 * its own. A command is run by crun afterwards when there is one.
 */
export function unpacked(image: string, withStep: boolean): Floor {
  const step = bareSteps(1, 'true');
  return {
    title: `\`curl | zcat | tar -x\`${withStep ? ', and a bare `crun run`' : ''}`,
    asks: true,
    async script(context) {
      const base = `http://${context.place.host}/v2/${image}`;
      const curl = `curl ${curlFlags(context.place)}`;
      const after = withStep ? await step.script(context) : '';
      if (after === undefined) return undefined;
      return `
        for digest in $(${curl} ${base}/manifests/latest | grep -o 'sha256:[0-9a-f]*' | tail -n +2)
        do
          mkdir ${context.scratch}/$digest
          ${curl} ${base}/blobs/$digest | zcat | tar -x -C ${context.scratch}/$digest &
        done
        wait
        ${after}`;
    },
  };
}
