import type { PbfWriter } from 'pbf';
import type { Digest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type * as ops from './ops.ts';
import * as wire from './wire.ts';

/** pb.Input: an edge by the digest of the op it comes from. */
export interface OpInput {
  readonly digest: Digest;
  readonly index: number;
}

/**
 * The bytes of pb.Op (BuildKit solver/pb/ops.proto) as Go's google.golang.org/protobuf writes them with `Deterministic: true`: the
 * sha256 of these bytes is the vertex digest, so every byte counts. Fields are in order of number, except that the members of a
 * oneof come after all other fields of their message; maps are sorted; zero scalars are left out, empty messages are not.
 */
export function marshalOp(op: ops.Op, inputs: readonly OpInput[]): Uint8Array {
  return wire.encode((out) => {
    for (const input of inputs) writeInput(out, input);
    wire.writeMessage(out, 10, writePlatform, op.platform);
    wire.writeMessage(out, 11, (inner, value) => wire.writeTexts(inner, 1, value.filter), op.constraints);
    switch (op.kind) {
      case 'exec':
        wire.writeMessage(out, 2, writeExec, op.exec);
        return;
      case 'source':
        wire.writeMessage(out, 3, writeSource, op.source);
        return;
      case 'file':
        wire.writeMessage(out, 4, writeFile, op.file);
        return;
      case 'build':
        wire.writeMessage(out, 5, writeBuild, op.build);
        return;
      case 'merge':
        wire.writeMessage(out, 6, writeMerge, op.merge);
        return;
      case 'diff':
        wire.writeMessage(out, 7, writeDiff, op.diff);
        return;
      default:
        op satisfies never;
    }
  });
}

/** The last entry of a definition: an op without a kind whose only input is the result. */
export function marshalResult(input: OpInput): Uint8Array {
  return wire.encode((out) => writeInput(out, input));
}

function writeInput(out: PbfWriter, input: OpInput): void {
  wire.writeMessage(
    out,
    1,
    (inner, value) => {
      wire.writeText(inner, 1, value.digest);
      wire.writeInt(inner, 2, value.index);
    },
    input,
  );
}

function writePlatform(out: PbfWriter, platform: Platform): void {
  wire.writeText(out, 1, platform.architecture);
  wire.writeText(out, 2, platform.os);
  wire.writeText(out, 3, platform.variant);
  wire.writeText(out, 4, platform.osVersion);
  wire.writeTexts(out, 5, platform.osFeatures);
}

function writeSource(out: PbfWriter, source: ops.SourceOp): void {
  wire.writeText(out, 1, source.identifier);
  wire.writeTextMap(out, 2, source.attrs);
}

function writeExec(out: PbfWriter, exec: ops.ExecOp): void {
  wire.writeMessage(out, 1, writeMeta, exec.meta);
  for (const mount of exec.mounts) wire.writeMessage(out, 2, writeMount, mount);
  wire.writeInt(out, 3, exec.network);
  wire.writeInt(out, 4, exec.security);
  for (const secret of exec.secretenv ?? []) {
    wire.writeMessage(
      out,
      5,
      (inner, value) => {
        wire.writeText(inner, 1, value.id);
        wire.writeText(inner, 2, value.name);
        wire.writeBool(inner, 3, value.optional);
      },
      secret,
    );
  }
  for (const device of exec.cdiDevices ?? []) {
    wire.writeMessage(
      out,
      6,
      (inner, value) => {
        wire.writeText(inner, 1, value.name);
        wire.writeBool(inner, 2, value.optional);
      },
      device,
    );
  }
}

function writeMeta(out: PbfWriter, meta: ops.ExecMeta): void {
  wire.writeTexts(out, 1, meta.args);
  wire.writeTexts(out, 2, meta.env);
  wire.writeText(out, 3, meta.cwd);
  wire.writeText(out, 4, meta.user);
  wire.writeMessage(out, 5, writeProxy, meta.proxyEnv);
  for (const host of meta.extraHosts ?? []) {
    wire.writeMessage(
      out,
      6,
      (inner, value) => {
        wire.writeText(inner, 1, value.host);
        wire.writeText(inner, 2, value.ip);
      },
      host,
    );
  }
  wire.writeText(out, 7, meta.hostname);
  for (const limit of meta.ulimit ?? []) {
    wire.writeMessage(
      out,
      9,
      (inner, value) => {
        wire.writeText(inner, 1, value.name);
        wire.writeInt(inner, 2, value.soft);
        wire.writeInt(inner, 3, value.hard);
      },
      limit,
    );
  }
  wire.writeText(out, 10, meta.cgroupParent);
  wire.writeBool(out, 11, meta.removeMountStubsRecursive);
  const codes = meta.validExitCodes ?? [];
  if (codes.length > 0) out.writePackedVarint(12, [...codes]);
}

function writeProxy(out: PbfWriter, proxy: ops.ProxyEnv): void {
  wire.writeText(out, 1, proxy.httpProxy);
  wire.writeText(out, 2, proxy.httpsProxy);
  wire.writeText(out, 3, proxy.ftpProxy);
  wire.writeText(out, 4, proxy.noProxy);
  wire.writeText(out, 5, proxy.allProxy);
}

function writeMount(out: PbfWriter, mount: ops.Mount): void {
  wire.writeInt(out, 1, mount.input);
  wire.writeText(out, 2, mount.selector);
  wire.writeText(out, 3, mount.dest);
  wire.writeInt(out, 4, mount.output);
  wire.writeBool(out, 5, mount.readonly);
  wire.writeInt(out, 6, mount.mountType);
  wire.writeMessage(out, 19, (inner, value) => wire.writeInt(inner, 1, value.size), mount.tmpfs);
  wire.writeMessage(
    out,
    20,
    (inner, value) => {
      wire.writeText(inner, 1, value.id);
      wire.writeInt(inner, 2, value.sharing);
    },
    mount.cache,
  );
  wire.writeMessage(out, 21, writeOwned, mount.secret);
  wire.writeMessage(out, 22, writeOwned, mount.ssh);
  wire.writeInt(out, 24, mount.contentCache);
}

/** pb.SecretOpt and pb.SSHOpt have the same fields. */
function writeOwned(out: PbfWriter, value: NonNullable<ops.Mount['secret']>): void {
  wire.writeText(out, 1, value.id);
  wire.writeInt(out, 2, value.uid);
  wire.writeInt(out, 3, value.gid);
  wire.writeInt(out, 4, value.mode);
  wire.writeBool(out, 5, value.optional);
}

function writeFile(out: PbfWriter, file: ops.FileOp): void {
  for (const action of file.actions) wire.writeMessage(out, 2, writeAction, action);
}

function writeAction(out: PbfWriter, action: ops.FileAction): void {
  wire.writeInt(out, 1, action.input);
  wire.writeInt(out, 2, action.secondaryInput);
  wire.writeInt(out, 3, action.output);
  switch (action.action.kind) {
    case 'copy':
      wire.writeMessage(out, 4, writeCopy, action.action.copy);
      return;
    case 'mkfile':
      wire.writeMessage(out, 5, writeMkfile, action.action.mkfile);
      return;
    case 'mkdir':
      wire.writeMessage(out, 6, writeMkdir, action.action.mkdir);
      return;
    case 'rm':
      wire.writeMessage(
        out,
        7,
        (inner, value) => {
          wire.writeText(inner, 1, value.path);
          wire.writeBool(inner, 2, value.allowNotFound);
          wire.writeBool(inner, 3, value.allowWildcard);
        },
        action.action.rm,
      );
      return;
    case 'symlink':
      wire.writeMessage(
        out,
        8,
        (inner, value) => {
          wire.writeText(inner, 1, value.oldpath);
          wire.writeText(inner, 2, value.newpath);
          wire.writeMessage(inner, 3, writeChown, value.owner);
          wire.writeInt(inner, 4, value.timestamp);
        },
        action.action.symlink,
      );
      return;
    default:
      action.action satisfies never;
  }
}

function writeCopy(out: PbfWriter, copy: ops.FileActionCopy): void {
  wire.writeText(out, 1, copy.src);
  wire.writeText(out, 2, copy.dest);
  wire.writeMessage(out, 3, writeChown, copy.owner);
  wire.writeInt(out, 4, copy.mode);
  wire.writeBool(out, 5, copy.followSymlink);
  wire.writeBool(out, 6, copy.dirCopyContents);
  wire.writeBool(out, 7, copy.attemptUnpackDockerCompatibility);
  wire.writeBool(out, 8, copy.createDestPath);
  wire.writeBool(out, 9, copy.allowWildcard);
  wire.writeBool(out, 10, copy.allowEmptyWildcard);
  wire.writeInt(out, 11, copy.timestamp);
  wire.writeTexts(out, 12, copy.includePatterns);
  wire.writeTexts(out, 13, copy.excludePatterns);
  wire.writeBool(out, 14, copy.alwaysReplaceExistingDestPaths);
  wire.writeText(out, 15, copy.modeStr);
  wire.writeTexts(out, 16, copy.requiredPaths);
}

function writeMkfile(out: PbfWriter, mkfile: ops.FileActionMkFile): void {
  wire.writeText(out, 1, mkfile.path);
  wire.writeInt(out, 2, mkfile.mode);
  wire.writeBytes(out, 3, mkfile.data);
  wire.writeMessage(out, 4, writeChown, mkfile.owner);
  wire.writeInt(out, 5, mkfile.timestamp);
}

function writeMkdir(out: PbfWriter, mkdir: ops.FileActionMkDir): void {
  wire.writeText(out, 1, mkdir.path);
  wire.writeInt(out, 2, mkdir.mode);
  wire.writeBool(out, 3, mkdir.makeParents);
  wire.writeMessage(out, 4, writeChown, mkdir.owner);
  wire.writeInt(out, 5, mkdir.timestamp);
}

function writeChown(out: PbfWriter, owner: ops.ChownOpt): void {
  wire.writeMessage(out, 1, writeUser, owner.user);
  wire.writeMessage(out, 2, writeUser, owner.group);
}

function writeUser(out: PbfWriter, user: ops.UserOpt): void {
  if (user.by === 'id') {
    wire.writeIntAlways(out, 2, user.id);
    return;
  }
  wire.writeMessage(
    out,
    1,
    (inner, value) => {
      wire.writeText(inner, 1, value.name);
      wire.writeInt(inner, 2, value.input);
    },
    user,
  );
}

function writeIndex(out: PbfWriter, value: { readonly input: number }): void {
  wire.writeInt(out, 1, value.input);
}

function writeMerge(out: PbfWriter, merge: ops.MergeOp): void {
  for (const input of merge.inputs) wire.writeMessage(out, 1, writeIndex, input);
}

function writeDiff(out: PbfWriter, diff: ops.DiffOp): void {
  wire.writeMessage(out, 1, writeIndex, diff.lower);
  wire.writeMessage(out, 2, writeIndex, diff.upper);
}

function writeBuild(out: PbfWriter, build: ops.BuildOp): void {
  wire.writeInt(out, 1, build.builder);
  wire.writeMap(out, 2, build.inputs, (entry, value) => wire.writeMessage(entry, 2, writeIndex, value));
  wire.writeBytes(out, 3, build.def);
  wire.writeTextMap(out, 4, build.attrs);
}
