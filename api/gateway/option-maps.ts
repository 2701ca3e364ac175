import { KilnError } from '../../base/errors.ts';

/** The options of a frontend as a client sends them, by BuildKit's names. */
export type FrontendOptions = Readonly<Record<string, string>>;

/** What a client asks of a frontend. */
export interface AskedFrontend {
  readonly frontend: string;
  readonly options: FrontendOptions;
  /** Graphs by their names, each a pb.Definition. */
  readonly inputs: Readonly<Record<string, Uint8Array>>;
}

/** The options whose names begin with `prefix`, without it. */
export function prefixed(options: FrontendOptions, prefix: string): Map<string, string> {
  return new Map(
    Object.entries(options).flatMap(([name, value]): [string, string][] =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );
}

export function invalidOption(name: string, value: string): KilnError {
  return new KilnError(
    'KILN_REQUEST_INVALID',
    `the option ${name} of the frontend has a value that is not valid: ${JSON.stringify(value)}`,
  );
}

export function unsupportedOption(name: string, why: string): KilnError {
  return new KilnError(
    'KILN_REQUEST_UNSUPPORTED',
    `the option ${name} of the frontend cannot be served: ${why}`,
  );
}
