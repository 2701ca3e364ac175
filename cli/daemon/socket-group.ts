import { readFileSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { attempt, reading } from '../../base/oserror.ts';

/**
 * Returns the id of a group of this host. `group` is its name, or the id itself. Throws
 * KILN_FLAG_VALUE when there is no such group.
 */
export function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group);
  const path = '/etc/group';
  const text = attempt(reading('the list of groups', path), () => readFileSync(path, 'utf8'));
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (name === group && id !== undefined) return Number(id);
  }
  throw new KilnError('KILN_FLAG_VALUE', `there is no group ${JSON.stringify(group)}`, {
    place: { kind: 'flag', flag: '--group' },
    hint: `create it: groupadd --system ${group}`,
    exitCode: 2,
  });
}
