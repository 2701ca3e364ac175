import { KilnError, messageOf } from '../base/errors.ts';
import { formatPlatform, type Platform, parsePlatform } from '../base/platform.ts';
import type { ProgressSink } from '../base/progress.ts';
import { textIfThere } from '../registry/textfile.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { topological } from '../solver/llb/walk.ts';
import type { EmulatedStep } from '../solver/world.ts';

/**
 * The emulator that the user names for an architecture in kiln.toml, in the place of the one that is found:
 *
 *     [emulators]
 *       arm64 = "/opt/qemu/qemu-aarch64"
 *
 * Throws KILN_EMULATORS_INVALID.
 */
export async function configuredEmulator(path: string, architecture: string): Promise<string | undefined> {
  const text = textIfThere('the configuration', path);
  if (text === undefined) return undefined;
  const { parse } = await import('smol-toml');
  try {
    const emulators: unknown = parse(text)['emulators'];
    if (emulators === undefined) return undefined;
    if (typeof emulators !== 'object' || emulators === null) throw new Error('emulators is no table');
    for (const [name, value] of Object.entries(emulators)) {
      if (typeof value !== 'string' || !value.startsWith('/')) throw new Error(`emulators.${name} is no absolute path`);
      if (parsePlatform(`linux/${name}`, LINUX).architecture === architecture) return value;
    }
    return undefined;
  } catch (error) {
    throw new KilnError('KILN_EMULATORS_INVALID', `${path} is not valid: ${messageOf(error).split('\n', 1)[0]}`, {
      place: { kind: 'path', path },
      hint: 'write [emulators] and below it ARCHITECTURE = "/path/of/a/static/qemu"',
      cause: error,
    });
  }
}

const LINUX: Platform = { os: 'linux', architecture: 'amd64' };

/** Says once for each platform which steps an emulator ran, and how to do without. */
export function tellEmulated(steps: readonly EmulatedStep[], edges: readonly LlbEdge[], progress: ProgressSink): void {
  if (steps.length === 0) return;
  const names = new Map(
    edges.flatMap(topological).map((vertex) => [vertex.digest, vertex.metadata.description['llb.customname']]),
  );
  const byPlatform = Map.groupBy(steps, ({ platform }) => formatPlatform(platform));
  for (const [platform, emulated] of byPlatform) {
    const count = emulated.length === 1 ? 'a step' : `${emulated.length} steps`;
    progress({
      kind: 'warning',
      short: `${count} for ${platform} ran emulated by ${emulated[0]?.emulator}, many times slower than without`,
      detail: [
        ...emulated.map(({ vertex }) => names.get(vertex) ?? vertex),
        'compiling in a stage FROM --platform=$BUILDPLATFORM, for the TARGETOS and TARGETARCH that it declares with ARG, needs no emulation',
      ],
    });
  }
}
