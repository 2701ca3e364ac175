import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The name of a base image whose config has triggers, and fields that no engine knows. */
export const ODD = 'kiln-golden-odd';

/** Fields of that config that no Dockerfile can set. Docker's frontend ignores and loses them. */
export const UNKNOWN_FIELDS = { 'x-vendor.root': { keep: ['me', 1] } };
export const UNKNOWN_CONFIG = {
  Hostname: 'old',
  Domainname: 'example',
  AttachStdout: true,
  Tty: true,
  OpenStdin: true,
  MacAddress: '02:42',
  NetworkDisabled: true,
  StopTimeout: 7,
  Memory: 5,
  'x-vendor.config': { deep: true },
};
const KNOWN_CONFIG = {
  Healthcheck: { Test: ['CMD', 'x'], Interval: 5_000_000_000, Retries: 2 },
  OnBuild: ['ENV TRIGGERED=1', 'RUN echo fired > /fired'],
  Labels: { from: 'base', shared: 'base' },
  ExposedPorts: { '1/tcp': {} },
  Volumes: { '/v': {} },
  User: '0:5',
  StopSignal: 'SIGINT',
};

interface Descriptor {
  digest: string;
  size: number;
}

/**
 * Copies the image of the OCI archive `from` to another archive and adds those fields to its
 * config. `work` is the path of a directory that does not exist yet.
 */
export function writeOdd(from: string, work: string, archive: string): void {
  mkdirSync(work);
  execFileSync('tar', ['-C', work, '-xf', from]);
  const blob = (digest: string) => join(work, 'blobs', digest.replace(':', '/'));
  const read = <T>(digest: string): T => JSON.parse(readFileSync(blob(digest), 'utf8')) as T;
  const write = (descriptor: Descriptor, value: unknown): void => {
    const bytes = Buffer.from(JSON.stringify(value));
    descriptor.digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    descriptor.size = bytes.length;
    writeFileSync(blob(descriptor.digest), bytes);
  };
  const index = JSON.parse(readFileSync(join(work, 'index.json'), 'utf8')) as {
    manifests: Descriptor[];
  };
  const [top] = index.manifests;
  const manifest = read<{ config: Descriptor }>(top!.digest);
  const config = read<{ config: object }>(manifest.config.digest);
  write(manifest.config, {
    ...config,
    'os.version': '1.2',
    ...UNKNOWN_FIELDS,
    config: { ...config.config, ...KNOWN_CONFIG, ...UNKNOWN_CONFIG },
  });
  write(top!, manifest);
  writeFileSync(join(work, 'index.json'), JSON.stringify(index));
  execFileSync('tar', ['-C', work, '-cf', archive, 'blobs', 'index.json', 'oci-layout']);
}
