import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import { parseReference } from '../../base/reference.ts';
import type { LlbVertex } from '../../solver/llb/graph.ts';
import type { LlbOp } from '../../solver/llb/ops.ts';
import { topological } from '../../solver/llb/walk.ts';
import type { FrontendRequest, TargetResult } from '../frontend.ts';
import { parseDockerfile } from '../parse.ts';
import { requestOf } from '../testing/request.ts';
import { convertDockerfile } from './convert.ts';

/*
 * Cases for which the oracle has no answer: which images are resolved, errors, and features that
 * Docker 28 lacks.
 */

const AMD64 = { os: 'linux', architecture: 'amd64' };
const LAYER = { type: 'layers' as const, diff_ids: [digestOf('layer')] };

interface Ask {
  readonly images?: Readonly<Record<string, Partial<ImageConfig>>>;
  readonly request?: Partial<FrontendRequest>;
  /** Collects the references that were resolved. */
  readonly asked?: string[];
}

function convert(text: string, { images, request, asked }: Ask = {}) {
  const whole = requestOf(text, {
    resolveImage: async (ref, platform) => {
      asked?.push(ref);
      if (images && !images[ref])
        throw new KilnError('KILN_IMAGE_NOT_FOUND', `there is no image ${ref}`);
      const config = {
        architecture: platform.architecture,
        os: platform.os,
        rootfs: LAYER,
        ...images?.[ref],
      };
      return { name: ref, digest: digestOf(ref) as Digest, config, local: true };
    },
    ...request,
  });
  return convertDockerfile(whole, parseDockerfile(whole.dockerfile));
}

async function only(text: string, ask: Ask = {}): Promise<TargetResult> {
  const { targets } = await convert(text, ask);
  assert.is(targets.length, 1);
  return targets[0] as TargetResult;
}

const vertices = ({ edge }: TargetResult): LlbVertex[] => (edge ? topological(edge) : []);
const named = (target: TargetResult, name: string): LlbVertex => {
  const found = vertices(target).find((v) => v.metadata.description['llb.customname'] === name);
  if (!found) throw new Error(`there is no vertex ${name}`);
  return found;
};
const last = <K extends LlbOp['kind']>(
  target: TargetResult,
  kind: K,
): Extract<LlbOp, { kind: K }> => {
  const op = target.edge?.vertex.op;
  assert.is(op?.kind, kind);
  return op as Extract<LlbOp, { kind: K }>;
};

async function refuses(
  text: string,
  code: string,
  message: RegExp,
  ask: Ask & { readonly line?: number } = {},
): Promise<void> {
  try {
    await convert(text, ask);
  } catch (error) {
    assert.instance(error, KilnError);
    assert.is((error as KilnError).code, code);
    assert.match((error as KilnError).message, message);
    const { place } = error as KilnError;
    if (ask.line !== undefined) assert.is(place?.kind === 'source' && place.start.line, ask.line);
    return;
  }
  assert.unreachable('it was accepted');
}

test('the base of a stage that is not needed is not resolved', async () => {
  const asked: string[] = [];
  await convert(
    'FROM unused AS a\nRUN x\nFROM needed AS b\nFROM other AS c\nCOPY --from=a /x /x\nFROM b\n',
    { asked },
  );
  assert.equal(asked, ['needed']);
  asked.length = 0;
  await convert('FROM one AS a\nFROM two AS b\nCOPY --from=three /x /x\nFROM four\n', {
    asked,
    request: { target: 'b' },
  });
  assert.equal(asked.sort(), ['three', 'two']);
});

test('a stage that is not needed may have mistakes that only its base would show', async () => {
  await only('FROM a AS broken\nCOPY --from=later /x /x\nFROM scratch\nCOPY a /\n');
});

