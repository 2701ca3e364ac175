/**
 * Three builds that are slow for a reason which the page tells, for its screenshots and its test.
 * Each is made of a directory of files, and may be built more than once: what changes between is in
 * `edits`.
 */
export interface SlowBuild {
  readonly name: string;
  /** What somebody who opens the page is to find. */
  readonly reason: string;
  readonly files: Readonly<Record<string, string>>;
  /** Files that are written before it is built again. */
  readonly edit?: Readonly<Record<string, string>>;
}

/** How long the slow steps take, in seconds. */
export interface SlowBuildTimes {
  readonly install: number;
  readonly assets: number;
}

export function slowBuilds({ install, assets }: SlowBuildTimes): readonly SlowBuild[] {
  const pause = `node -e 'setTimeout(() => console.log("added 412 packages"), ${install * 1000})'`;
  return [
    {
      name: 'shop',
      reason: 'COPY . . stands above npm ci, so each change of a file installs everything again',
      files: {
        Dockerfile: [
          'FROM node:24',
          'WORKDIR /app',
          'COPY . .',
          'RUN npm ci --foreground-scripts',
          'RUN node build.js',
          'CMD ["node", "server.js"]',
          '',
        ].join('\n'),
        'package.json': JSON.stringify({
          name: 'shop',
          version: '1.0.0',
          scripts: { postinstall: pause },
        }),
        'package-lock.json': JSON.stringify({
          name: 'shop',
          version: '1.0.0',
          lockfileVersion: 3,
          packages: { '': { name: 'shop', version: '1.0.0', hasInstallScript: true } },
        }),
        'build.js': 'console.log("\\u001b[32mbuilt\\u001b[0m 12 pages");\n',
        'server.js': 'console.log("shop");\n',
      },
      edit: { 'server.js': 'console.log("shop, with a sale");\n' },
    },
    {
      name: 'site',
      reason: 'the stage of the assets decides how long all takes, as the result waits for it',
      files: {
        Dockerfile: [
          'FROM busybox AS binary',
          'RUN sleep 1 && echo binary > /site',
          'FROM busybox AS assets',
          'RUN echo images > /list',
          `RUN for n in 1 2 3 4 5; do echo "image $n of 5"; sleep ${assets / 5}; done`,
          'FROM busybox AS docs',
          'RUN sleep 2 && echo docs > /docs',
          'FROM busybox',
          'COPY --from=binary /site /site',
          'COPY --from=docs /docs /docs',
          'COPY --from=assets /list /list',
          'RUN echo done',
          '',
        ].join('\n'),
      },
    },
    {
      name: 'reports',
      reason: 'a layer holds an archive that the next one removes: it is sent all the same',
      files: {
        Dockerfile: [
          'FROM busybox',
          'COPY . /src',
          'RUN head -c 40000000 /dev/urandom > /tmp/archive && echo unpacked > /data',
          'RUN rm /tmp/archive',
          'RUN cat /data',
          '',
        ].join('\n'),
        'report.txt': 'report\n',
      },
    },
  ];
}
