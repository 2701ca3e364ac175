import type { Owner, OwnerId } from '../../solver/llb/builder.ts';
import type { Conversion } from './conversion.ts';

/**
 * `--chown` and USER: `user`, `user:group`, names or numbers. Only `root` needs no look into the
 * image's passwd file.
 */
export function chownOf(text: string): Owner {
  const colon = text.indexOf(':');
  const user = ownerId(colon < 0 ? text : text.slice(0, colon));
  return colon < 0 ? { user } : { user, group: ownerId(text.slice(colon + 1)) };
}

function ownerId(text: string): OwnerId {
  if (text === 'root') return { id: 0 };
  if (/^[+-]?[0-9]+$/.test(text)) {
    const id = Number(text);
    if (id >= -0x80000000 && id <= 0x7fffffff) return { id: id >>> 0 };
  }
  // An empty name counts as number 0, as in BuildKit.
  return text === '' ? { id: 0 } : { name: text };
}

/**
 * The time of new files, in nanoseconds. It is -1 when the time of the build or of the source
 * applies.
 */
export function createdTime({ request }: Conversion): number | bigint {
  return request.epoch === undefined ? -1 : BigInt(request.epoch) * 1_000_000_000n;
}
