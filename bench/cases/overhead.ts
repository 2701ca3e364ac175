import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asUser, done, prepared } from '../../test/user.ts';
import type { Case, CaseContext } from '../case.ts';
import { bareSteps } from '../floors.ts';
import type { Run } from '../timed.ts';

/*
 * These cases measure the overhead of one RUN: namespaces, a network, the mount of its root file
 * system, the commit. It is the difference of two cold builds with different numbers of RUNs.
 */
const FEW = 10;
const MANY = 40;

/** Builds the context in a directory. */
type Build = (directory: string) => Promise<Run>;

function dockerfile(directory: string, base: string, count: number, nonce: string): void {
  const steps = Array.from({ length: count }, (_, index) => `RUN true ${nonce} ${index}`);
  writeFileSync(join(directory, 'Dockerfile'), `${[`FROM ${base}`, ...steps].join('\n')}\n`);
}

async function perStep(
  { directory, nonce, base }: CaseContext,
  run: number,
  build: Build,
): Promise<Run> {
  const measure = async (count: number) => {
    dockerfile(directory, base('busybox'), count, `${nonce(run)}of${count}`);
    return await build(directory);
  };
  const few = await measure(FEW);
  const many = await measure(MANY);
  const each = (what: 'ms' | 'cpuMs') => (many[what] - few[what]) / (MANY - FEW);
  return { ms: each('ms'), cpuMs: each('cpuMs'), peakMb: 0, rssMb: 0 };
}

/** The ordinary user of the rootless case, while the case runs. */
let user: (AsyncDisposable & { readonly build: Build }) | undefined;

/** Returns an ordinary user with a separate copy of Kiln and a separate store, as in the tests. */
async function ordinaryUser(): Promise<NonNullable<typeof user>> {
  const rig = await prepared('FROM scratch\n');
  // On some hosts ordinary users cannot open /dev/net/tun, and without it steps have no private
  // network.
  if (existsSync('/dev/net/tun'))
    execFileSync('mknod', ['-m', '666', rig.path('tun'), 'c', '10', '200']);
  await done(asUser(rig, 'with ids', 'load', '-q', '-i', 'busybox.tar'));
  return {
    async build(directory) {
      cpSync(join(directory, 'Dockerfile'), rig.path('c/Dockerfile'));
      const started = performance.now();
      await done(asUser(rig, 'with ids', 'build', '--progress', 'quiet', 'c'));
      return { ms: performance.now() - started, cpuMs: 0, peakMb: 0, rssMb: 0 };
    },
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}

const whyNotRootless = (): string | undefined =>
  process.getuid?.() === 0 && existsSync('/usr/bin/newuidmap')
    ? undefined
    : 'needs root and newuidmap';

const AS_ROOT = 'measured as root, in the row above';

export const overheadCases: readonly Case[] = [
  {
    name: 'run-overhead',
    title:
      'one more `RUN true`, cold; Kiln with a private network, the peers with the host network',
    images: ['busybox'],
    target: 0.025,
    floor: bareSteps(1),
    prepare: () => {},
    before: async (context, engine, run) => {
      if (run === 0) await perStep(context, -1, (directory) => engine.build(directory));
    },
    run: (context, engine, run) => perStep(context, run, (directory) => engine.build(directory)),
  },
  {
    name: 'run-overhead-rootless',
    title: 'the same, by an ordinary user',
    images: [],
    target: 0.04,
    unavailable: whyNotRootless,
    without: { BuildKit: 'measured as root only', Docker: AS_ROOT, buildah: AS_ROOT },
    prepare: () => {},
    before: async (context, _engine, run) => {
      if (run > 0) return;
      user = await ordinaryUser();
      await perStep(context, -1, user.build);
    },
    run: (context, _engine, run) => perStep(context, run, user!.build),
    after: async () => {
      await user?.[Symbol.asyncDispose]();
      user = undefined;
    },
  },
];
