import { type Digest, isDigest } from '../base/digest.ts';
import type { Store } from '../snapshotter/store/root.ts';

/**
 * A file that was fetched by http(s): the layers that hold it, and the validators with which the
 * server can say that it has not changed (RFC 9110, 8.8). A request is identified by the digest of
 * everything that decides its result: see solver/ops/source-http.ts.
 */
export interface FetchedFile {
  /** The ETag header as sent, `W/` included. */
  readonly etag?: string | undefined;
  /** The Last-Modified header as sent. */
  readonly modified?: string | undefined;
  /** The digest of the bytes. */
  readonly digest: Digest;
  readonly filename: string;
  readonly layers: readonly string[];
}

export interface FetchedFiles {
  /** The last response to this request. The caller has to check that its layers still exist. */
  find(request: Digest): FetchedFile | undefined;
  save(request: Digest, file: FetchedFile): void;
}

/** Only append to this list: see Store.migrate. `used` is in milliseconds since 1970. */
const TABLES = [
  'CREATE TABLE fetched (request TEXT PRIMARY KEY, file TEXT NOT NULL, used INTEGER NOT ' +
    'NULL) WITHOUT ROWID',
];

/**
 * Fetched files in the store's database, one row for each request. A lost row costs one download.
 */
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
      db.run(
        'INSERT OR REPLACE INTO fetched (request, file, used) VALUES (?, ?, ?)',
        request,
        text,
        Date.now(),
      );
    },
  };
}

/** Creates the table, for callers that read it without `openFetchedFiles`. */
export function prepareFetched(store: Pick<Store, 'migrate'>): void {
  store.migrate('fetched-files', TABLES);
}

/** Undefined for a row that cannot be read. The file is then fetched again. */
export function parsedFile(text: unknown): FetchedFile | undefined {
  try {
    const file = JSON.parse(String(text)) as Partial<FetchedFile> | null;
    const { digest, filename, layers, etag, modified } = file ?? {};
    if (
      digest === undefined ||
      !isDigest(digest) ||
      typeof filename !== 'string' ||
      !Array.isArray(layers)
    )
      return undefined;
    const isText = (value: unknown) => value === undefined || typeof value === 'string';
    return layers.every((id) => typeof id === 'string') && isText(etag) && isText(modified)
      ? (file as FetchedFile)
      : undefined;
  } catch {
    return undefined;
  }
}
