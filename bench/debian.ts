import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const TAG = '12';

/**
 * Pushes the Debian test image to a registry as one new layer. An engine whose store already has
 * the layer of the test image would have nothing to pull. `store` is a directory for a temporary
 * store.
 */
export function pushDebian(kiln: string, store: string, registry: string): void {
  const context = join(store, 'context');
  mkdirSync(context, { recursive: true });
  const call = (...args: string[]) =>
    execFileSync(kiln, args, {
      cwd: context,
      env: { ...process.env, KILN_ROOT: join(store, 'root') },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  execFileSync(kiln, ['save', '--output', join(context, 'debian.tar'), `debian:${TAG}`]);
  call('load', '--quiet', '--input', 'debian.tar');
  rmSync(join(context, 'debian.tar'));
  const steps = [
    `RUN echo ${Date.now()} > /etc/kiln-bench`,
    'FROM scratch',
    'COPY --from=0 / /',
    'CMD ["sh"]',
  ];
  writeFileSync(join(context, 'Dockerfile'), `FROM debian:${TAG}\n${steps.join('\n')}\n`);
  call('build', '--progress', 'quiet', '--push', '-t', `${registry}/debian:${TAG}`, '.');
  rmSync(store, { recursive: true, force: true });
}
