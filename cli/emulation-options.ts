import type { EmulationOptions } from '../executor/emulation/emulation.ts';
import { configPath } from './config-path.ts';

/**
 * Returns the emulators that kiln.toml names. The file is read when a step for another architecture
 * has to run, not before.
 */
export function configuredEmulation(
  env: Readonly<Record<string, string | undefined>>,
): EmulationOptions {
  return {
    emulator: async (architecture) =>
      (await import('./emulation-config.ts')).configuredEmulator(configPath(env), architecture),
  };
}
