import { KilnError } from '../../base/errors.ts';

interface FixedFlag {
  /** The values that say what Kiln does. A flag without a value has the value `true`. */
  readonly values: readonly string[];
  /** What Kiln does, whatever the flag says. */
  readonly why: string;
}

const TRUE = ['true', '1', 't', 'T', 'TRUE', 'True'];
const FALSE = ['false', '0', 'f', 'F', 'FALSE', 'False'];
const SANDBOX = 'every step runs in a sandbox of its own';

/**
 * Flags of podman that Kiln has only one value of. With that value they change nothing, and are
 * taken. With another value they are refused.
 */
export const FIXED_FLAGS: Readonly<Record<string, FixedFlag>> = {
  '--cgroupns': { values: ['private'], why: SANDBOX },
  '--created-annotation': { values: FALSE, why: 'no annotation is added; --annotation adds one' },
  '--disable-compression': {
    values: [...TRUE, ...FALSE],
    why: 'images are stored unpacked, and compressed on the way out (compression= of --output)',
  },
  '--identity-label': { values: FALSE, why: 'no label is added; --label adds one' },
  '--inherit-annotations': { values: FALSE, why: 'annotations of a base are not inherited' },
  '--inherit-labels': { values: TRUE, why: 'labels of a base are inherited' },
  '--ipc': { values: ['private', 'container'], why: SANDBOX },
  '--pid': { values: ['private', 'container'], why: SANDBOX },
  '--skip-unused-stages': {
    values: TRUE,
    why: 'stages that the target does not need are not built; --target builds one',
  },
  '--userns': {
    values: ['host'],
    why: 'Kiln maps users itself: an ordinary user builds in a user namespace',
  },
  '--uts': { values: ['private', 'container'], why: SANDBOX },
};

/** What Kiln does, whatever `flag` says. */
export function whyFixed(flag: string): string {
  return FIXED_FLAGS[flag]?.why ?? '';
}

/**
 * Throws KILN_FLAG_UNSUPPORTED when a flag asks for what Kiln does not do. `given` returns the
 * value that a flag was given.
 */
export function checkFixed(given: (flag: string) => string | undefined): void {
  for (const [flag, { values, why }] of Object.entries(FIXED_FLAGS)) {
    const value = given(flag);
    if (value === undefined || values.includes(value)) continue;
    throw new KilnError('KILN_FLAG_UNSUPPORTED', `kiln build has no ${flag}=${value}`, {
      place: { kind: 'flag', flag },
      hint: why,
      exitCode: 2,
    });
  }
}
