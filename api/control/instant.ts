import { type Timestamp, timestampFromMs } from '@bufbuild/protobuf/wkt';

/** A time as messages have it, from milliseconds since 1970, fractions of which are left out. */
export function instant(ms: number): Timestamp {
  return timestampFromMs(Math.floor(ms));
}
