import type { Digest } from '../base/digest.ts';
import type { ProgressSink } from '../base/progress.ts';

/** What a download needs: a signal that aborts it, and where its progress is shown. */
export interface DownloadContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressSink;
  /** The vertex whose result is downloaded. */
  readonly vertex: Digest;
}

/**
 * A result of an imported cache whose bytes have not been downloaded yet. It counts as a cache hit.
 * The bytes are downloaded when a step reads them, or when the caller of the build needs the
 * result.
 */
export class Deferred<R> {
  readonly #download: (context: DownloadContext) => Promise<R>;
  #downloaded: { readonly result: R } | undefined;
  /** A description for the caller, such as the list of layers. The solver passes it on unread. */
  readonly about: unknown;

  constructor(download: (context: DownloadContext) => Promise<R>, about?: unknown) {
    this.#download = download;
    this.about = about;
  }

  /** The result, or undefined while it has not been downloaded. */
  get downloaded(): R | undefined {
    return this.#downloaded?.result;
  }

  /**
   * Downloads the result. After a success further calls return the same result at once; after a
   * failure the next call tries again.
   */
  async download(context: DownloadContext): Promise<R> {
    this.#downloaded ??= { result: await this.#download(context) };
    return this.#downloaded.result;
  }
}

/** A result that is either here, or known and not downloaded yet. */
export type MaybeDeferred<R> = R | Deferred<R>;

/** The result, downloaded first if it is deferred. */
export async function downloaded<R>(held: MaybeDeferred<R>, context: DownloadContext): Promise<R> {
  return held instanceof Deferred ? await held.download(context) : held;
}

/**
 * A deferred result could not be downloaded. Its record has been dropped, so a new solve executes
 * the step instead.
 */
export class LostResult extends Error {
  /** The name of the step, as shown to the user. */
  readonly description: string;

  constructor(description: string, cause: unknown) {
    super(`the cached result of ${description} is not available`, { cause });
    this.name = 'LostResult';
    this.description = description;
  }
}
