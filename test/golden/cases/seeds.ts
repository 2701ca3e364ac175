import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GoldenCase, lines } from '../case.ts';

const DIRECTORY = join(import.meta.dirname, '../../../frontend/testdata/seeds');
const document = (name: string) => readFileSync(join(DIRECTORY, name), 'utf8');
const printed = (name: string) => document(`${name}.Dockerfile`);

/**
 * Puts a FROM before a document that has none. A `# syntax` line of the document is then no longer
 * in the first line, so it is a comment.
 */
const fragment = (name: string, ...before: string[]) =>
  lines('FROM kiln-golden-tools', ...before) + printed(name);
/**
 * Makes the `# syntax` line of a document a comment by putting another comment before it. Docker
 * would fetch a frontend from the internet otherwise.
 */
const withoutSyntax = (name: string) => `#\n${printed(name)}`;

const tools = { base: 'tools' } as const;
const files = (...names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, `${name}\n`]));
const stands = (...names: readonly string[]) => ({ ...tools, standsInFor: names });
const APP = { 'package.json': '{}\n', 'src/index.js': 'x\n' };

/**
 * The Dockerfiles of the seed documents, as printed. Both engines use the image of
 * test/golden/tools.ts in place of bases that are not available and of tools that need a network.
 */
export const SEEDS: readonly GoldenCase[] = [
  {
    name: 'seed-A1',
    dockerfile: printed('A1'),
    files: APP,
    ...stands('node:alpine', 'nginx:alpine'),
  },
  {
    name: 'seed-A2',
    dockerfile: withoutSyntax('A2'),
    files: APP,
    ...stands('node:alpine', 'nginx:alpine'),
  },
  { name: 'seed-A3', dockerfile: fragment('A3'), ...stands('php:alpine') },
  { name: 'seed-A4', dockerfile: fragment('A4'), ...tools },
  {
    name: 'seed-A5',
    dockerfile: fragment('A5'),
    ...tools,
    outside: { secrets: { aws: '[default]\n' } },
    args: ['--secret', 'id=aws,src={secrets}/aws'],
  },
  { name: 'seed-A6', dockerfile: withoutSyntax('A6'), ...stands('alpine') },
  {
    name: 'seed-A7',
    dockerfile: printed('A7').replace('uname -a', 'uname -s'),
    ...stands('alpine'),
  },
  {
    name: 'seed-A8',
    dockerfile: printed('A8'),
    files: files('bin/dist-linux-amd64', 'bin/dist-linux-arm64', 'bin/dist-linux-arm'),
    args: ['--platform', 'linux/arm,linux/arm64,linux/amd64'],
    platforms: ['linux/arm', 'linux/arm64', 'linux/amd64'],
  },
  { name: 'seed-A9', dockerfile: fragment('A9'), files: APP, ...tools },
  {
    name: 'seed-A10',
    dockerfile: fragment('A10'),
    files: files('home.txt', 'homx.txt', 'hom', 'homey'),
    ...tools,
  },
  {
    name: 'seed-A11',
    dockerfile: fragment('A11', 'RUN echo mygroup:x:77: >> /etc/group'),
    files: files('files1', 'files2'),
    ...tools,
  },
  { name: 'seed-A12', dockerfile: printed('A12'), refused: true },
  {
    name: 'seed-A12-whole',
    dockerfile: printed('A12').replace('...\n', ''),
    files: { 'root/bin/sh': 'x', 'root/etc/hosts': 'h' },
    archives: { 'ubuntu-xenial-core-cloudimg-amd64-root.tar.gz': { of: 'root', program: 'gzip' } },
  },
  {
    name: 'seed-A13',
    dockerfile: fragment('A13', 'RUN echo mygroup:x:77: >> /etc/group'),
    files: files('files1', 'files2'),
    ...tools,
  },
  ...['A14', 'A15', 'A16', 'A20', 'A21', 'A26', 'A28', 'A29', 'A30', 'A33', 'A35', 'A36'].map(
    (name) => ({
      name: `seed-${name}`,
      dockerfile: fragment(name),
      ...tools,
    }),
  ),
  // The shell of busybox has its own wget, which would use the network.
  {
    name: 'seed-A31',
    dockerfile: fragment('A31').replace('RUN wget', 'RUN /usr/local/bin/wget'),
    ...tools,
  },
  { name: 'seed-A17', dockerfile: printed('A17'), ...stands('ubuntu:18.04') },
  { name: 'seed-A18', dockerfile: printed('A18'), ...stands('ubuntu:18.04') },
  { name: 'seed-A19', dockerfile: printed('A19'), ...stands('alpine:3.4'), refused: true },
  {
    name: 'seed-A19-whole',
    dockerfile: printed('A19')
      .replace('...\n', '')
      .replace('...\n', 'COPY --chmod=755 docker-entrypoint.sh /usr/local/bin/\n'),
    files: { 'docker-entrypoint.sh': document('A19e.docker-entrypoint.sh') },
    ...stands('alpine:3.4'),
  },
  ...['A22', 'A23', 'A24', 'A25'].map((name) => ({
    name: `seed-${name}`,
    dockerfile: printed(name),
    ...stands('library/alpine'),
  })),
  { name: 'seed-A27', dockerfile: fragment('A27', 'RUN mkdir /app'), ...tools },
  { name: 'seed-A32', dockerfile: printed('A32'), ...stands('nginx') },
  { name: 'seed-A34', dockerfile: fragment('A34'), ...tools, refused: true },
  {
    name: 'seed-A34-first',
    dockerfile: fragment('A34').replace(/RUN lll ; ls\n$/, 'RUN ls > /ls'),
    ...tools,
  },
  { name: 'seed-A37', dockerfile: printed('A37'), files: APP, ...stands('node:slim') },
  { name: 'seed-A38', dockerfile: printed('A38'), ...stands('node:slim') },
  // The images of A38 and A40 are stages in one file, so that the second one finds the first.
  {
    name: 'seed-A39',
    dockerfile: `${printed('A38').replace('node:slim', 'node:slim AS my-node')}${printed('A39')}`,
    files: APP,
    ...stands('node:slim'),
  },
  {
    name: 'seed-A40',
    dockerfile: `${printed('A40').replace('node:slim', 'node:slim AS my-node')}FROM my-node\n`,
    files: APP,
    ...stands('node:slim'),
  },
  {
    name: 'seed-A41',
    dockerfile: printed('A41'),
    file: 'Dockerfile.one',
    files: { 'app.go': document('A41g.app.go') },
    args: ['-f', '{context}/Dockerfile.one'],
    ...stands('golang:alpine'),
  },
  {
    name: 'seed-A42',
    dockerfile: printed('A42'),
    files: { 'app.go': document('A41g.app.go'), 'build.sh': document('A42s.build.sh') },
    ...stands('golang:alpine'),
  },
  {
    name: 'seed-A43',
    dockerfile: printed('A43'),
    files: files('app'),
    args: ['--no-cache'],
    ...stands('alpine:latest'),
  },
  {
    name: 'seed-A44',
    dockerfile: printed('A44'),
    files: { 'app.go': document('A41g.app.go') },
    ...stands('golang:alpine', 'alpine:latest'),
  },
  {
    name: 'seed-A44-target',
    dockerfile: printed('A44'),
    files: { 'app.go': document('A41g.app.go') },
    args: ['--target', 'builder'],
    ...stands('golang:alpine', 'alpine:latest'),
  },
  { name: 'seed-A45', dockerfile: printed('A45'), ...stands('golang:alpine') },
  { name: 'seed-A46', dockerfile: fragment('A46'), ...tools, refused: true },
  {
    name: 'seed-A46-whole',
    dockerfile: fragment('A46')
      .replace('$ COPY', 'COPY')
      .replace('/etc/nginx/nginx.conf', '/etc/nsswitch.conf'),
    ...stands('nginx:latest'),
  },
  ...[undefined, 'laravel', 'frontend'].map((target) => ({
    name: `seed-A47${target ? `-${target}` : ''}`,
    dockerfile: printed('A47'),
    files: {
      ...files(
        'package.json',
        'webpack.mix.js',
        'webpack.config.js',
        'tailwind.config.js',
        'composer.json',
        'laravel.conf',
        'artisan',
      ),
      ...files(
        'resources/js/app.js',
        'database/seeds/x.php',
        'public/index.php',
        'public/js/stale.js',
        'vendor/stale',
        'storage/stale',
      ),
      ...files('bootstrap/cache/stale.php', 'node_modules/stale', '.idea/x', 'yarn-error.log'),
      '.dockerignore': document('A47i.dockerignore'),
    },
    ...stands('node:alpine', 'composer', 'php:7.4-fpm-alpine', 'nginx:alpine'),
    ...(target && { args: ['--target', target] }),
  })),
  { name: 'seed-A48', dockerfile: printed('A48'), ...stands('alpine') },
  { name: 'seed-C1', dockerfile: printed('C1'), ...stands('alpine') },
  {
    name: 'seed-C2',
    dockerfile: printed('C2'),
    files: { 'start.sh': '#!/bin/sh\n' },
    modes: { 'start.sh': 0o755 },
    ...stands('nginx:1.26.1-alpine-3.20.0-2024-06-14'),
  },
  { name: 'seed-C3', dockerfile: printed('C3'), ...stands('base:latest', 'extras:latest') },
  { name: 'seed-C4', dockerfile: printed('C4') },
  { name: 'seed-C5', dockerfile: printed('C5'), ...stands('nginx') },
  {
    name: 'seed-C6',
    dockerfile: printed('C6'),
    files: { 'hello.go': document('C7.hello.go') },
    ...stands('golang:1.18-alpine'),
  },
  {
    name: 'seed-C7',
    dockerfile: printed('C7'),
    files: { 'hello.go': document('C7.hello.go') },
    ...stands('golang:1.18-alpine', 'alpine:3.15.0'),
  },
  {
    name: 'seed-C8',
    dockerfile: printed('C8'),
    files: { 'nginx.conf': '', 'n/configure': '' },
    archives: { 'nginx-1.26.1.tar.gz': { of: 'n', program: 'gzip' } },
    ...stands('alpine:3.20.0'),
    refused: true,
  },
  {
    name: 'seed-C9',
    dockerfile: 'FROM busybox\nCOPY . /c\n',
    files: {
      ...files('.env', 'a.pyc', 'a.pyo', '__pycache__/x', 'logs/l', '.vscode/s', 'app.py'),
      '.dockerignore': document('C9.dockerignore'),
    },
  },
  { name: 'seed-D1', dockerfile: printed('D1'), ...stands('ubuntu'), refused: true },
  { name: 'seed-D2', dockerfile: printed('D2') },
  {
    name: 'seed-D3',
    dockerfile: printed('D3'),
    files: files('server.py'),
    stdin: 'tar' as const,
    ...stands('ubuntu:12.04'),
  },
  // The two steps of 100 seconds would take too long, so they are shortened.
  { name: 'seed-D4', dockerfile: printed('D4').replaceAll('sleep 100', 'sleep 0') },
  {
    name: 'seed-D5',
    dockerfile: printed('D5'),
    files: files('websrc/index.html'),
    ...stands('tomcat:https'),
  },
  { name: 'seed-D6', dockerfile: printed('D6'), ...stands('tomcat:https') },
  {
    name: 'seed-D7',
    dockerfile: printed('D7').replace(
      'RUN cd /usr/local/tomcat/webapps',
      'RUN mkdir -p /usr/local/tomcat/webapps; cd /usr/local/tomcat/webapps',
    ),
    ...stands('tomcat:https'),
  },
];
