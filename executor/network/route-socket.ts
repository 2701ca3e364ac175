import { closeSync, readSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { bind, check, SysError } from '../../snapshotter/sys/native.ts';
import type { RouteMessage } from './rtnetlink.ts';

/**
 * A socket to the kernel's tables of interfaces, addresses and routes (rtnetlink(7)), in the
 * network namespace in which it was opened.
 */
export interface RouteSocket extends Disposable {
  /**
   * Has the kernel do what the messages say, one after the other. Throws a SysError with the first
   * errno. It waits on another thread: the kernel may be busy with other interfaces.
   */
  ask(...messages: readonly RouteMessage[]): Promise<void>;
}

const socket = bind('int socket(int, int, int)');
const nameToIndex = bind('unsigned int if_nametoindex(const char *)');
const writeAsync = promisify(write);

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLMSG_ERROR = 2;
/** sizeof(struct nlmsghdr): length, type, flags, number, sender. */
const HEADER = 16;
/** More than an answer has: an errno, and the message that it answers. */
const ANSWER = 4096;

export function openRouteSocket(): RouteSocket {
  const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check(socket(AF_NETLINK, type, NETLINK_ROUTE), 'socket');
  return {
    async ask(...messages) {
      await writeAsync(fd, Buffer.concat(messages.map(requestOf)));
      // The kernel has done it all by now, and every answer is there to be read.
      const errors = messages.map(() => answerOf(fd));
      const error = errors.find((errno) => errno !== 0);
      if (error !== undefined) throw new SysError('rtnetlink', error);
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** The number of an interface in this thread's namespace. Throws when there is no such name. */
export function interfaceIndex(name: string): number {
  const index = nameToIndex(name);
  if (index === 0) throw new Error(`there is no interface ${name}`);
  return index;
}

function requestOf({ type, flags, body }: RouteMessage, number: number): Buffer {
  const request = Buffer.alloc(HEADER + body.length);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(type, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK | flags, 6);
  request.writeUInt32LE(number, 8);
  body.copy(request, HEADER);
  return request;
}

/** The errno of the next answer, 0 for none. */
function answerOf(fd: number): number {
  const answer = Buffer.alloc(ANSWER);
  const length = readSync(fd, answer);
  if (length < HEADER + 4 || answer.readUInt16LE(4) !== NLMSG_ERROR)
    throw new Error('the kernel gave an answer that is none');
  return -answer.readInt32LE(HEADER);
}
