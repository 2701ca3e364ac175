import type { EmulationOptions } from '../executor/emulation/emulation.ts';
import { configPath } from './config-path.ts';

/** Emulators as kiln.toml names them; it is read when a step for another processor is to be run. */
export function configuredEmulation(
  env: Readonly<Record<string, string | undefined>>,
): EmulationOptions {
  return {
    emulator: async (architecture) =>
      (await import('./emulators.ts')).configuredEmulator(configPath(env), architecture),
  };
}
