import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs that open an address in the browser of a desktop. */
const OPENERS = ['xdg-open', 'wslview', 'sensible-browser'];

/**
 * Opens an address in the user's browser: the one that `BROWSER` names, or else that of the
 * desktop. Returns false when there is none, as on a host without a display.
 */
export async function openBrowser(address: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const named = (env['BROWSER'] ?? '').split(delimiter).filter(Boolean);
  const hasDesktop = Boolean(env['DISPLAY'] || env['WAYLAND_DISPLAY'] || env['WSL_DISTRO_NAME']);
  for (const program of [...named, ...(hasDesktop ? OPENERS : [])])
    if (isProgram(program, env) && (await starts(program, address, env))) return true;
  return false;
}

function isProgram(name: string, env: NodeJS.ProcessEnv): boolean {
  if (name.includes('/')) return existsSync(name);
  return (env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)));
}

/** Starts a browser, which goes on when Kiln has ended. */
function starts(program: string, address: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  return new Promise((done) => {
    const child = spawn(program, [address], { detached: true, stdio: 'ignore', env });
    child.once('error', () => done(false));
    child.once('spawn', () => {
      child.unref();
      done(true);
    });
  });
}
