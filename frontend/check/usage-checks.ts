import type { SourceRange } from '../../solver/llb/graph.ts';
import { quote } from '../gotext.ts';
import type { Dockerfile, StageInstruction } from '../instructions.ts';
import { type Check, type Warning, warning } from './warning.ts';

type Of<K extends StageInstruction['kind']> = Extract<StageInstruction, { readonly kind: K }>;

function all<K extends StageInstruction['kind']>(dockerfile: Dockerfile, kind: K): Of<K>[] {
  const isKind = (instruction: StageInstruction): instruction is Of<K> => instruction.kind === kind;
  return dockerfile.stages.flatMap(({ instructions }) => instructions.filter(isKind));
}

const noEmptyContinuation: Check = ({ notes }) =>
  notes
    .filter(({ kind }) => kind === 'empty-continuation')
    .map(({ range }) => warning('NoEmptyContinuation', 'Empty continuation line', range));

const maintainerDeprecated: Check = (dockerfile) =>
  all(dockerfile, 'maintainer').map(({ range }) =>
    warning(
      'MaintainerDeprecated',
      'Maintainer instruction is deprecated in favor of using label',
      range,
    ),
  );

const legacyKeyValue: Check = (dockerfile) =>
  [...all(dockerfile, 'env'), ...all(dockerfile, 'label')].flatMap(
    ({ keyword, entries, range }) => {
      if (!entries.some(({ legacy }) => legacy)) return [];
      return [
        warning(
          'LegacyKeyValueFormat',
          `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`,
          range,
        ),
      ];
    },
  );

/** Ports with variables are checked when they are expanded. */
const exposeFormat: Check = (dockerfile) =>
  all(dockerfile, 'expose').flatMap(({ ports, range }) =>
    ports.filter((port) => !port.includes('$')).flatMap((port) => checkPort(port, range)),
  );

/** The same for a port that has been expanded. */
export function checkPort(port: string, range: SourceRange): Warning[] {
  const found: Warning[] = [];
  const protocol = port.split('/')[1] ?? '';
  if (protocol !== protocol.toLowerCase()) {
    found.push(
      warning(
        'ExposeProtoCasing',
        `Defined protocol '${port}' in EXPOSE instruction should be lowercase`,
        range,
      ),
    );
  }
  if (port.includes(':')) {
    const message =
      'EXPOSE instruction should not define an IP address or host-port ' +
      `mapping, found '${port}'`;
    found.push(warning('ExposeInvalidFormat', message, range));
  }
  return found;
}

export const SECRET_NAME =
  /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
/** What is public, the name of a file with a secret, and the version of one are no secrets. */
const HARMLESS = /(?:_|^)(?:public|file|version)(?:_|$)/i;

const secretsUsed: Check = (dockerfile) => {
  const find = (name: string, keys: readonly string[], range: SourceRange) =>
    keys
      .filter((key) => SECRET_NAME.test(key) && !HARMLESS.test(key))
      .map((key) =>
        warning(
          'SecretsUsedInArgOrEnv',
          `Do not use ARG or ENV instructions for sensitive data (${name} ${quote(key)})`,
          range,
        ),
      );
  const keysOf = (entries: readonly { readonly key: string }[]) => entries.map(({ key }) => key);
  return [
    ...all(dockerfile, 'arg').flatMap(({ args, range }) => find('ARG', keysOf(args), range)),
    ...all(dockerfile, 'env').flatMap(({ entries, range }) => find('ENV', keysOf(entries), range)),
  ];
};

/** Reports every one except the last, which alone counts. */
const multipleInstructions: Check = ({ stages }) =>
  stages.flatMap(({ instructions }) =>
    (['cmd', 'entrypoint', 'healthcheck'] as const).flatMap((kind) =>
      instructions
        .filter((instruction) => instruction.kind === kind)
        .slice(0, -1)
        .map(({ range }) => {
          const message =
            `Multiple ${kind.toUpperCase()} instructions should not be used in the same stage ` +
            'because only the last one will be used';
          return warning('MultipleInstructionsDisallowed', message, range);
        }),
    ),
  );

/** A SHELL, in this stage or in one of its bases, shows that the shell form is intended. */
const jsonArgs: Check = (dockerfile) =>
  walkStages(dockerfile, 'shell', (instruction) => {
    if (
      (instruction.kind !== 'cmd' && instruction.kind !== 'entrypoint') ||
      instruction.command.form === 'exec'
    )
      return [];
    const message =
      `JSON arguments recommended for ${instruction.keyword} to prevent unintended behavior ` +
      'related to OS signals';
    return [warning('JSONArgsRecommended', message, instruction.range)];
  });

/**
 * After a WORKDIR, in this stage or in one of its bases, a relative one is clear. Paths with
 * variables are checked by the converter.
 */
const workdirRelative: Check = (dockerfile) =>
  walkStages(dockerfile, 'workdir', (instruction) => {
    if (instruction.kind !== 'workdir' || /^\/|[$'"\\`]/.test(instruction.path)) return [];
    const message =
      `Relative workdir ${quote(instruction.path)} can have unexpected results if ` +
      'the base image changes';
    return [warning('WorkdirRelativePath', message, instruction.range)];
  });

/**
 * Visits each instruction before which there is no instruction of `kind`, in the stage or its
 * bases.
 */
function walkStages(
  dockerfile: Dockerfile,
  kind: 'shell' | 'workdir',
  ask: (instruction: StageInstruction) => Warning[],
): Warning[] {
  const settled = new Map<string, boolean>();
  return dockerfile.stages.flatMap((stage) => {
    let done = settled.get(stage.from.image.toLowerCase()) ?? false;
    const found: Warning[] = [];
    for (const instruction of stage.instructions) {
      if (!done) found.push(...ask(instruction));
      done ||= instruction.kind === kind;
    }
    if (stage.from.name !== undefined) settled.set(stage.from.name, done);
    return found;
  });
}

export const usageChecks: readonly Check[] = [
  noEmptyContinuation,
  maintainerDeprecated,
  legacyKeyValue,
  exposeFormat,
  secretsUsed,
  multipleInstructions,
  jsonArgs,
  workdirRelative,
];