test('the error about an unknown target lists the stages', async () => {
  const text = 'FROM a AS build\nFROM b AS final\n';
  await refuses(
    text,
    'KILN_TARGET_NOT_FOUND',
    /target stage "biuld" could not be found \(did you mean build\?\)/,
    {
      request: { target: 'biuld' },
    },
  );
});

test('the error about a missing image suggests a stage', async () => {
  const ask = { images: { base: {} }, line: 3 };
  await refuses(
    'FROM base AS builder\nRUN x\nFROM bilder\n',
    'KILN_IMAGE_NOT_FOUND',
    /did you mean builder\?/,
    ask,
  );
  await refuses('FROM base\nRUN x\nCOPY --from=nope /a /a\n', 'KILN_IMAGE_NOT_FOUND', /nope/, ask);
});

test('stages that read each other in a circle, or from below, are refused at a line', async () => {
  await refuses(
    'FROM a AS x\nCOPY --from=y / /\nFROM a AS y\nCOPY --from=x / /\n',
    'KILN_STAGE_CYCLE',
    /x depends on itself: x reads y reads x/,
    {
      line: 2,
    },
  );
  await refuses(
    'FROM a AS x\nCOPY --from=1 / /\nFROM a AS y\nFROM x\n',
    'KILN_STAGE_ORDER',
    /comes after/,
    { line: 2 },
  );
  await refuses(
    'FROM a AS x\nRUN --mount=from=z,target=/z ls\nFROM a AS z\nRUN a\nFROM x\n',
    'KILN_RUN_MOUNT',
    /stage z comes after/,
    { line: 2 },
  );
  await refuses('FROM a\nCOPY --from=7 / /\n', 'KILN_STAGE_INDEX', /no stage number 7/, {
    line: 2,
  });
});

test('a base that is empty, invalid, or lacks a required ARG is refused at its FROM', async () => {
  await refuses('ARG B\nFROM $B\n', 'KILN_STAGE_BASE', /expands to nothing/, { line: 2 });
  await refuses('FROM Upper\n', 'KILN_IMAGE_NAME', /not an image name/, { line: 1 });
  await refuses('ARG B\nFROM ${B:?needed}\n', 'KILN_DOCKERFILE_VARIABLE_REQUIRED', /B: needed/, {
    line: 2,
  });
  await refuses('FROM a\nENV X=${Y:?none}\n', 'KILN_DOCKERFILE_VARIABLE_REQUIRED', /Y: none/, {
    line: 2,
  });
  await refuses('FROM --platform=nonsense/a/b/c a\n', 'KILN_PLATFORM_INVALID', /not a platform/, {
    line: 1,
  });
});

test('a mistake in an instruction is refused at its line', async () => {
  const after = (line: string) => `FROM a\nRUN x\n${line}\n`;
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['COPY --chmod=9 a /', 'KILN_CHMOD', /octal/],
    ['COPY --chmod=17777 a /', 'KILN_CHMOD', /invalid chmod parameter: '17777'/],
    ['COPY --chmod=z+x a /', 'KILN_CHMOD', /invalid chmod parameter: 'z\+x'/],
    ['COPY http://h/x /', 'KILN_COPY_SOURCE', /cannot fetch a URL/],
    ['COPY https://h/x.git /', 'KILN_COPY_SOURCE', /git/],
    ['ADD --checksum=sha256:00 http://h/x /', 'KILN_ADD_CHECKSUM', /not a digest/],
    ['ADD --checksum=sha256:00 a /', 'KILN_ADD_CHECKSUM', /fetched/],
    ['ADD --checksum=sha256:00 http://h/a http://h/b /', 'KILN_ADD_CHECKSUM', /one source/],
    ['ADD https://h/x.git?colour=red /', 'KILN_ADD_GIT', /colour is not known/],
    ['ADD https://h/x.git?tag=a&branch=b /', 'KILN_ADD_GIT', /a tag and a branch/],
    ['EXPOSE 70000', 'KILN_EXPOSE', /not a port/],
    ['EXPOSE 5/icmp', 'KILN_EXPOSE', /not a protocol/],
    ['EXPOSE 9-7', 'KILN_EXPOSE', /ends before/],
    ['STOPSIGNAL SIGNOPE', 'KILN_STOPSIGNAL', /not a signal/],
    ['VOLUME $EMPTY', 'KILN_VOLUME_EMPTY', /empty/],
    ['COPY --from=$X a /', 'KILN_DOCKERFILE_FROM_VARIABLE', /variable/],
  ];
  for (const [line, code, message] of cases) await refuses(after(line), code, message, { line: 3 });
});

