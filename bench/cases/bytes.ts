import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Case, CaseContext, Floor } from '../case.ts';
import { unpacked } from '../floors.ts';

/**
 * Writes a Dockerfile whose step makes a file of 1 GB: random text by busybox's awk, different in
 * each run. gzip -6 compresses it to about 43 %.
 */
function gigabyte(context: CaseContext, run: number): void {
  const script = [
    'BEGIN {',
    '  srand(42)',
    '  for (i = 0; i < 2048; i++) { s = ""; for (j = 0; j < 10; j++) s = s sprintf("%c", 97 ' +
      '+ int(rand() * 26)); word[i] = s }',
    '  for (n = 0; n < 60000; n++) { l = ""; for (j = 0; j < 12; j++) l = l word[int(rand() ' +
      '* 2048)] " " sprintf("%d ", rand() * 10000); print l }',
    '}',
  ].join('\n');
  writeFileSync(join(context.directory, 'data.awk'), `${script}\n`);
  writeFileSync(
    join(context.directory, 'Dockerfile'),
    `FROM ${context.base('busybox')}\n` +
      'COPY data.awk /\n' +
      'RUN awk -f /data.awk > /part && while [ $(stat -c %s /part) -lt 1000000000 ]; do cat ' +
      `/part >> /big-${context.nonce(run)}; [ $(stat -c %s /big-${context.nonce(run)}) -ge ` +
      '1000000000 ] && break; done; rm /part\n',
  );
}

const unavailable = (context: CaseContext) =>
  context.registry ? undefined : 'no docker-registry program';

/** A repository that no other engine or session uses. */
const pushed = (context: CaseContext) => `${context.registry}/bench/${context.nonce(0)}:1`;

/** The file that a step wrote, for floors. */
const bigFile = (context: CaseContext) => join(context.disk, 'big');

/** A file of 1 GB like the step's, packed. It is made once, and not in the timed part. */
const packed = (command: string): Floor => ({
  title: `\`tar -c | ${command}\``,
  script(context) {
    const path = bigFile(context);
    if (!existsSync(path)) {
      gigabyte(context, 0);
      execFileSync('sh', ['-c', MAKE_BIG, 'sh', context.directory, path]);
    }
    return `tar -c -C "${dirname(path)}" big | ${command} >"$SCRATCH/layer"`;
  },
});

const MAKE_BIG = `awk -f "$1/data.awk" >"$2.part" && : >"$2" &&
  while [ $(stat -c %s "$2") -lt 1000000000 ]; do cat "$2.part" >>"$2"; done; rm "$2.part"`;

const TOO_LONG = 'left out, because it takes minutes';
const NOT_BY_BUILDAH = { buildah: TOO_LONG };

function archived(compression: 'gzip' | 'zstd', target: number, command: string): Case {
  const isGzip = compression === 'gzip';
  return {
    name: `gigabyte-${isGzip ? 'archive' : compression}`,
    title: `the same, cached, exported as ${compression} OCI archive`,
    images: ['busybox'],
    target,
    // Docker compresses with gzip when it makes the image, and does it once more for an archive.
    without: { ...NOT_BY_BUILDAH, ...(!isGzip && { Docker: TOO_LONG }) },
    floor: packed(command),
    prepare: () => {},
    before: async (context, engine, run) => {
      rmSync(join(context.directory, 'out.tar'), { force: true });
      gigabyte(context, run);
      // The step runs before the measurement, which is about everything except the RUN.
      await engine.build(context.directory);
    },
    run: (context, engine) =>
      engine.build(context.directory, {
        archive: isGzip ? 'out.tar' : 'out.tar,compression=zstd',
      }),
  };
}

function pullCase(image: string, title: string, withStep: boolean): Case {
  const name = image === 'debian' ? '' : `-${image}`;
  return {
    name: withStep ? `pull${name}-and-run` : `pull-image${name}`,
    title: withStep ? `pull ${title}, one RUN` : `pull ${title}`,
    images: [],
    pulls: [image],
    places: withStep ? ['registry', 'token', 'latency'] : ['registry'],
    target: { floors: 1.2 },
    memoryGoal: 150,
    ...(!withStep && { without: { BuildKit: 'it pulls only what a build needs' } }),
    prepare: () => {},
    before: async (context, engine, run) => {
      writeFileSync(
        join(context.directory, 'Dockerfile'),
        `FROM ${context.base(image)}\nRUN true ${context.nonce(run)}\n`,
      );
      await engine.forget(context.directory, context.names(image));
    },
    run: (context, engine) =>
      withStep
        ? engine.build(context.directory)
        : engine.pull(context.directory, context.base(image)),
    floor: unpacked(image, withStep),
  };
}

export const pullCases: readonly Case[] = [
  pullCase('debian', 'the Debian image', false),
  pullCase('debian', 'the Debian image', true),
  pullCase('node', 'the Node image', true),
];

export const byteCases: readonly Case[] = [
  {
    name: 'gigabyte-run',
    title: 'RUN writes 1 GB, no export',
    images: ['busybox'],
    without: NOT_BY_BUILDAH,
    prepare: () => {},
    before: async (context, _engine, run) => gigabyte(context, run),
    run: (context, engine) => engine.build(context.directory),
  },
  archived('gzip', 8, 'gzip -6'),
  archived('zstd', 3.4, 'zstd -q -3'),
  {
    name: 'gigabyte-push',
    title: 'the same, cached, pushed with gzip',
    images: ['busybox'],
    target: 8,
    without: { ...NOT_BY_BUILDAH, Docker: 'it compressed the layer when it made the image' },
    unavailable,
    prepare: () => {},
    before: async (context, engine, run) => {
      gigabyte(context, run);
      await engine.build(context.directory);
    },
    run: (context, engine, run) =>
      engine.build(context.directory, {
        push: `${context.registry}/bench/${context.nonce(run)}:1`,
      }),
  },
  {
    name: 'unchanged-push',
    title: 'push of an unchanged image',
    images: ['busybox'],
    target: 0.3,
    unavailable,
    floor: {
      title: 'one HEAD by curl',
      script: ({ registry }) => registry && `curl -sI -o /dev/null http://${registry}/v2/`,
    },
    prepare: (context) =>
      writeFileSync(
        join(context.directory, 'Dockerfile'),
        `FROM ${context.base('busybox')}\nRUN echo ${context.nonce(0)} > /made\n`,
      ),
    before: async (context, engine) =>
      void (await engine.build(context.directory, { push: pushed(context) })),
    run: (context, engine) => engine.build(context.directory, { push: pushed(context) }),
  },
  {
    name: 'platforms-push',
    title: 'two platforms with a RUN each, cached, pushed',
    images: ['busybox'],
    target: 0.5,
    unavailable,
    prepare: (context) =>
      writeFileSync(
        join(context.directory, 'Dockerfile'),
        `FROM --platform=$BUILDPLATFORM ${context.base('busybox')} AS made\n` +
          'ARG TARGETARCH\n' +
          `RUN echo ${context.nonce(0)} $TARGETARCH > /made\n` +
          'FROM scratch\n' +
          'COPY --from=made /made /\n',
      ),
    before: async (context, engine) =>
      void (await engine.build(context.directory, {
        push: pushed(context),
        platforms: 'linux/amd64,linux/arm64',
      })),
    run: (context, engine) =>
      engine.build(context.directory, {
        push: pushed(context),
        platforms: 'linux/amd64,linux/arm64',
      }),
  },
];
