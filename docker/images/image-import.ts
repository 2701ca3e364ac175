import { createWriteStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { KilnError } from '../../base/errors.ts';
import { build } from '../../builder/build.ts';
import { buildRequest } from '../../builder/request.ts';
import { parseOutput } from '../../exporter/output-spec.ts';
import { lentDirectory } from '../build/lent-directories.ts';
import type { DockerHost } from '../docker-host.ts';
import { streaming } from '../http/answers.ts';
import type { DockerRequest } from '../http/docker-request.ts';
import { FreeSpace } from '../http/free-space.ts';
import { platformParameter } from '../http/platform-parameter.ts';
import { joinedName } from './image-about.ts';

/** The instructions that `changes` may have: those that change the config. */
const CHANGES = new RegExp(
  '^\\s*(CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|STOPSIGNAL|USER|VOLUME|' +
    'WORKDIR)\\s',
  'i',
);

/**
 * `POST /images/create?fromSrc=-`: makes an image of one layer of the archive in the request, or of
 * the one at the URL `fromSrc`. `changes` are instructions of a Dockerfile.
 */
export async function importImage(
  { engine, events }: DockerHost,
  { query, body, signal }: DockerRequest,
  response: ServerResponse,
): Promise<void> {
  const from = query.get('fromSrc') ?? '-';
  const changes = query.getAll('changes').flatMap((text) => text.split('\n'));
  const wrong = changes.find((line) => line.trim() !== '' && !CHANGES.test(line));
  if (wrong !== undefined)
    throw new KilnError(
      'KILN_REQUEST_INVALID',
      `${JSON.stringify(wrong)} is not a valid change of an imported image`,
      { exitCode: 2 },
    );
  const repo = query.get('repo') ?? '';
  const names = repo === '' ? [] : [joinedName(repo, query.get('tag') ?? '')];
  const path = engine.store.scratchPath('import');
  mkdirSync(path, { mode: 0o700 });
  try {
    if (from === '-') {
      const space = new FreeSpace(path, 'the archive that the client sends');
      const layer = createWriteStream(join(path, 'layer'), { mode: 0o600 });
      await pipeline(space.of(body), layer, { signal });
    } else checkUrl(from);
    const source = from === '-' ? 'layer' : from;
    writeFileSync(
      join(path, 'Dockerfile'),
      `FROM scratch\nADD --unpack=true ${JSON.stringify([source, '/'])}\n${changes.join('\n')}\n`,
    );
    const platform = platformParameter(query.get('platform'));
    await streaming(response, async (stream) => {
      const { response: made } = await build(
        engine,
        buildRequest({
          outputs: [parseOutput(new Map([['type', 'image']]), names)],
          ...(platform && { platforms: [platform] }),
        }),
        lentDirectory(path, ['context'], async () => undefined),
        () => {},
        signal,
        { door: 'docker' },
      );
      const id = String(made['containerimage.digest']);
      stream.write({ status: id });
      events.add({ action: 'import', id, name: names[0] ?? id });
    });
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function checkUrl(text: string): void {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return;
  throw new KilnError(
    'KILN_REQUEST_INVALID',
    `fromSrc is neither - nor a URL: ${JSON.stringify(text)}`,
    {
      exitCode: 2,
    },
  );
}