test('an invalid mount is refused with the reason', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['type=tmpfz,target=/x', /mount type tmpfz is not known \(did you mean tmpfs\?\)/],
    ['type=cache', /whole file system/],
    ['target=/', /whole file system/],
    ['target=/x,uid=3', /uid does not go with type bind/],
    ['type=tmpfs,target=/x,size=much', /not a size/],
    ['target=/x,size=1m', /size does not go/],
    ['type=cache,target=/x,sharing=all', /sharing all is not known/],
    ['type=secret', /which secret/],
    ['type=secret,id=a,src=b', /only one/],
    ['type=secret,id=a,from=b', /from does not go/],
    ['target=/x,required', /required does not go with type bind/],
    ['type=cache,target=/x,mode=9', /not an octal number/],
    ['type=cache,target=/x,ro=perhaps', /neither true nor false/],
  ];
  for (const [mount, message] of cases)
    await refuses(`FROM a\nRUN --mount=${mount} x\n`, 'KILN_RUN_MOUNT', message, { line: 2 });
});

test('a value of a mount may hold variables', async () => {
  const target = await only(
    'FROM a\nENV ID=one\nARG T=/t\nRUN --mount=type=cache,id=$ID-x,target=${T}/y x\n',
  );
  const mount = last(target, 'exec').exec.mounts[1];
  assert.is(mount?.dest, '/t/y');
  assert.is(mount?.cache?.id, '/one-x');
});

test('RUN --security=insecure needs the entitlement, and sandbox does not', async () => {
  const target = await only('FROM a\nRUN --security=insecure x\n');
  assert.is(last(target, 'exec').exec.security, 1);
  assert.ok(target.edge?.vertex.metadata.caps.includes('exec.meta.security'));
  assert.is(last(await only('FROM a\nRUN --security=sandbox x\n'), 'exec').exec.security, 0);
});

test('COPY --parents keeps directories after the pivot, and plain sources must exist', async () => {
  const target = await only('FROM a\nCOPY --parents a/b/c x/*.go p/./q/r /d/\n');
  const copies = last(target, 'file').file.actions.map(
    ({ action }) => action.kind === 'copy' && action.copy,
  );
  assert.equal(
    copies.map((copy) => copy && [copy.src, copy.includePatterns, copy.requiredPaths]),
    [
      ['/', ['a/b/c'], ['/a/b/c']],
      ['/', ['x/*.go'], undefined],
      ['/p', ['q/r'], ['/p/q/r']],
    ],
  );
  assert.is(
    target.config.history?.at(-1)?.created_by,
    'COPY --parents a/b/c x/*.go p/./q/r /d/ # buildkit',
  );
});

test('an OCI layout stands for an image', async () => {
  const asked: string[] = [];
  const context = { kind: 'oci-layout', ref: '/layouts/x', store: 'layout-x' } as const;
  const target = await only('FROM a\nRUN x\n', {
    asked,
    request: { namedContexts: new Map([['a', context]]) },
  });
  assert.equal(asked, ['oci-layout:///layouts/x']);
  const source = named(target, '[context a] OCI load from client').op;
  assert.equal(source.kind === 'source' && source.source, {
    identifier: `oci-layout://docker.io/library/a@${digestOf('oci-layout:///layouts/x')}`,
    attrs: { 'oci.session': 's', 'oci.store': 'layout-x' },
  });
});

