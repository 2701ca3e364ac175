import type { PbfWriter } from 'pbf';
import type { Digest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type * as ops from './ops.ts';
import * as fields from './proto-fields.ts';
import * as wire from './wire.ts';

/** pb.Input: an output of an op, which is named by its digest. */
export interface OpInput {
  readonly digest: Digest;
  readonly index: number;
}

/**
 * The bytes of pb.Op (BuildKit solver/pb/ops.proto), exactly as Go's google.golang.org/protobuf
 * writes them with `Deterministic: true`: their sha256 is the digest of the vertex. Fields are in
 * the order of their numbers, except that the members of a oneof come after all other fields of
 * their message. Maps are sorted. Zero scalars are left out; empty messages are not.
 */
export function marshalOp(op: ops.LlbOp, inputs: readonly OpInput[]): Uint8Array {
  return wire.encode((out) => {
    for (const input of inputs) writeInput(out, input);
    wire.writeMessage(out, fields.OP.platform, writePlatform, op.platform);
    wire.writeMessage(
      out,
      fields.OP.constraints,
      (inner, value) => wire.writeTexts(inner, fields.WORKER_CONSTRAINTS.filter, value.filter),
      op.constraints,
    );
    switch (op.kind) {
      case 'exec':
        wire.writeMessage(out, fields.OP.exec, writeExec, op.exec);
        return;
      case 'source':
        wire.writeMessage(out, fields.OP.source, writeSource, op.source);
        return;
      case 'file':
        wire.writeMessage(out, fields.OP.file, writeFile, op.file);
        return;
      case 'build':
        wire.writeMessage(out, fields.OP.build, writeBuild, op.build);
        return;
      case 'merge':
        wire.writeMessage(out, fields.OP.merge, writeMerge, op.merge);
        return;
      case 'diff':
        wire.writeMessage(out, fields.OP.diff, writeDiff, op.diff);
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
    fields.OP.inputs,
    (inner, value) => {
      wire.writeText(inner, fields.INPUT.digest, value.digest);
      wire.writeInt(inner, fields.INPUT.index, value.index);
    },
    input,
  );
}

function writePlatform(out: PbfWriter, platform: Platform): void {
  wire.writeText(out, fields.PLATFORM.architecture, platform.architecture);
  wire.writeText(out, fields.PLATFORM.os, platform.os);
  wire.writeText(out, fields.PLATFORM.variant, platform.variant);
  wire.writeText(out, fields.PLATFORM.osVersion, platform.osVersion);
  wire.writeTexts(out, fields.PLATFORM.osFeatures, platform.osFeatures);
}

function writeSource(out: PbfWriter, source: ops.SourceOp): void {
  wire.writeText(out, fields.SOURCE_OP.identifier, source.identifier);
  wire.writeTextMap(out, fields.SOURCE_OP.attrs, source.attrs);
}

function writeExec(out: PbfWriter, exec: ops.ExecOp): void {
  wire.writeMessage(out, fields.EXEC_OP.meta, writeMeta, exec.meta);
  for (const mount of exec.mounts) wire.writeMessage(out, fields.EXEC_OP.mounts, writeMount, mount);
  wire.writeInt(out, fields.EXEC_OP.network, exec.network);
  wire.writeInt(out, fields.EXEC_OP.security, exec.security);
  for (const secret of exec.secretenv ?? []) {
    wire.writeMessage(
      out,
      fields.EXEC_OP.secretenv,
      (inner, value) => {
        wire.writeText(inner, fields.SECRET_ENV.id, value.id);
        wire.writeText(inner, fields.SECRET_ENV.name, value.name);
        wire.writeBool(inner, fields.SECRET_ENV.optional, value.optional);
      },
      secret,
    );
  }
  for (const device of exec.cdiDevices ?? []) {
    wire.writeMessage(
      out,
      fields.EXEC_OP.cdiDevices,
      (inner, value) => {
        wire.writeText(inner, fields.CDI_DEVICE.name, value.name);
        wire.writeBool(inner, fields.CDI_DEVICE.optional, value.optional);
      },
      device,
    );
  }
}

function writeMeta(out: PbfWriter, meta: ops.ExecMeta): void {
  wire.writeTexts(out, fields.META.args, meta.args);
  wire.writeTexts(out, fields.META.env, meta.env);
  wire.writeText(out, fields.META.cwd, meta.cwd);
  wire.writeText(out, fields.META.user, meta.user);
  wire.writeMessage(out, fields.META.proxyEnv, writeProxy, meta.proxyEnv);
  for (const host of meta.extraHosts ?? []) {
    wire.writeMessage(
      out,
      fields.META.extraHosts,
      (inner, value) => {
        wire.writeText(inner, fields.HOST_IP.host, value.host);
        wire.writeText(inner, fields.HOST_IP.ip, value.ip);
      },
      host,
    );
  }
  wire.writeText(out, fields.META.hostname, meta.hostname);
  for (const limit of meta.ulimit ?? []) {
    wire.writeMessage(
      out,
      fields.META.ulimit,
      (inner, value) => {
        wire.writeText(inner, fields.ULIMIT.name, value.name);
        wire.writeInt(inner, fields.ULIMIT.soft, value.soft);
        wire.writeInt(inner, fields.ULIMIT.hard, value.hard);
      },
      limit,
    );
  }
  wire.writeText(out, fields.META.cgroupParent, meta.cgroupParent);
  wire.writeBool(out, fields.META.removeMountStubsRecursive, meta.removeMountStubsRecursive);
  const codes = meta.validExitCodes ?? [];
  if (codes.length > 0) out.writePackedVarint(fields.META.validExitCodes, [...codes]);
}

function writeProxy(out: PbfWriter, proxy: ops.ProxyEnv): void {
  wire.writeText(out, fields.PROXY_ENV.httpProxy, proxy.httpProxy);
  wire.writeText(out, fields.PROXY_ENV.httpsProxy, proxy.httpsProxy);
  wire.writeText(out, fields.PROXY_ENV.ftpProxy, proxy.ftpProxy);
  wire.writeText(out, fields.PROXY_ENV.noProxy, proxy.noProxy);
  wire.writeText(out, fields.PROXY_ENV.allProxy, proxy.allProxy);
}

function writeMount(out: PbfWriter, mount: ops.Mount): void {
  wire.writeInt(out, fields.MOUNT.input, mount.input);
  wire.writeText(out, fields.MOUNT.selector, mount.selector);
  wire.writeText(out, fields.MOUNT.dest, mount.dest);
  wire.writeInt(out, fields.MOUNT.output, mount.output);
  wire.writeBool(out, fields.MOUNT.readonly, mount.readonly);
  wire.writeInt(out, fields.MOUNT.mountType, mount.mountType);
  wire.writeMessage(
    out,
    fields.MOUNT.tmpfs,
    (inner, value) => wire.writeInt(inner, fields.TMPFS_OPT.size, value.size),
    mount.tmpfs,
  );
  wire.writeMessage(
    out,
    fields.MOUNT.cache,
    (inner, value) => {
      wire.writeText(inner, fields.CACHE_OPT.id, value.id);
      wire.writeInt(inner, fields.CACHE_OPT.sharing, value.sharing);
    },
    mount.cache,
  );
  wire.writeMessage(out, fields.MOUNT.secret, writeOwned, mount.secret);
  wire.writeMessage(out, fields.MOUNT.ssh, writeOwned, mount.ssh);
  wire.writeInt(out, fields.MOUNT.contentCache, mount.contentCache);
}

/** pb.SecretOpt and pb.SSHOpt have the same fields. */
function writeOwned(out: PbfWriter, value: NonNullable<ops.Mount['secret']>): void {
  wire.writeText(out, fields.OWNED_OPT.id, value.id);
  wire.writeInt(out, fields.OWNED_OPT.uid, value.uid);
  wire.writeInt(out, fields.OWNED_OPT.gid, value.gid);
  wire.writeInt(out, fields.OWNED_OPT.mode, value.mode);
  wire.writeBool(out, fields.OWNED_OPT.optional, value.optional);
}

function writeFile(out: PbfWriter, file: ops.FileOp): void {
  for (const action of file.actions)
    wire.writeMessage(out, fields.FILE_OP.actions, writeAction, action);
}

function writeAction(out: PbfWriter, action: ops.FileAction): void {
  wire.writeInt(out, fields.FILE_ACTION.input, action.input);
  wire.writeInt(out, fields.FILE_ACTION.secondaryInput, action.secondaryInput);
  wire.writeInt(out, fields.FILE_ACTION.output, action.output);
  switch (action.action.kind) {
    case 'copy':
      wire.writeMessage(out, fields.FILE_ACTION.copy, writeCopy, action.action.copy);
      return;
    case 'mkfile':
      wire.writeMessage(out, fields.FILE_ACTION.mkfile, writeMkfile, action.action.mkfile);
      return;
    case 'mkdir':
      wire.writeMessage(out, fields.FILE_ACTION.mkdir, writeMkdir, action.action.mkdir);
      return;
    case 'rm':
      wire.writeMessage(
        out,
        fields.FILE_ACTION.rm,
        (inner, value) => {
          wire.writeText(inner, fields.FILE_ACTION_RM.path, value.path);
          wire.writeBool(inner, fields.FILE_ACTION_RM.allowNotFound, value.allowNotFound);
          wire.writeBool(inner, fields.FILE_ACTION_RM.allowWildcard, value.allowWildcard);
        },
        action.action.rm,
      );
      return;
    case 'symlink':
      wire.writeMessage(
        out,
        fields.FILE_ACTION.symlink,
        (inner, value) => {
          wire.writeText(inner, fields.FILE_ACTION_SYMLINK.oldpath, value.oldpath);
          wire.writeText(inner, fields.FILE_ACTION_SYMLINK.newpath, value.newpath);
          wire.writeMessage(inner, fields.FILE_ACTION_SYMLINK.owner, writeChown, value.owner);
          wire.writeInt(inner, fields.FILE_ACTION_SYMLINK.timestamp, value.timestamp);
        },
        action.action.symlink,
      );
      return;
    default:
      action.action satisfies never;
  }
}

function writeCopy(out: PbfWriter, copy: ops.FileActionCopy): void {
  wire.writeText(out, fields.FILE_ACTION_COPY.src, copy.src);
  wire.writeText(out, fields.FILE_ACTION_COPY.dest, copy.dest);
  wire.writeMessage(out, fields.FILE_ACTION_COPY.owner, writeChown, copy.owner);
  wire.writeInt(out, fields.FILE_ACTION_COPY.mode, copy.mode);
  wire.writeBool(out, fields.FILE_ACTION_COPY.followSymlink, copy.followSymlink);
  wire.writeBool(out, fields.FILE_ACTION_COPY.dirCopyContents, copy.dirCopyContents);
  wire.writeBool(
    out,
    fields.FILE_ACTION_COPY.attemptUnpackDockerCompatibility,
    copy.attemptUnpackDockerCompatibility,
  );
  wire.writeBool(out, fields.FILE_ACTION_COPY.createDestPath, copy.createDestPath);
  wire.writeBool(out, fields.FILE_ACTION_COPY.allowWildcard, copy.allowWildcard);
  wire.writeBool(out, fields.FILE_ACTION_COPY.allowEmptyWildcard, copy.allowEmptyWildcard);
  wire.writeInt(out, fields.FILE_ACTION_COPY.timestamp, copy.timestamp);
  wire.writeTexts(out, fields.FILE_ACTION_COPY.includePatterns, copy.includePatterns);
  wire.writeTexts(out, fields.FILE_ACTION_COPY.excludePatterns, copy.excludePatterns);
  wire.writeBool(
    out,
    fields.FILE_ACTION_COPY.alwaysReplaceExistingDestPaths,
    copy.alwaysReplaceExistingDestPaths,
  );
  wire.writeText(out, fields.FILE_ACTION_COPY.modeStr, copy.modeStr);
  wire.writeTexts(out, fields.FILE_ACTION_COPY.requiredPaths, copy.requiredPaths);
}

function writeMkfile(out: PbfWriter, mkfile: ops.FileActionMkFile): void {
  wire.writeText(out, fields.FILE_ACTION_MKFILE.path, mkfile.path);
  wire.writeInt(out, fields.FILE_ACTION_MKFILE.mode, mkfile.mode);
  wire.writeBytes(out, fields.FILE_ACTION_MKFILE.data, mkfile.data);
  wire.writeMessage(out, fields.FILE_ACTION_MKFILE.owner, writeChown, mkfile.owner);
  wire.writeInt(out, fields.FILE_ACTION_MKFILE.timestamp, mkfile.timestamp);
}

function writeMkdir(out: PbfWriter, mkdir: ops.FileActionMkDir): void {
  wire.writeText(out, fields.FILE_ACTION_MKDIR.path, mkdir.path);
  wire.writeInt(out, fields.FILE_ACTION_MKDIR.mode, mkdir.mode);
  wire.writeBool(out, fields.FILE_ACTION_MKDIR.makeParents, mkdir.makeParents);
  wire.writeMessage(out, fields.FILE_ACTION_MKDIR.owner, writeChown, mkdir.owner);
  wire.writeInt(out, fields.FILE_ACTION_MKDIR.timestamp, mkdir.timestamp);
}

function writeChown(out: PbfWriter, owner: ops.ChownOpt): void {
  wire.writeMessage(out, fields.CHOWN_OPT.user, writeUser, owner.user);
  wire.writeMessage(out, fields.CHOWN_OPT.group, writeUser, owner.group);
}

function writeUser(out: PbfWriter, user: ops.UserOpt): void {
  if (user.by === 'id') {
    wire.writeIntAlways(out, fields.USER_OPT.byId, user.id);
    return;
  }
  wire.writeMessage(
    out,
    fields.USER_OPT.byName,
    (inner, value) => {
      wire.writeText(inner, fields.NAMED_USER_OPT.name, value.name);
      wire.writeInt(inner, fields.NAMED_USER_OPT.input, value.input);
    },
    user,
  );
}

function writeIndex(out: PbfWriter, value: { readonly input: number }): void {
  wire.writeInt(out, fields.INDEX.input, value.input);
}

function writeMerge(out: PbfWriter, merge: ops.MergeOp): void {
  for (const input of merge.inputs)
    wire.writeMessage(out, fields.MERGE_OP.inputs, writeIndex, input);
}

function writeDiff(out: PbfWriter, diff: ops.DiffOp): void {
  wire.writeMessage(out, fields.DIFF_OP.lower, writeIndex, diff.lower);
  wire.writeMessage(out, fields.DIFF_OP.upper, writeIndex, diff.upper);
}

function writeBuild(out: PbfWriter, build: ops.BuildOp): void {
  wire.writeInt(out, fields.BUILD_OP.builder, build.builder);
  wire.writeMap(out, fields.BUILD_OP.inputs, build.inputs, (entry, value) =>
    wire.writeMessage(entry, fields.MAP_ENTRY.value, writeIndex, value),
  );
  wire.writeBytes(out, fields.BUILD_OP.def, build.def);
  wire.writeTextMap(out, fields.BUILD_OP.attrs, build.attrs);
}
