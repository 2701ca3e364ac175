import { redactBytes } from '../../base/redact.ts';
import type { LlbEdge, LlbVertex, SourceRange } from '../../solver/llb/graph.ts';
import type { ChownOpt, ExecOp, FileAction, LlbOp, Mount, UserOpt } from '../../solver/llb/ops.ts';
import { topological } from '../../solver/llb/walk.ts';

/**
 * The graph as BuildKit's provenance shows it (solver/llbsolver/provenance, buildconfig.go): the
 * JSON form of its protobuf messages. The table of the vertices' digests is left out, because the
 * digest of a local directory differs in each session.
 */
export interface GraphSteps {
  readonly llbDefinition: readonly object[];
  readonly locations: Readonly<Record<string, object>>;
}

export function graphSteps(edge: LlbEdge | undefined): GraphSteps {
  const vertices = edge ? topological(edge) : [];
  const ids = new Map(vertices.map((vertex, index) => [vertex.digest, `step${index}`]));
  const id = ({ vertex, output }: LlbEdge) => `${ids.get(vertex.digest)}:${output}`;
  const steps = vertices.map((vertex, index) => ({
    id: `step${index}`,
    op: opJson(vertex),
    inputs: nonEmpty(vertex.inputs.map(id)),
  }));
  const last = edge ? [{ id: `step${vertices.length}`, op: { Op: {} }, inputs: [id(edge)] }] : [];
  return {
    llbDefinition: [...steps, ...last],
    locations: Object.fromEntries(
      vertices.map(({ metadata }, index) => [`step${index}`, locationsJson(metadata.locations)]),
    ),
  };
}

function locationsJson(ranges: readonly SourceRange[]): object {
  if (ranges.length === 0) return {};
  const line = (at: number) => ({ line: at });
  return {
    locations: [
      {
        ranges: ranges.map(({ start, end }) => ({ start: line(start.line), end: line(end.line) })),
      },
    ],
  };
}

function opJson({ op }: LlbVertex): object {
  const { platform } = op;
  return {
    Op: kindJson(op),
    platform: platform && {
      Architecture: platform.architecture,
      OS: platform.os,
      Variant: platform.variant,
    },
    constraints: {},
  };
}

function kindJson(op: LlbOp): object {
  switch (op.kind) {
    case 'source':
      return { source: { identifier: op.source.identifier, attrs: attrsJson(op.source.attrs) } };
    case 'exec':
      return { exec: execJson(op.exec) };
    case 'file':
      return { file: { actions: op.file.actions.map(actionJson) } };
    case 'merge':
      return { merge: { inputs: op.merge.inputs } };
    case 'diff':
      return { diff: { lower: op.diff.lower, upper: op.diff.upper } };
    case 'build':
      return { build: {} };
  }
}

/** Attributes that describe this machine or one session are left out. */
function attrsJson(attrs: Readonly<Record<string, string>>): object | undefined {
  const shown = Object.entries(attrs).filter(
    ([name, value]) =>
      !/session|uniqueid/.test(name) && !(name === 'local.sharedkeyhint' && value.includes('/')),
  );
  return shown.length > 0 ? Object.fromEntries(shown) : undefined;
}

/** Proxies are left out: their addresses may contain passwords, and they are not part of a key. */
function execJson({ meta, mounts, network, security, secretenv, cdiDevices }: ExecOp): object {
  const {
    args,
    env,
    cwd,
    user,
    extraHosts,
    hostname,
    ulimit,
    cgroupParent,
    removeMountStubsRecursive,
    validExitCodes,
  } = meta;
  return {
    meta: {
      args,
      env: nonEmpty(env),
      cwd,
      user: user || undefined,
      extraHosts: nonEmpty(extraHosts?.map(({ host, ip }) => ({ Host: host, IP: ip }))),
      hostname: hostname || undefined,
      ulimit: nonEmpty(
        ulimit?.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
      ),
      cgroupParent: cgroupParent || undefined,
      removeMountStubsRecursive: removeMountStubsRecursive || undefined,
      validExitCodes: nonEmpty(validExitCodes),
    },
    mounts: mounts.map(mountJson),
    network: network || undefined,
    security: security || undefined,
    secretenv: nonEmpty(
      secretenv?.map(({ id, name, optional }) => ({
        ID: id,
        name,
        optional: optional || undefined,
      })),
    ),
    cdiDevices: nonEmpty(cdiDevices),
  };
}

function mountJson(mount: Mount): object {
  const grant = (given: Mount['secret']) =>
    given && {
      ID: given.id,
      uid: given.uid || undefined,
      gid: given.gid || undefined,
      mode: given.mode || undefined,
      optional: given.optional || undefined,
    };
  return {
    input: mount.input || undefined,
    selector: mount.selector || undefined,
    dest: mount.dest,
    output: mount.output || undefined,
    readonly: mount.readonly || undefined,
    mountType: mount.mountType || undefined,
    TmpfsOpt: mount.tmpfs && { size: mount.tmpfs.size || undefined },
    cacheOpt: mount.cache && { ID: mount.cache.id, sharing: mount.cache.sharing || undefined },
    secretOpt: grant(mount.secret),
    SSHOpt: grant(mount.ssh),
    contentCache: mount.contentCache || undefined,
  };
}

function actionJson({ input, secondaryInput, output, action }: FileAction): object {
  return { input, secondaryInput, output, Action: { [action.kind]: contentJson(action) } };
}

function contentJson(action: FileAction['action']): object {
  switch (action.kind) {
    case 'copy': {
      const { includePatterns, excludePatterns, requiredPaths, owner, ...copy } = action.copy;
      return {
        ...truthy({ ...copy, timestamp: Number(copy.timestamp) }),
        owner: ownerJson(owner),
        include_patterns: nonEmpty(includePatterns),
        exclude_patterns: nonEmpty(excludePatterns),
        required_paths: nonEmpty(requiredPaths),
      };
    }
    case 'mkfile': {
      const { data, owner, timestamp, ...file } = action.mkfile;
      const bytes = Buffer.from(redactBytes(data)).toString('base64');
      return {
        ...truthy({ ...file, data: bytes, timestamp: Number(timestamp) }),
        owner: ownerJson(owner),
      };
    }
    case 'mkdir': {
      const { owner, timestamp, ...directory } = action.mkdir;
      return { ...truthy({ ...directory, timestamp: Number(timestamp) }), owner: ownerJson(owner) };
    }
    case 'rm':
      return truthy(action.rm);
    case 'symlink': {
      const { owner, timestamp, ...link } = action.symlink;
      return { ...truthy({ ...link, timestamp: Number(timestamp) }), owner: ownerJson(owner) };
    }
  }
}

function ownerJson(owner: ChownOpt | undefined): object | undefined {
  const one = (user: UserOpt | undefined) =>
    user && {
      User:
        user.by === 'id' ? { byID: user.id } : { byName: { name: user.name, input: user.input } },
    };
  return owner && { user: one(owner.user), group: one(owner.group) };
}

/** Go's `omitempty`. */
function truthy(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => Boolean(value)));
}

function nonEmpty<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list && list.length > 0 ? list : undefined;
}