test('a named context for one platform takes precedence over one for all', async () => {
  const image = (ref: string) => ({ kind: 'image', ref, reference: parseReference(ref) }) as const;
  const namedContexts = new Map([
    ['base::linux/arm64', image('for-arm')],
    ['docker.io/library/base:latest', image('for-all')],
  ]);
  const platforms = [AMD64, { os: 'linux', architecture: 'arm64' }];
  const { targets } = await convert('FROM base\nRUN x\n', {
    request: { namedContexts, platforms },
  });
  const sources = targets
    .map((target) => vertices(target)[0]?.op)
    .map((op) => op?.kind === 'source' && op.source.identifier);
  assert.equal(sources, [
    'docker-image://docker.io/library/for-all:latest',
    'docker-image://docker.io/library/for-arm:latest',
  ]);
});

test('unknown fields of a base config are kept', async () => {
  const base = {
    config: { Labels: { a: '1' }, NewThing: { x: 1 } },
    'x.custom': [1],
    history: [{ created_by: 'them', author: 'me' }],
  };
  const { config } = await only('FROM a\nLABEL b=2\n', { images: { a: base } });
  assert.equal(config['x.custom'], [1]);
  assert.equal(config.config?.['NewThing'], { x: 1 });
  assert.equal(config.config?.Labels, { a: '1', b: '2' });
  assert.equal(config.history?.[0], { created_by: 'them', author: 'me' });
  assert.is(config.rootfs, undefined);
});

test('the config of the base is not changed', async () => {
  const config: ImageConfig = {
    ...AMD64,
    rootfs: LAYER,
    config: { Env: ['A=1'], OnBuild: ['RUN x'] },
    history: [],
  };
  const before = structuredClone(config);
  const { base } = await only('FROM a\nENV A=2 B=3\nFROM scratch\nFROM a\nENV A=4\n', {
    images: { a: config },
  });
  assert.equal(config, before);
  assert.equal(base, before);
});

test('an invalid or failing trigger is quoted and refused at the FROM that brings it', async () => {
  const bad = (trigger: string, line: number): Ask & { line: number } => ({
    images: { a: { config: { OnBuild: [trigger] } } },
    line,
  });
  await refuses(
    '# x\nFROM a\n',
    'KILN_DOCKERFILE_ONBUILD',
    /trigger "ONBUILD MAINTAINER x"/,
    bad('MAINTAINER x', 2),
  );
  await refuses(
    '# x\nFROM a\n',
    'KILN_DOCKERFILE_UNKNOWN_INSTRUCTION',
    /trigger "ONBUILD NOPE x"/,
    bad('NOPE x', 2),
  );
  await refuses(
    '# x\nFROM a\n',
    'KILN_CHMOD',
    /octal.*trigger "ONBUILD COPY/,
    bad('COPY --chmod=9 a b', 2),
  );
});

test('the image that a trigger copies from is resolved', async () => {
  const asked: string[] = [];
  const images = { a: { config: { OnBuild: ['COPY --from=tool /t /t', 'RUN t'] } }, tool: {} };
  const target = await only('FROM a\n', { images, asked });
  assert.equal(asked, ['a', 'tool']);
  assert.is(vertices(target).length, 4);
  assert.is(target.config.config?.OnBuild, undefined);
});

test('each platform has its own graph, and step names say which', async () => {
  const platforms = [AMD64, { os: 'linux', architecture: 'arm64' }];
  const { targets } = await convert('FROM a\nRUN x\n', { request: { platforms } });
  assert.equal(
    targets.map((t) => t.edge?.vertex.metadata.description['llb.customname']),
    ['[linux/amd64 2/2] RUN x', '[linux/arm64 2/2] RUN x'],
  );
  assert.equal(
    targets.map((t) => t.config.architecture),
    ['amd64', 'arm64'],
  );
});

