import { Findings } from './convert/checks.ts';
import { convertDockerfile } from './convert/convert.ts';
import { unusedBuildArgs, unusedContexts, unusedFilters } from './convert/unused.ts';
import { type Frontend, requestOver } from './gateway.ts';
import { parseDockerfile } from './parse.ts';

/** `dockerfile.v0`. Its findings are reported as soon as the lowering ends, even when it fails. */
export const dockerfileFrontend: Frontend = {
  async solve(gateway, inputs) {
    const request = requestOver(gateway, inputs);
    const dockerfile = parseDockerfile(request.dockerfile);
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
      return result;
    } finally {
      for (const event of findings.events()) gateway.warn(event);
    }
  },
};
