import { KilnError } from '../base/errors.ts';
import { toEvent } from './check/warning.ts';
import { withAutomounts } from './convert/automount.ts';
import { Findings } from './convert/checks.ts';
import { warningsBefore } from './convert/checks-before.ts';
import { convertDockerfile } from './convert/convert.ts';
import { withEpoch } from './convert/epoch.ts';
import { unusedBuildArgs, unusedContexts, unusedFilters } from './convert/unused.ts';
import type { FrontendRequest } from './frontend.ts';
import { type Frontend, type Gateway, requestOver } from './gateway.ts';
import type { Dockerfile } from './instructions.ts';
import { parseDockerfile } from './parse.ts';

/** `dockerfile.v0`. Its findings are reported as soon as the lowering ends, even when it fails. */
export const dockerfileFrontend: Frontend = {
  async solve(gateway, inputs) {
    const given = requestOver(gateway, inputs);
    const dockerfile = withAutomounts(parsed(gateway, given), given);
    const request = await withEpoch(given, dockerfile, gateway);
    const findings = new Findings(request, dockerfile);
    try {
      const result = await convertDockerfile(request, dockerfile, findings);
      const triggers = result.targets.flatMap(({ base }) => base?.config?.OnBuild ?? []);
      for (const unused of [
        unusedBuildArgs(dockerfile, request.buildArgs, triggers),
        unusedFilters(dockerfile, request.noCache),
        unusedContexts(request, triggers),
      ])
        if (unused) gateway.warn(unused);
      return { ...result, epoch: request.epoch };
    } finally {
      for (const event of findings.events()) gateway.warn(event);
    }
  },
};

/** Reports what was found above a syntax error. */
function parsed(gateway: Gateway, request: FrontendRequest): Dockerfile {
  try {
    return parseDockerfile(request.dockerfile);
  } catch (error) {
    if (error instanceof KilnError)
      for (const found of warningsBefore(error, request)) gateway.warn(toEvent(found));
    throw error;
  }
}
