import {
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { digestOf, hexOf } from '../base/digest.ts';

/**
 * A small file for each name, for what only saves questions to registries. Whoever reads it checks
 * each field, because the file may be damaged or older than the code. Nothing here throws: a full
 * disk is reported by the code that has to write.
 */
export interface RememberedFiles {
  /** The object that was kept under `name`, with fields of any type. Undefined if there is none. */
  read(name: string): Readonly<Record<string, unknown>> | undefined;
  /** Milliseconds since the last `write` or `confirm`. Infinity when the clock was set back. */
  age(name: string): number;
  write(name: string, value: Readonly<Record<string, unknown>>): void;
  /** Makes the file as young as one that is written now. False when that is not possible. */
  confirm(name: string): boolean;
  remove(name: string): void;
}

/** Keeps the files in `directory`, which is made with the first one. Only its owner reads them. */
export function openRememberedFiles(directory: string): RememberedFiles {
  const fileOf = (name: string) => join(directory, hexOf(digestOf(name)));
  return {
    read(name) {
      try {
        const value: unknown = JSON.parse(readFileSync(fileOf(name), 'utf8'));
        return typeof value === 'object' && value !== null ? { ...value } : undefined;
      } catch {
        return undefined;
      }
    },
    age(name) {
      const since = statSync(fileOf(name), { throwIfNoEntry: false })?.mtimeMs;
      const age = since === undefined ? Infinity : Date.now() - since;
      // File systems round times, and the time of a file may be that of a coarser clock.
      return age < -1000 ? Infinity : Math.max(0, age);
    },
    write(name, value) {
      const temporary = `${fileOf(name)}.${process.pid}.part`;
      try {
        mkdirSync(directory, { recursive: true, mode: 0o700 });
        writeFileSync(temporary, JSON.stringify(value), { mode: 0o600 });
        renameSync(temporary, fileOf(name));
      } catch {
        // What is not remembered is asked again.
      }
    },
    confirm(name) {
      const now = Date.now() / 1000;
      try {
        utimesSync(fileOf(name), now, now);
        return true;
      } catch {
        return false;
      }
    },
    remove(name) {
      try {
        rmSync(fileOf(name), { force: true });
      } catch {
        // It is refused where it is used, and asked for again.
      }
    },
  };
}
