import { type Platform, parsePlatform } from '../base/platform.ts';
import { textIfThere } from '../registry/textfile.ts';
import { readToml } from './kiln-toml.ts';

/**
 * Returns the path of the emulator that the kiln.toml at `path` names for an architecture, or
 * undefined when it names none. It is used instead of an emulator that Kiln finds on the host:
 *
 *     [emulators]
 *       arm64 = "/opt/qemu/qemu-aarch64"
 *
 * Throws KILN_EMULATORS_INVALID.
 */
export async function configuredEmulator(
  path: string,
  architecture: string,
): Promise<string | undefined> {
  const text = textIfThere('the configuration', path);
  if (text === undefined) return undefined;
  return await readToml(text, path, INVALID, ({ emulators }) => {
    if (emulators === undefined) return undefined;
    if (typeof emulators !== 'object' || emulators === null)
      throw new Error('emulators is not a table');
    for (const [name, value] of Object.entries(emulators)) {
      if (typeof value !== 'string' || !value.startsWith('/'))
        throw new Error(`emulators.${name} is not an absolute path`);
      if (parsePlatform(`linux/${name}`, LINUX).architecture === architecture) return value;
    }
    return undefined;
  });
}

const INVALID = {
  code: 'KILN_EMULATORS_INVALID',
  hint: 'write [emulators], and below it ARCHITECTURE = "/path/of/a/static/qemu"',
} as const;

const LINUX: Platform = { os: 'linux', architecture: 'amd64' };
