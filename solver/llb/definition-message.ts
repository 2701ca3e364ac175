import {
  bytesField,
  bytesList,
  flagField,
  intField,
  MAP_TEXT,
  mapField,
  message,
  messageField,
  messageList,
  nameSet,
  optionalField,
  textField,
} from './codec.ts';
import type { OpMetadata } from './graph.ts';

export type DefinitionMetadata = Omit<OpMetadata, 'locations'>;

/** pb.Definition */
export interface DefinitionMessage {
  /** Marshalled ops, inputs first. */
  readonly def: readonly Uint8Array[];
  /** By the digest of the op. */
  readonly metadata: Readonly<Record<string, DefinitionMetadata>>;
  readonly source?: SourceMessage;
}

/** pb.Source: the texts that ops come from, and where in them each op is, by its digest. */
export interface SourceMessage {
  readonly locations: Readonly<Record<string, { readonly locations: readonly LocationMessage[] }>>;
  readonly infos: readonly SourceInfo[];
}

/** pb.SourceInfo */
interface SourceInfo {
  readonly filename: string;
  readonly data: Uint8Array;
  /** A pb.Definition. */
  readonly definition?: Uint8Array | undefined;
  readonly language: string;
}

/** pb.Location: ranges of the text with this index. */
export interface LocationMessage {
  readonly sourceIndex: number;
  readonly ranges: readonly { readonly start: Position; readonly end: Position }[];
}

/** pb.Position. Lines count from 1, characters from 0. */
interface Position {
  readonly line: number;
  readonly character: number;
}

const PROGRESS_GROUP = message<NonNullable<DefinitionMetadata['progressGroup']>>({
  id: textField(1),
  name: textField(2),
  weak: flagField(3),
});
const OP_METADATA = message<DefinitionMetadata>({
  ignoreCache: optionalField(flagField(1)),
  description: mapField(2, MAP_TEXT),
  caps: nameSet(5),
  progressGroup: optionalField(messageField(6, PROGRESS_GROUP)),
});

const POSITION = message<Position>({ line: intField(1), character: intField(2) });
const RANGE = message<LocationMessage['ranges'][number]>({
  start: messageField(1, POSITION),
  end: messageField(2, POSITION),
});
const LOCATION = message<LocationMessage>({
  sourceIndex: intField(1),
  ranges: messageList(2, RANGE),
});
const LOCATIONS = message<SourceMessage['locations'][string]>({
  locations: messageList(1, LOCATION),
});
const SOURCE_INFO = message<SourceInfo>({
  filename: textField(1),
  data: bytesField(2),
  definition: optionalField(bytesField(3)),
  language: textField(4),
});
export const SOURCE = message<SourceMessage>({
  locations: mapField(1, messageField(2, LOCATIONS)),
  infos: messageList(2, SOURCE_INFO),
});

export const DEFINITION = message<DefinitionMessage>({
  def: bytesList(1),
  metadata: mapField(2, messageField(2, OP_METADATA)),
  source: optionalField(messageField(3, SOURCE)),
});