test('the same build gives the same digest on every machine', async () => {
  const text = 'FROM a AS b\nCOPY --link x /x\nRUN y\nFROM b\nCOPY --from=b /z /z\n';
  const [one, two] = await Promise.all([only(text), only(text)]);
  assert.is(one.edge?.vertex.digest, two.edge?.vertex.digest);
  assert.equal(vertices(one), vertices(two));
});

test('the graphs of two equal builds differ only by their session', async () => {
  const text = 'FROM a\nCOPY x /x\n';
  const request = {
    mainContext: { kind: 'local', sessionId: 'other', sharedKeyHint: 'context', ignore: [] },
  } as const;
  const [one, two] = await Promise.all([only(text), only(text, { request })]);
  assert.is.not(one.edge?.vertex.digest, two.edge?.vertex.digest);
  const local = (target: TargetResult) =>
    vertices(target).findIndex(
      (v) => v.op.kind === 'source' && v.op.source.identifier === 'local://context',
    );
  assert.ok(local(one) >= 0 && local(two) >= 0);
});

test('warnings that need values have a place and occur once for all platforms', async () => {
  const text = [
    'FROM --platform=$TARGETPLATFORM a AS x',
    'COPY $WHO /',
    'WORKDIR rel',
    'CMD run',
    'CMD again',
    'COPY secret.log /',
    'FROM --platform=linux/amd64 b$NONE AS y',
    'COPY --from=x / /',
    '',
  ].join('\n');
  const platforms = [AMD64, { os: 'linux', architecture: 'arm64' }];
  const mainContext = {
    kind: 'local',
    sessionId: 's',
    sharedKeyHint: 'context',
    ignore: ['*.log'],
  } as const;
  const { warnings } = await convert(text, { request: { platforms, mainContext } });
  assert.equal(
    warnings.map(({ short }) => short.replace(/: .*\(/, ' (')).sort(),
    [
      'RedundantTargetPlatform (line 1)',
      'UndefinedVar (line 2)',
      'WorkdirRelativePath (line 3)',
      'JSONArgsRecommended (line 4)',
      'MultipleInstructionsDisallowed (line 4)',
      'JSONArgsRecommended (line 5)',
      'CopyIgnoredFile (line 6)',
      'LastStagePlatform (line 7)',
      'FromPlatformFlagConstDisallowed (line 7)',
      'UndefinedArgInFrom (line 7)',
    ].sort(),
  );
});

test('a base for another platform gives a warning', async () => {
  const images = { a: { architecture: 's390x' } };
  const { warnings } = await convert('FROM --platform=linux/arm64 a AS arm64\n', { images });
  assert.match(
    warnings[0]?.short ?? '',
    /InvalidBaseImagePlatform: .*"linux\/s390x", expected "linux\/arm64"/,
  );
});

test('a skipped check gives no warning, and one that is an error ends the build', async () => {
  assert.equal((await convert('# check=skip=UndefinedVar\nFROM a\nCOPY $X /\n')).warnings, []);
  await refuses(
    '# check=error=true\nFROM a\nCOPY x$X /\n',
    'KILN_DOCKERFILE_CHECK',
    /UndefinedVar/,
    { line: 3 },
  );
});

test('a cancelled build resolves no further image', async () => {
  const stop = new AbortController();
  stop.abort(new Error('given up'));
  try {
    await convert('FROM a\nRUN x\n', { request: { signal: stop.signal } });
    assert.unreachable('it continued');
  } catch (error) {
    assert.is((error as Error).message, 'given up');
  }
});

test('an image without layers is an empty tree', async () => {
  const target = await only('FROM a\nRUN x\n', {
    images: { a: { rootfs: { type: 'layers', diff_ids: [] }, config: { User: 'bob' } } },
  });
  const { exec } = last(target, 'exec');
  assert.is(exec.mounts[0]?.input, -1);
  assert.is(exec.meta.user, 'bob');
});

test.run();
