import { closeInTime } from './closing.ts';
import { beginOutcome } from './outcome.ts';

/** The program of outcome.test.ts. Its one argument says how the command ends. */
const outcome = beginOutcome();
const never = () => new Promise<void>(() => undefined);
const WORK: Readonly<Record<string, () => Promise<number>>> = {
  works: async () => 0,
  fails: async () => 3,
  throws: async () => {
    throw new TypeError('a bug');
  },
  'never settles': async () => {
    await never();
    return 0;
  },
  'is never closed': async () => {
    await using _thing = { [Symbol.asyncDispose]: () => closeInTime('the thing', never()) };
    return 0;
  },
  'is never closed and holds the loop': async () => {
    setInterval(() => undefined, 1000);
    await using _thing = { [Symbol.asyncDispose]: () => closeInTime('the thing', never(), 50) };
    return 0;
  },
  'throws where nothing catches': async () => {
    setImmediate(() => {
      throw new TypeError('a bug');
    });
    await never();
    return 0;
  },
  'rejects where nothing catches': async () => {
    void Promise.reject(
      Object.assign(new Error('EPIPE: broken pipe, write'), { code: 'EPIPE', syscall: 'write' }),
    );
    await never();
    return 0;
  },
  'calls exit': async () => process.exit(0),
};

try {
  await outcome.returned(await WORK[process.argv[2] ?? '']!());
} catch (error) {
  await outcome.threw(error);
  // This event loop would never end by itself.
  if (process.argv[2]?.includes('holds')) process.exit();
}
