import type { DeviceNumber } from '../../../base/device-number.ts';
import type { Timespec } from '../../../snapshotter/sys/calls.ts';
import {
  asBigInt,
  asBytes,
  asInt,
  asText,
  encode,
  type MessageWriter,
  readFields,
  writeBytes,
  writeInt,
  writeMap,
  writeMessage,
  writeText,
} from '../../../solver/llb/wire.ts';

/**
 * # The packets by which files are brought (fsutil)
 *
 * The sender tells every file in order (STAT), and an empty STAT after the last one. The receiver
 * asks for the content of those that it does not have, by their numbers in that order (REQ). The
 * content comes in pieces (DATA), an empty one after the last. Each says FIN when it is done.
 */
export const PACKET = { stat: 0, request: 1, data: 2, fin: 3, error: 4 } as const;

/** A file as its sender tells it. */
export interface FileStat {
  /** Relative, with slashes, without `.` and `..`. */
  readonly path: string;
  /** Go's FileMode: permissions, and the bits of `GO_MODE`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modTime: bigint;
  /** Where a symbolic link leads, or of which earlier file this is another name. */
  readonly linkname: string;
  /** The number of a device that is sent. What clients tell of devices is not read. */
  readonly device?: DeviceNumber | undefined;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

export interface Packet {
  readonly type: number;
  readonly stat: FileStat | undefined;
  readonly id: number;
  readonly data: Uint8Array;
}

const FIELD = { type: 1, stat: 2, id: 3, data: 4 } as const;
const STAT_FIELD = {
  path: 1,
  mode: 2,
  uid: 3,
  gid: 4,
  size: 5,
  modTime: 6,
  linkname: 7,
  major: 8,
  minor: 9,
  xattrs: 10,
} as const;
const NO_DATA = new Uint8Array();
const NO_XATTRS: FileStat['xattrs'] = new Map();

/** Throws KILN_LLB_MALFORMED when the bytes are not a packet. */
export function readPacket(bytes: Uint8Array): Packet {
  let type = 0;
  let stat: FileStat | undefined;
  let id = 0;
  let data: Uint8Array = NO_DATA;
  for (const field of readFields(bytes)) {
    if (field.number === FIELD.type) type = asInt(field);
    else if (field.number === FIELD.stat) stat = readStat(asBytes(field));
    else if (field.number === FIELD.id) id = asInt(field);
    else if (field.number === FIELD.data) data = asBytes(field);
  }
  return { type, stat, id, data };
}

function readStat(bytes: Uint8Array): FileStat {
  const stat = { path: '', mode: 0, uid: 0, gid: 0, size: 0, modTime: 0n, linkname: '' };
  let xattrs: Map<string, Uint8Array> | undefined;
  for (const field of readFields(bytes)) {
    switch (field.number) {
      case STAT_FIELD.path:
        stat.path = asText(field);
        break;
      case STAT_FIELD.mode:
        stat.mode = asInt(field);
        break;
      case STAT_FIELD.uid:
        stat.uid = asInt(field);
        break;
      case STAT_FIELD.gid:
        stat.gid = asInt(field);
        break;
      case STAT_FIELD.size:
        stat.size = asInt(field);
        break;
      case STAT_FIELD.modTime:
        stat.modTime = asBigInt(field);
        break;
      case STAT_FIELD.linkname:
        stat.linkname = asText(field);
        break;
      case STAT_FIELD.xattrs: {
        let name = '';
        let value: Uint8Array = NO_DATA;
        for (const entry of readFields(asBytes(field))) {
          if (entry.number === 1) name = asText(entry);
          else if (entry.number === 2) value = asBytes(entry);
        }
        xattrs = (xattrs ?? new Map()).set(name, value);
        break;
      }
    }
  }
  return { ...stat, xattrs: xattrs ?? NO_XATTRS };
}

/** A packet without a file: of the content of one, or of the talk itself. */
export function packetBytes(type: number, id = 0, data: Uint8Array = NO_DATA): Uint8Array {
  return encode((out) => {
    writeInt(out, FIELD.type, type);
    writeInt(out, FIELD.id, id);
    if (data.byteLength > 0) writeBytes(out, FIELD.data, data);
  });
}

/** The packet that tells a file, or, without one, that all files are told. */
export function statPacket(stat: FileStat | undefined): Uint8Array {
  return encode((out) => {
    if (stat) writeMessage(out, FIELD.stat, writeStat, stat);
  });
}

/** The message of a file, without a packet around it. */
export function statBytes(stat: FileStat): Uint8Array {
  return encode((out) => writeStat(out, stat));
}

function writeStat(out: MessageWriter, told: FileStat): void {
  writeText(out, STAT_FIELD.path, told.path);
  writeInt(out, STAT_FIELD.mode, told.mode);
  writeInt(out, STAT_FIELD.uid, told.uid);
  writeInt(out, STAT_FIELD.gid, told.gid);
  writeInt(out, STAT_FIELD.size, told.size);
  writeInt(out, STAT_FIELD.modTime, told.modTime);
  writeText(out, STAT_FIELD.linkname, told.linkname);
  writeInt(out, STAT_FIELD.major, told.device?.major ?? 0);
  writeInt(out, STAT_FIELD.minor, told.device?.minor ?? 0);
  writeMap(out, STAT_FIELD.xattrs, Object.fromEntries(told.xattrs), (entry, value) =>
    writeBytes(entry, 2, value),
  );
}

const SECOND = 1_000_000_000n;

/** The time of a file, as the kernel has it. */
export function modTimeOf({ modTime }: FileStat): Timespec {
  const nsec = ((modTime % SECOND) + SECOND) % SECOND;
  return { sec: Number((modTime - nsec) / SECOND), nsec: Number(nsec) };
}
