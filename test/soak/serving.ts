import * as assert from 'uvu/assert';
import { type Held, heldBy, megabytesOf, moreThan, settled } from '../held.ts';
import { ServeRig } from '../serve-rig.ts';
import { createRandom } from './random.ts';

export interface ServingOptions {
  /** How many builds there are after the first ones. */
  readonly builds: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

/** What a server held at rest, and how much memory, in MB. */
export interface Served {
  readonly idle: number;
  readonly early: number;
  readonly late: number;
  readonly before: Held;
  readonly after: Held;
}

/** After so many builds a server has all threads and descriptors that it ever needs. */
const FIRST = 10;

const DOCKERFILE = `
FROM busybox AS a
COPY . /c
RUN --mount=type=cache,target=/cc sha256sum /c/changing | tee /sum
FROM busybox
COPY --from=a /sum /c/changing /
RUN --mount=type=secret,id=s cat /changing
`;

/**
 * Builds again and again at one server by docker buildx: cached and changed contexts, outputs to
 * the client, secrets, steps that fail, questions, and clients that are killed while a step runs.
 * A server at rest must hold no descriptor, mount, group, thread or file more after the last build
 * than after the first ones.
 */
export async function buildManyServed({ builds, seed, log }: ServingOptions): Promise<Served> {
  const random = createRandom(seed);
  await using serve = await ServeRig.create('busybox');
  const { rig, pid } = serve;
  const files = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`f${at}`, `${at}`]));
  rig.write('c', { Dockerfile: DOCKERFILE, changing: '', ...files });
  rig.write('.', { secret: 'word' });
  const one = async (number: number) => {
    const kind = number % 10;
    if (kind % 3 === 0) rig.write('c', { changing: `${seed} ${random.below(1e9)}` });
    if (kind === 8)
      await serve.build(['-f', '-', 'c'], { stdin: 'FROM busybox\nRUN exit 3\n', expect: 1 });
    else if (kind === 7) await serve.buildx(['build', '--call', 'outline', 'c']);
    else if (kind === 5) await killed(serve, `${seed}.${number}`);
    else
      await serve.build([
        ...(kind === 2 ? ['-o', 'out'] : kind === 4 ? ['-o', 'type=oci,dest=out.tar'] : []),
        '--secret=id=s,src=secret',
        'c',
      ]);
  };
  await idle(serve);
  const first = megabytesOf(pid);
  for (let number = 0; number < FIRST; number++) await one(number);
  const before = await idle(serve);
  const early = megabytesOf(pid);
  log?.(`idle ${first.toFixed()} MB, after ${FIRST} builds ${early.toFixed()} MB`);
  for (let number = 0; number < builds; number++) {
    await one(number);
    if (number % 100 === 99) log?.(`${number + 1} builds: ${megabytesOf(pid).toFixed()} MB`);
  }
  const left = await settled(() => moreThan(before, heldBy(pid, rig.store)));
  const after = await idle(serve);
  assert.is(left, undefined, `seed ${seed}: ${left}`);
  assert.is(serve.printed.split('\n').filter(Boolean).length, 1, serve.printed);
  const late = megabytesOf(pid);
  log?.(`after ${FIRST + builds} builds ${late.toFixed()} MB`);
  await rig.kiln(['fsck'], { expect: 0 });
  return { idle: first, early, late, before, after };
}

/** A client that is killed while its step runs. */
async function killed(serve: ServeRig, mark: string): Promise<void> {
  const ran = await serve.buildx(['build', '--progress=plain', '-f', '-', 'c'], {
    stdin: `FROM busybox\nRUN echo up; : ${mark}; sleep 1000\n`,
    expect: undefined,
    watch: (output, kill) => {
      if (/^#\d+ [\d.]+ up$/m.test(output)) kill('SIGKILL');
    },
  });
  assert.is(ran.signal, 'SIGKILL', ran.stderr);
}

/** Waits until nothing runs and the server has given memory back. Answers what it holds. */
async function idle({ pid, rig }: ServeRig): Promise<Held> {
  let last = '';
  let same = 0;
  let held = heldBy(pid, rig.store);
  await settled(() => {
    held = heldBy(pid, rig.store);
    const now = JSON.stringify([held, Math.round(megabytesOf(pid))]);
    same = now === last && held.children.length === 0 ? same + 1 : 0;
    last = now;
    return same >= 30 ? undefined : 'the server is not at rest';
  });
  return held;
}
