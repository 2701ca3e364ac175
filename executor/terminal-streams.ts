import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { errnoOf } from '../base/errors.ts';
import { O } from '../snapshotter/sys/constants.ts';
import { bind, check } from '../snapshotter/sys/native.ts';
import { type ProcessStreams, releaseOnce, untilClosed } from './process-streams.ts';
import { setTerminalSize } from './terminal-size.ts';

/** The streams of a process on a terminal: one, for input and output, of a given size. */
export interface TerminalStreams extends ProcessStreams {
  /** Changes the size. `RunningProcess.resize` gives it to the terminal of the process. */
  resize(rows: number, columns: number): void;
}

// ioctl_tty(2) and ioctl_tiocgptpeer of Linux, the same on x86_64 and arm64.
const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;

const c = {
  ioctl: bind('int ioctl(int, uint64_t, void *)'),
  openPeer: bind('int ioctl(int, uint64_t, uint64_t)'),
};

/** The bits of termios(3) that cfmakeraw clears, by the words of the kernel's struct termios. */
const COOKED = [0x5eb, 0x1, 0x130, 0x804b] as const;
const CHARACTERS_OF_8_BITS = 0x30;
/** At least sizeof(struct termios) of the kernel (36). */
const TERMIOS = 64;
/** Milliseconds between two attempts to write to a terminal whose process does not read. */
const RETRY_MS = 10;

/**
 * Makes a pseudo-terminal. The runtime stands between it and the terminal that it makes in the
 * sandbox, so here all bytes pass unchanged. Throws a SysError where the host has no terminals.
 */
export function terminalStreams(): TerminalStreams {
  const master = openSync('/dev/ptmx', O.RDWR | O.NOCTTY | constants.O_NONBLOCK);
  let peer: number;
  try {
    check(c.ioctl(master, TIOCSPTLCK, Buffer.alloc(4)), 'ioctl');
    peer = check(c.openPeer(master, TIOCGPTPEER, O.RDWR | O.NOCTTY | O.CLOEXEC), 'ioctl');
  } catch (error) {
    closeSync(master);
    throw error;
  }
  makeRaw(peer);
  const reader = new ReadStream(master);
  // That the last process has closed the terminal is an error here (EIO), and means the end.
  reader.on('error', () => reader.destroy());
  return {
    lent: { descriptors: [peer, peer, peer], terminal: true, ownSession: true },
    outputs: [[1, untilClosed(reader)]],
    async write(bytes) {
      for (let at = 0; at < bytes.length && !reader.destroyed; )
        try {
          at += writeSync(master, bytes, at);
        } catch (error) {
          if (errnoOf(error) !== 'EAGAIN') return;
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
    },
    // A terminal has no end. Ctrl-D is a byte like others.
    end() {},
    resize(rows, columns) {
      if (!reader.destroyed) setTerminalSize(master, rows, columns);
    },
    release: releaseOnce([peer]),
    [Symbol.dispose]() {
      this.release();
      reader.destroy();
    },
  };
}

function makeRaw(terminal: number): void {
  const termios = Buffer.alloc(TERMIOS);
  check(c.ioctl(terminal, TCGETS, termios), 'ioctl');
  for (const [at, bits] of COOKED.entries())
    termios.writeUInt32LE((termios.readUInt32LE(at * 4) & ~bits) >>> 0, at * 4);
  termios.writeUInt32LE(termios.readUInt32LE(8) | CHARACTERS_OF_8_BITS, 8);
  check(c.ioctl(terminal, TCSETS, termios), 'ioctl');
}
