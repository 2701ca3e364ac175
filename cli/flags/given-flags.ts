/** The values of the flags, by their names in commander, such as `buildArg`. */
export type RawFlags = Readonly<Record<string, unknown>>;

/** The flags that the user gave, by their names in commander. */
export interface GivenFlags {
  readonly has: (name: string) => boolean;
  readonly text: (name: string) => string | undefined;
  readonly list: (name: string) => readonly string[];
}
