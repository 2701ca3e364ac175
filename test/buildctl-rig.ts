import { symlinkSync } from 'node:fs';
import { KILN, type RunOptions, run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** Runs `buildctl`, which is a link to Kiln, against the server of a rig. */
export async function withBuildctl(
  work: (
    buildctl: (args: readonly string[], options?: RunOptions) => ReturnType<typeof run>,
    serve: ServeRig,
  ) => Promise<void>,
): Promise<void> {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  symlinkSync(KILN, rig.path('buildctl'));
  await work(
    (args, options = {}) =>
      run([rig.path('buildctl'), ...args], {
        cwd: rig.directory,
        expect: 0,
        ...options,
        env: { BUILDKIT_HOST: `unix://${serve.socket}`, KILN_ROOT: rig.store, ...options.env },
      }),
    serve,
  );
}
