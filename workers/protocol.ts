import { formatPlatform, type Platform } from '../base/platform.ts';

/**
 * # What passes between builds and workers on NATS
 *
 * Every message is JSON and says in `protocol` which version of this file wrote it. What is stored
 * in a stream says who wants something done, and nothing of what that is: the graph, the files and
 * the secrets pass over a sealed link (nats/sealed-link.ts) between the two alone.
 */
export const PROTOCOL = 1;

/** The work-queue stream. Its messages are jobs. */
export const WORK_STREAM = 'kiln-work';
/** Key-value: who is there. Entries go away by themselves when they are not written again. */
export const WORKERS_BUCKET = 'kiln_workers';
/**
 * Key-value: which worker makes, or has made, the result of a key; and below `near-`, which one did
 * work of a name last.
 */
export const RESULTS_BUCKET = 'kiln_results';

/** A job: somebody wants a graph solved by a worker. */
export interface JobMessage {
  readonly protocol: number;
  /** Random. The worker that takes the job says hello at `helloSubject(id)`. */
  readonly id: string;
  /** The build's half of the keys of the link (nats/link-keys.ts). */
  readonly publicKey: string;
}

/** What a worker says that has taken a job. */
export interface HelloMessage {
  readonly protocol: number;
  readonly version: string;
  readonly worker: string;
  /** Random: the name of the link. */
  readonly link: string;
  readonly publicKey: string;
}

/** The answer to it. */
export interface HelloAnswer {
  readonly protocol: number;
  /** False: the build does not want this worker, and the job is to be left for others. */
  readonly isWelcome: boolean;
}

/** A worker as it tells of itself, at its start and every few seconds. */
export interface WorkerPresence {
  readonly protocol: number;
  readonly version: string;
  readonly worker: string;
  /** The platforms that it runs without emulation, such as `linux/arm64`. */
  readonly platforms: readonly string[];
  readonly labels: readonly string[];
  /** True when it may be given secrets and ssh agents. */
  readonly isTrusted: boolean;
  /** How many jobs it takes at the same time, and how many it has. */
  readonly slots: number;
  readonly running: number;
}

/** Which worker has, or will have, the result of a key: empty while none has taken the job. */
export interface ResultPlace {
  readonly protocol: number;
  readonly worker: string;
}

/** Whoever shall do a job: any worker of a platform and a label, or one worker. */
export type Addressee =
  | { readonly kind: 'any'; readonly platform: Platform; readonly label: string | undefined }
  | { readonly kind: 'one'; readonly worker: string };

/**
 * The subject of jobs for an addressee. Jobs with secrets have a subject of their own, from which
 * only trusted workers take.
 */
export function jobSubject(to: Addressee, hasSecrets: boolean): string {
  const trust = hasSecrets ? 'secret' : 'plain';
  if (to.kind === 'one') return `kiln.work.one.${to.worker}.${trust}`;
  return `kiln.work.any.${platformToken(to.platform)}.${to.label ?? '_'}.${trust}`;
}

/** A platform as one word of a subject. */
function platformToken(platform: Platform): string {
  return formatPlatform(platform).replaceAll('/', '-').replaceAll('.', '_');
}

export function helloSubject(job: string): string {
  return `kiln.job.${job}`;
}

/** Where each side of a link listens. */
export function linkSubjects(link: string): { readonly worker: string; readonly build: string } {
  return { worker: `kiln.link.${link}.w`, build: `kiln.link.${link}.b` };
}

/** Letters, digits and `-`: one word of a subject, and a key of a bucket. */
export function isWord(text: string): boolean {
  return /^[A-Za-z0-9-]{1,64}$/.test(text);
}

/** Reads a message. Undefined when it is not an object of JSON with these fields as texts. */
export function parseMessage<T extends { readonly protocol: number }>(
  bytes: Uint8Array,
  texts: readonly (keyof T & string)[],
): T | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value !== 'object' || value === null) return undefined;
    const fields = value as Readonly<Record<string, unknown>>;
    if (typeof fields['protocol'] !== 'number') return undefined;
    // Those of another version may have other fields. Their reader looks at the version first.
    if (fields['protocol'] === PROTOCOL && !texts.every((name) => typeof fields[name] === 'string'))
      return undefined;
    return value as T;
  } catch {
    return undefined;
  }
}

export function messageBytes(message: { readonly protocol: number }): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}
