import { type Digest, isDigest } from '../base/digest.ts';
import type { Store } from '../snapshotter/store/root.ts';

/**
 * What was fetched by http(s): the layers that hold the file, and the validators by which the server tells that it is still the same
 * (RFC 9110, 8.8). A request is told apart by the digest of all that decides about its result: see solver/ops/source-http.ts.
 */
export interface FetchedFile {
  /** As sent, `W/` included. */
  readonly etag?: string | undefined;
  /** The Last-Modified header as sent. */
  readonly modified?: string | undefined;
  /** Of the bytes. */
  readonly digest: Digest;
  readonly filename: string;
  readonly layers: readonly string[];
}

export interface FetchedFiles {
  /** The last answer to this request. Whether its layers are still there is the caller's to see. */
  find(request: Digest): FetchedFile | undefined;
  save(request: Digest, file: FetchedFile): void;
}

/** Append-only: see Store.migrate. `used` is in milliseconds since 1970. */
const TABLES = ['CREATE TABLE fetched (request TEXT PRIMARY KEY, file TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID'];

/** Kept in the store's database. One row for each request; a lost row costs one download. */
export function openFetchedFiles(store: Pick<Store, 'db' | 'migrate'>): FetchedFiles {
  prepareFetched(store);
  const { db } = store;
  return {
    find(request) {
      const row = db.get<{ file: string }>('SELECT file FROM fetched WHERE request = ?', request);
      return row && parsedFile(row.file);
    },
    save(request, file) {
      const text = JSON.stringify(file);
      db.run('INSERT OR REPLACE INTO fetched (request, file, used) VALUES (?, ?, ?)', request, text, Date.now());
    },
  };
}

/** The table, for whoever reads it beside this file. */
export function prepareFetched(store: Pick<Store, 'migrate'>): void {
  store.migrate('fetched-files', TABLES);
}

/** Undefined for a row that cannot be read: the file is fetched once more. */
export function parsedFile(text: unknown): FetchedFile | undefined {
  try {
    const file = JSON.parse(String(text)) as Partial<FetchedFile> | null;
    const { digest, filename, layers, etag, modified } = file ?? {};
    if (digest === undefined || !isDigest(digest) || typeof filename !== 'string' || !Array.isArray(layers)) return undefined;
    const isText = (value: unknown) => value === undefined || typeof value === 'string';
    return layers.every((id) => typeof id === 'string') && isText(etag) && isText(modified) ? (file as FetchedFile) : undefined;
  } catch {
    return undefined;
  }
}
