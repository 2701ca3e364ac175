import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, CaseContext } from '../case.ts';
import { TAG } from '../debian.ts';
import { type Run, timed } from '../engines.ts';

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
    'FROM busybox\n' +
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

const debian = (context: CaseContext) => `${context.registry}/debian:${TAG}`;

/**
 * The floor of a pull: unpacks the layers of the Debian image with tar, on the disk of the store.
 * They are downloaded before the time is measured.
 */
async function unpackedByTar(context: CaseContext): Promise<Run> {
  const base = `http://${context.registry}/v2/debian`;
  const accept = { headers: { accept: 'application/vnd.oci.image.manifest.v1+json' } };
  const manifest = (await (await fetch(`${base}/manifests/${TAG}`, accept)).json()) as {
    layers: { digest: string }[];
  };
  const files = await Promise.all(
    manifest.layers.map(async ({ digest }, index) => {
      const path = join(context.directory, `layer-${index}.tar.gz`);
      writeFileSync(
        path,
        Buffer.from(await (await fetch(`${base}/blobs/${digest}`)).arrayBuffer()),
      );
      return path;
    }),
  );
  const target = join(context.store, 'floor');
  mkdirSync(target, { recursive: true });
  try {
    const script =
      'target=$1; shift; for layer in "$@"; do zcat "$layer" | tar -x -C "$target"; done';
    return await timed(['sh', '-c', script, 'sh', target, ...files], context.directory);
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

export const byteCases: readonly Case[] = [
  {
    name: 'gigabyte-run',
    title: 'RUN writes 1 GB, no export',
    images: ['busybox'],
    prepare: () => {},
    before: async (context, _engine, run) => gigabyte(context, run),
    run: (context, engine) => engine.build(context.directory),
  },
  {
    name: 'gigabyte-archive',
    title:
      'the same, cached, exported as gzip OCI archive (Docker compressed it in the row ' +
      'above already)',
    images: ['busybox'],
    target: 12,
    prepare: () => {},
    before: async (context, engine, run) => {
      rmSync(join(context.directory, 'out.tar'), { force: true });
      gigabyte(context, run);
      // The step runs before the measurement, which is about everything except the RUN.
      await engine.build(context.directory);
    },
    run: (context, engine) => engine.build(context.directory, { archive: 'out.tar' }),
  },
  {
    name: 'gigabyte-push',
    title:
      'the same, cached, pushed with gzip to a registry on this machine (Docker compressed ' +
      'it beforehand)',
    images: ['busybox'],
    target: 12,
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
    prepare: (context) =>
      writeFileSync(
        join(context.directory, 'Dockerfile'),
        `FROM busybox\nRUN echo ${context.nonce(0)} > /made\n`,
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
        'FROM --platform=$BUILDPLATFORM busybox AS made\n' +
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
  {
    name: 'pull-image',
    title: 'pull and unpack of the Debian image; the floor is `zcat` into `tar -x`',
    images: [],
    target: { floors: 1.2 },
    unavailable,
    prepare: () => {},
    before: (context, engine) => engine.forget(context.directory, debian(context)),
    run: (context, engine) => engine.pull(context.directory, debian(context)),
    floor: unpackedByTar,
  },
  {
    name: 'pull-and-run',
    title: 'pull and unpack of the Debian image, and one RUN',
    images: [],
    unavailable,
    prepare: () => {},
    before: async (context, engine, run) => {
      writeFileSync(
        join(context.directory, 'Dockerfile'),
        `FROM ${debian(context)}\nRUN true ${context.nonce(run)}\n`,
      );
      await engine.forget(context.directory, debian(context));
    },
    run: (context, engine) => engine.build(context.directory),
  },
];
