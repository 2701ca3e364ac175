import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { digestOf } from '../../base/digest.ts';
import type { WantedForm } from '../packer.ts';
import type { LayerJobs } from './jobs.ts';

const tarOf = (files: string) =>
  execFileSync('tar', ['-c', '--sort=name', '--mtime=@0', '--numeric-owner', '-C', files, ...readdirSync(files).sort()], {
    maxBuffer: 1 << 30,
  });
const infoOf = (files: string) => {
  const tar = readdirSync(files).length === 0 ? Buffer.alloc(1024) : tarOf(files);
  return { tar, info: { diffId: digestOf(tar), tarSize: tar.length, empty: readdirSync(files).length === 0 } };
};
const encode = (tar: Buffer, wanted: WantedForm) =>
  wanted.compression === 'gzip'
    ? gzipSync(tar, { level: wanted.level ?? 6 })
    : wanted.compression === 'zstd'
      ? zstdCompressSync(tar)
      : tar;

export const systemJobs: LayerJobs = {
  describe: async (files) => infoOf(files).info,
  async unpack({ blob, files }) {
    let tar = readFileSync(blob);
    if (tar[0] === 0x1f) tar = gunzipSync(tar);
    writeFileSync(`${files}.tar`, tar);
    execFileSync('tar', ['-x', '-p', '-f', `${files}.tar`, '-C', files]);
    return { diffId: digestOf(tar), tarSize: statSync(`${files}.tar`).size, empty: false };
  },
  async pack(files, to, wanted) {
    const { tar, info } = infoOf(files);
    const bytes = encode(tar, wanted);
    writeFileSync(to, bytes);
    return { info, digest: digestOf(bytes), size: bytes.length };
  },
  async convert(blob, _mediaType, to, wanted) {
    let tar = readFileSync(blob);
    if (tar[0] === 0x1f) tar = gunzipSync(tar);
    const bytes = encode(tar, wanted);
    writeFileSync(to, bytes);
    return { info: { diffId: digestOf(tar), tarSize: tar.length, empty: false }, digest: digestOf(bytes), size: bytes.length };
  },
  variant: (wanted) => `system-${wanted.level ?? 'default'}`,
  sync: async () => undefined,
};
