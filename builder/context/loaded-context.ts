import type { SourceText } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { TimedSource } from '../../frontend/frontend.ts';
import type { SolvedTree } from '../../frontend/gateway.ts';
import type { IgnoreFile } from '../../frontend/ignore.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { WantedFiles } from '../../solver/step-session.ts';
import type { LentDirectory, Session } from '../session.ts';

/** The context of a build with the text of its Dockerfile and the ignore file that applies. */
export interface LoadedContext {
  readonly from: LocalContext | RemoteContext;
  readonly dockerfile: SourceText;
  readonly ignore: IgnoreFile | undefined;
  /** How many bytes the caller sent when it was asked for the ignore file by itself. */
  readonly ignoreAsked?: number | undefined;
}

/** A directory of the session, or one that was made from its input. */
export interface LocalContext {
  readonly kind: 'local';
  /** Finds the directory on this host. It holds at least the `wanted` files. */
  readonly find: (wanted: WantedFiles) => Promise<LentDirectory>;
  /** The name of the directory in later builds, too: see `Session.placeOf`. */
  readonly place: string;
}

/** A tree that the graph fetches: a git repository, or a file or archive from an HTTP server. */
export interface RemoteContext {
  readonly kind: 'remote';
  readonly tree: DraftEdge;
  /** What it is fetched from, when it has a time. */
  readonly source?: TimedSource | undefined;
}

/** What loading a context needs from its build. */
export interface ContextHost {
  readonly session: Pick<Session, 'directory' | 'placeOf' | 'file' | 'input'>;
  /** Makes an empty directory that is removed after the build. `label` is part of its name. */
  readonly scratch: (label: string) => string;
  /** Receives warnings about the context. */
  readonly warn: ProgressSink;
  /**
   * Unpacks an untrusted tar (plain or compressed) into an empty directory. No entry gets outside
   * that directory.
   */
  readonly unpackTar: (archive: Buffer, into: string) => Promise<void>;
}

/** A host that can also fetch a remote context or Dockerfile. */
export interface FetchingHost extends ContextHost {
  /** Fetches a tree, so that its files can be read. */
  readonly fetch: (tree: DraftEdge) => Promise<SolvedTree>;
}
