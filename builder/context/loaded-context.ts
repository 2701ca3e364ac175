import type { SourceText } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { SolvedTree } from '../../frontend/gateway.ts';
import type { IgnoreFile } from '../../frontend/ignore.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { Session } from '../session.ts';

/**
 * What a build reads from: where its files are, the Dockerfile's text and the `.dockerignore` in
 * force.
 */
export interface LoadedContext {
  readonly from: LocalContext | RemoteContext;
  readonly dockerfile: SourceText;
  readonly ignore: IgnoreFile | undefined;
}

/** A directory on this host. */
export interface LocalContext {
  readonly kind: 'local';
  /** Absolute path; an empty directory when only a Dockerfile was given. */
  readonly directory: string;
  /** The same directory in the next build? Then file digests are worth remembering. */
  readonly memory: string | undefined;
}

/** A tree that the graph fetches: a git repository, or what an http server has. */
export interface RemoteContext {
  readonly kind: 'remote';
  readonly tree: DraftEdge;
}

/** What the caller lends, and temporary directories. */
export interface ContextHost {
  readonly session: Pick<Session, 'directory' | 'file' | 'input'>;
  /** A new empty directory that is removed after the build. */
  readonly scratch: (label: string) => string;
  /** Tells what the user should know of the context. */
  readonly warn: ProgressSink;
  /** Unpacks a tar (plain or compressed) into an empty directory, hostile paths and all. */
  readonly unpackTar: (archive: Buffer, into: string) => Promise<void>;
}

/** The same, once there is something to fetch with. */
export interface FetchingHost extends ContextHost {
  /** Fetches a tree to look into it. */
  readonly fetch: (tree: DraftEdge) => Promise<SolvedTree>;
}
