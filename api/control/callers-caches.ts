import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, isDigest } from '../../base/digest.ts';
import { messageOf } from '../../base/errors.ts';
import {
  filledMounts,
  putBlob,
  saveAsBlobs,
  savedBlobPath,
  savedBlobs,
} from '../../cache/saved/blobs.ts';
import { CHUNK } from '../../cache/saved/chunker.ts';
import { invalid, MAX_INDEX } from '../../cache/saved/format.ts';
import { restoreMount } from '../../cache/saved/import.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import { pathOf } from '../grpc/inner-server.ts';
import { CacheMounts } from '../proto/cachemounts.gen.ts';
import type { ClientSession } from '../session/client-session.ts';
import { readClientBlob, writeClientBlob } from '../session/content/client-store.ts';
import { type AskedCaches, CACHE_MOUNTS, CACHE_STORE } from './cache-mounts.ts';

/**
 * # The cache mounts of a caller
 *
 * A caller that sends a part of a build may lend its cache mounts, and take those of this host: the
 * side that has no such mount begins with the other's. Mounts that are there stay as they are. What
 * cannot be brought is a warning, because a step works without it.
 */
export class CallersCaches {
  readonly #asked: AskedCaches;
  readonly #session: ClientSession;
  readonly #store: Store;
  readonly #root: string;
  readonly #warn: (short: string) => void;

  /** `root` is a directory for blobs, which exists for as long as this is used. */
  constructor(
    asked: AskedCaches,
    session: ClientSession,
    store: Store,
    root: string,
    warn: (short: string) => void,
  ) {
    this.#asked = asked;
    this.#session = session;
    this.#store = store;
    this.#root = root;
    this.#warn = warn;
  }

  /** Brings the mounts that this host lacks. */
  async bring(signal: AbortSignal): Promise<void> {
    if (!this.#session.supports(pathOf(CacheMounts.method.offer))) return;
    const here = new Set(this.#here(this.#asked.has).map(({ mountId }) => mountId));
    const lacking = this.#asked.has.filter((id) => !here.has(id));
    if (lacking.length === 0) return;
    await this.#orWarn('brought', signal, async () => {
      const { client } = this.#session;
      const { list } = await client.unary(CacheMounts.method.offer, { ids: lacking }, signal);
      if (!isDigest(list)) return;
      await this.#fetch(list, MAX_INDEX, signal);
      const source = savedBlobs(this.#root, list);
      for (const mount of source.mounts) {
        if (!lacking.includes(mount.id)) continue;
        for (const { digest } of mount.chunks) await this.#fetch(digest, CHUNK.most, signal);
        await restoreMount(this.#store, source, mount, signal, 'keep');
      }
    });
  }

  /** Sends the mounts that the caller lacks. Returns what the answer of the build says of them. */
  async send(signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    const places = this.#here(this.#asked.lacks);
    if (places.length === 0) return {};
    const sent = await this.#orWarn('sent', signal, async () => {
      const { list, mounts } = await saveAsBlobs(places, this.#root, signal);
      const chunks = mounts.flatMap((mount) => mount.chunks.map(({ digest }) => digest));
      for (const digest of new Set([...chunks, list])) await this.#put(digest, signal);
      return list;
    });
    return sent === undefined ? {} : { [CACHE_MOUNTS]: sent };
  }

  #here(ids: readonly string[]) {
    return filledMounts(join(this.#store.root, 'caches'), new Set(ids));
  }

  async #fetch(digest: Digest, most: number, signal: AbortSignal): Promise<void> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of readClientBlob(this.#session, CACHE_STORE, digest, signal)) {
      size += piece.byteLength;
      if (size > most) throw invalid(savedBlobPath(this.#root, digest), 'it is too long');
      pieces.push(piece);
    }
    putBlob(this.#root, digest, Buffer.concat(pieces));
  }

  async #put(digest: Digest, signal: AbortSignal): Promise<void> {
    const bytes = readFileSync(savedBlobPath(this.#root, digest));
    const named = { digest, size: bytes.byteLength };
    await writeClientBlob(this.#session, CACHE_STORE, named, () => [bytes], signal);
  }

  async #orWarn<T>(
    done: string,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      this.#warn(`the cache mounts of a step could not be ${done}: ${messageOf(error)}`);
      return undefined;
    }
  }
}
