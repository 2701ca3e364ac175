/**
 * The questions that the frontend answers instead of building: BuildKit's subrequests. The words of
 * `--call` are the keys, except that BuildKit calls `check` lint.
 */
export const QUESTIONS = {
  check: {
    request: 'frontend.lint',
    version: '1.0.0',
    what: 'Check the Dockerfile',
    answers: ['result.json', 'result.txt'],
  },
  outline: {
    request: 'frontend.outline',
    version: '1.0.0',
    what: 'List what can be given to the target',
    answers: ['result.json', 'result.txt'],
  },
  targets: {
    request: 'frontend.targets',
    version: '1.0.0',
    what: 'List the targets of the Dockerfile',
    answers: ['result.json', 'result.txt'],
  },
  convertllb: {
    request: 'frontend.convertllb',
    version: '0.1.0',
    what: 'Convert the Dockerfile to a graph (LLB)',
    answers: ['result.json'],
  },
  'subrequests.describe': {
    request: 'frontend.subrequests.describe',
    version: '1.0.0',
    what: 'List these questions',
    answers: ['result.json', 'result.txt'],
  },
} as const;

export type CallMethod = keyof typeof QUESTIONS;

/** The question with the name that BuildKit's API has for it, or undefined. */
export function callMethodOf(request: string): CallMethod | undefined {
  const entries = Object.entries(QUESTIONS) as [CallMethod, { readonly request: string }][];
  return entries.find(([, known]) => known.request === request)?.[0];
}

/** The list of the questions, with the fields of BuildKit's document. */
export function questionsDocument(): unknown {
  return Object.values(QUESTIONS).map(({ request, version, what, answers }) => ({
    name: request,
    version,
    type: 'rpc',
    description: what,
    metadata: answers.map((name) => ({ name })),
  }));
}

/** The same as text, in the columns of buildx. */
export function questionsText(): string {
  const rows = [
    ['NAME', 'VERSION', 'DESCRIPTION'],
    ...Object.values(QUESTIONS).map(({ request, version, what }) => [
      request.replace(/^frontend\./, ''),
      version,
      what,
    ]),
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)) + 1);
  return rows
    .map(
      ([name = '', version = '', what = '']) =>
        `${name.padEnd(widths[0]!)}${version.padEnd(widths[1]!)}${what}`,
    )
    .map((line) => `${line}\n`)
    .join('');
}
