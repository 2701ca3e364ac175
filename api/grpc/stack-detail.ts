/** The maximum number of frames that clients are told. */
const MAX_FRAMES = 24;

/** Where in a program an error was made, by the names of BuildKit's stack.Stack. */
export interface StackDetail {
  readonly frames: readonly {
    readonly Name: string;
    readonly File: string;
    readonly Line: number;
  }[];
  readonly pid: number;
}

/**
 * The place of the innermost cause, which clients print in their debug mode. Files are named by
 * their last two names: where Kiln is installed is nobody's business.
 */
export function stackDetail(causes: readonly Error[]): StackDetail | undefined {
  const { stack } = causes.at(-1) ?? {};
  const frames = (stack ?? '').split('\n').flatMap((line) => {
    const [, name, path, number] =
      /^\s+at (?:(.+?) \()?(?:file:\/\/)?([^()]+?):(\d+):\d+\)?$/.exec(line) ?? [];
    if (path === undefined) return [];
    const File = path.split('/').slice(-2).join('/');
    return [{ Name: name ?? '<anonymous>', File, Line: Number(number) }];
  });
  return frames.length === 0
    ? undefined
    : { frames: frames.slice(0, MAX_FRAMES), pid: process.pid };
}
