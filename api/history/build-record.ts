import type { Descriptor } from '../../base/oci.ts';
import type { KeptResult } from '../../builder/history/kept-result.ts';

/** A build, as its log has it. */
export interface BuildRecord {
  /** The name that its client gave it, or else the ID of its log. */
  readonly ref: string;
  /** The ID of its log. */
  readonly id: string;
  readonly header: Readonly<Record<string, unknown>>;
  /** The last line. Undefined while the build runs. */
  readonly ended: Readonly<Record<string, unknown>> | undefined;
  readonly steps: { readonly total: number; readonly completed: number; readonly cached: number };
  readonly warnings: number;
  /** None while the build runs. */
  readonly documents: DocumentsOfRecord;
  readonly result: KeptResult | undefined;
}

/** How BuildKit names what it keeps with a record. The last one is spelled so by the clients. */
export const DOCUMENT_TYPES = {
  logs: 'application/vnd.buildkit.status.v0',
  trace: 'application/vnd.buildkit.otlp.json.v0',
  error: 'application/vnd.googeapis.google.rpc.status+proto',
} as const;

export type DocumentKind = keyof typeof DOCUMENT_TYPES;

/** The documents of one record by what they are. */
export type DocumentsOfRecord = Readonly<Partial<Record<DocumentKind, Descriptor>>>;
