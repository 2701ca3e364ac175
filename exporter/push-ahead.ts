import type { Digest } from '../base/digest.ts';
import { CancelledError } from '../base/errors.ts';
import type { Descriptor } from '../base/oci.ts';
import type { Queue } from '../base/queue.ts';
import type { RegistryClient, Repository } from '../registry/client.ts';
import type { UploadOutcome } from '../registry/upload.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import type { GrowingBlob } from '../snapshotter/packer.ts';
import type { BlobInMaking, BlobWatcher } from './parts.ts';
import { mountable, PARALLEL_UPLOADS, type PushOptions, sendBlob } from './push-image.ts';

export interface PushAheadOptions extends Pick<PushOptions, 'signal' | 'locations' | 'report'> {
  /** Repositories that may have a blob. */
  readonly knownIn: (digest: Digest) => readonly Repository[];
}

/**
 * Sends layers to a repository while others are still being compressed, and large ones while they
 * are being compressed themselves. What is sent before its digest is known is given up as soon as
 * the registry turns out to have it, or a repository from which it can be mounted. What fails is
 * sent again as a whole, with all retries. Disposing ends and waits for what nobody waited for.
 */
export class PushAhead implements BlobWatcher, AsyncDisposable {
  readonly repository: Repository;
  readonly #client: RegistryClient;
  readonly #content: ContentStore;
  readonly #options: PushAheadOptions;
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  readonly #outcomes = new Map<Digest, Promise<UploadOutcome>>();
  readonly #running = new Set<Promise<unknown>>();
  #queue: Promise<Queue> | undefined;

  constructor(
    client: RegistryClient,
    repository: Repository,
    content: ContentStore,
    options: PushAheadOptions,
  ) {
    this.#client = client;
    this.repository = repository;
    this.#content = content;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#ended.signal]);
  }

  /** How the blob got to the repository. Undefined for a blob that is not known here. */
  outcome(digest: Digest): Promise<UploadOutcome> | undefined {
    return this.#outcomes.get(digest);
  }

  begin(): BlobInMaking {
    let stream: Stream | undefined;
    return {
      growing: (blob) => {
        stream = this.#stream(blob);
      },
      packed: (descriptor) => {
        const { digest } = descriptor;
        if (this.#outcomes.has(digest)) return stream?.giveUp();
        this.#outcomes.set(digest, this.#watched(this.#push(descriptor, stream)));
      },
      failed: () => stream?.giveUp(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new CancelledError());
    await Promise.allSettled(this.#running);
  }

  async #push(descriptor: Descriptor, stream: Stream | undefined): Promise<UploadOutcome> {
    const { digest } = descriptor;
    stream?.follow((sent) => this.#told(descriptor, sent));
    if (stream && (await this.#finished(descriptor, stream))) {
      this.#options.locations?.add(this.repository, digest);
      return 'uploaded';
    }
    const queue = await (this.#queue ??= import('../base/queue.ts').then(
      ({ Queue }) => new Queue({ concurrency: PARALLEL_UPLOADS }),
    ));
    const blob = { ...this.#known(descriptor), open: this.#opener(digest) };
    return await queue.add(() =>
      sendBlob(this.#client, blob, this.repository, { ...this.#options, signal: this.#signal }),
    );
  }

  #told({ digest, size }: Descriptor, current: number): void {
    this.#options.report?.({ id: digest, name: digest, current, total: size });
  }

  #known(descriptor: Descriptor) {
    return { descriptor, knownIn: this.#options.knownIn(descriptor.digest) };
  }

  #opener(digest: Digest) {
    return (start?: number, end?: number) => this.#content.open(digest, start, end);
  }

  /** True when the stream brought the blob to the registry. Otherwise it is given up. */
  async #finished(descriptor: Descriptor, stream: Stream): Promise<boolean> {
    const { digest, size } = descriptor;
    try {
      const blob = this.#known(descriptor);
      const isElsewhere =
        mountable(blob, this.repository, this.#options.locations).length > 0 ||
        (await this.#client.hasBlob(this.repository, digest, this.#signal, size));
      if (!isElsewhere) {
        stream.name(digest);
        return await stream.isSent;
      }
    } catch {
      // The blob is sent as a whole, and what is wrong is found there.
    }
    stream.giveUp();
    await stream.isSent;
    return false;
  }

  #stream(blob: GrowingBlob): Stream {
    const digest = Promise.withResolvers<Digest>();
    digest.promise.catch(() => undefined);
    const ended = new AbortController();
    let follower: ((sent: number) => void) | undefined;
    const read = () => counted(blob.read(), (sent) => follower?.(sent));
    const source = { open: read, digest: digest.promise };
    const signal = AbortSignal.any([this.#signal, ended.signal]);
    const isSent = this.#client
      .pushGrowing(this.repository, source, signal)
      .then(
        () => true,
        () => false,
      )
      .finally(() => blob[Symbol.dispose]());
    return {
      isSent: this.#watched(isSent),
      name: digest.resolve,
      follow(tell) {
        follower = tell;
      },
      giveUp() {
        digest.reject(new CancelledError());
        ended.abort(new CancelledError());
      },
    };
  }

  #watched<T>(work: Promise<T>): Promise<T> {
    const over = work.then(
      () => undefined,
      () => undefined,
    );
    this.#running.add(over);
    void over.finally(() => this.#running.delete(over));
    return work;
  }
}

/** A blob on its way to the registry before its digest is known. */
interface Stream {
  /** False when the registry has not taken it. */
  readonly isSent: Promise<boolean>;
  /** The blob is complete. The upload may end under this digest. */
  name(digest: Digest): void;
  /** `tell` gets the number of bytes that are sent from now on. */
  follow(tell: (sent: number) => void): void;
  giveUp(): void;
}

/** Passes the bytes on. `tell` gets their number so far. */
async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  tell: (sent: number) => void,
): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const piece of bytes) {
    yield piece;
    tell((sent += piece.byteLength));
  }
}
