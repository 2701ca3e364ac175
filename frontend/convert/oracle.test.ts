import fs from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { asDigest } from '../../base/digest.ts';
import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatformInFull, parsePlatform } from '../../base/platform.ts';
import { redactUrl } from '../../base/redact.ts';
import { formatReference, parseReference } from '../../base/reference.ts';
import { definitionJson, type JsonVertex } from '../../solver/llb/definition.ts';
import type { FrontendRequest, FrontendResult, NamedContext } from '../frontend.ts';
import { PLAIN_GRAPH } from '../graph-options.ts';
import { parseDockerfile } from '../parse.ts';
import { convertDockerfile } from './convert.ts';
import { gitRefOf } from './gitref.ts';
import { parseSize } from './parse-size.ts';
import type { OracleOptions } from './testdata/cases.ts';

/*
 * The results of Docker 28.5's BuildKit for each case, frozen by scripts/oracle-llb.ts: every op
 * with its digest, and the image config.
 */

interface Golden {
  readonly name: string;
  readonly dockerfile: string;
  readonly options: OracleOptions;
  readonly images: Readonly<
    Record<string, { readonly digest: string; readonly config: ImageConfig }>
  >;
  readonly session: string;
  readonly targets: readonly {
    readonly platform: string;
    readonly config: unknown;
    readonly result?: string;
    readonly ops: readonly JsonVertex[];
  }[];
}

const AMD64 = { os: 'linux', architecture: 'amd64' };

function contextOf(name: string, value: string): NamedContext {
  if (value === 'local') return { kind: 'local', name, ignore: [] };
  if (value.startsWith('docker-image://')) {
    const ref = value.slice('docker-image://'.length);
    return { kind: 'image', ref, reference: parseReference(ref) };
  }
  const git = gitRefOf(value);
  return git ? { kind: 'git', url: value, git } : { kind: 'http', url: value };
}

function request({ dockerfile, options, images, session }: Golden): FrontendRequest {
  const { SOURCE_DATE_EPOCH: epoch } = options.buildArgs ?? {};
  const contexts = Object.entries(options.contexts ?? {}).map(
    ([name, value]) => [name, contextOf(name, value)] as const,
  );
  return {
    ...PLAIN_GRAPH,
    dockerfile: { name: 'Dockerfile', text: dockerfile },
    target: options.target,
    buildArgs: new Map(Object.entries(options.buildArgs ?? {})),
    labels: new Map(Object.entries(options.labels ?? {})),
    platforms: (options.platforms ?? []).map((platform) => parsePlatform(platform, AMD64)),
    buildPlatform: AMD64,
    noCache: options.noCache ?? PLAIN_GRAPH.noCache,
    pull: options.pull ?? PLAIN_GRAPH.pull,
    network: options.network ?? PLAIN_GRAPH.network,
    extraHosts: (options.addHosts ?? []).map((entry) => ({
      host: entry.slice(0, entry.indexOf(':')),
      ip: entry.slice(entry.indexOf(':') + 1),
    })),
    shmSize: parseSize(options.shmSize ?? '0') ?? 0,
    ulimits: (options.ulimits ?? []).map((entry) => {
      const [name = '', soft = '', hard = soft] = entry.split(/[=:]/);
      return { name, soft: Number(soft), hard: Number(hard) };
    }),
    cgroupParent: options.cgroupParent ?? PLAIN_GRAPH.cgroupParent,
    namedContexts: new Map(contexts),
    mainContext: {
      kind: 'local',
      sessionId: session,
      sharedKeyHint: 'context',
      ignore: options.ignore ?? [],
    },
    resolveImage: async (ref) => {
      const name = formatReference(parseReference(ref));
      const found = images[name];
      if (!found) throw new Error(`${name} is not among the images of the case`);
      return { name, digest: asDigest(found.digest), config: found.config, local: true };
    },
    epoch: epoch === undefined ? undefined : Number(epoch),
    signal: new AbortController().signal,
  };
}

/**
 * BuildKit's ids of progress groups are random. They are numbered here in the order in which they
 * occur.
 */
function withNumberedGroups(ops: readonly JsonVertex[]): readonly JsonVertex[] {
  const ids: string[] = [];
  return ops.map((op) => {
    const group = op.metadata.progressGroup;
    if (!group) return op;
    if (!ids.includes(group.id)) ids.push(group.id);
    return {
      ...op,
      metadata: { ...op.metadata, progressGroup: { ...group, id: String(ids.indexOf(group.id)) } },
    };
  });
}

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
};

/** Kiln shows no login of a URL in names of steps and history. */
function withoutLogins(value: unknown): unknown {
  const shown = ['created_by', 'llb.customname', 'com.docker.dockerfile.v1.command'];
  return JSON.parse(JSON.stringify(value), (key, item) =>
    shown.includes(key) ? redactUrl(item) : item,
  );
}

function check(golden: Golden, result: FrontendResult): void {
  assert.is(result.targets.length, golden.targets.length);
  for (const theirs of golden.targets) {
    const ours = result.targets.find(
      (target) =>
        theirs.platform === '' || formatPlatformInFull(target.platform) === theirs.platform,
    );
    assert.ok(ours, `a result for ${theirs.platform}`);
    assert.equal(
      sorted(withNumberedGroups(definitionJson(ours.edge))),
      sorted(withoutLogins(withNumberedGroups(theirs.ops))),
      'ops',
    );
    assert.is(ours.edge && `${ours.edge.vertex.digest}:${ours.edge.output}`, theirs.result);
    assert.equal(
      sorted(JSON.parse(JSON.stringify(ours.config))),
      sorted(withoutLogins(theirs.config)),
      'config',
    );
  }
}

const dir = path.join(import.meta.dirname, 'testdata');
const goldens = fs.readdirSync(dir).filter((file) => file.endsWith('.golden'));
for (const file of goldens) {
  const golden: Golden = JSON.parse(fs.readFileSync(path.join(dir, file), 'utf8'));
  test(`${golden.name}: the graph and the config are those of BuildKit`, async () => {
    const asked = request(golden);
    check(golden, await convertDockerfile(asked, parseDockerfile(asked.dockerfile)));
  });
}

test('there are cases', () => {
  assert.ok(goldens.length >= 25);
});

test.run();
