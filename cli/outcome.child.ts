import { closed } from './closing.ts';
import { beginOutcome } from './outcome.ts';

/** A command line of one word: how its work comes out. For tests. */
const outcome = beginOutcome();
const never = () => new Promise<void>(() => undefined);
const WORK: Readonly<Record<string, () => Promise<number>>> = {
  works: async () => 0,
  fails: async () => 3,
  throws: async () => {
    throw new TypeError('a fault');
  },
  'never settles': async () => {
    await never();
    return 0;
  },
  'is never closed': async () => {
    await using _thing = { [Symbol.asyncDispose]: () => closed('the thing', never()) };
    return 0;
  },
  'is never closed and holds the loop': async () => {
    setInterval(() => undefined, 1000);
    await using _thing = { [Symbol.asyncDispose]: () => closed('the thing', never(), 50) };
    return 0;
  },
  'throws where nobody looks': async () => {
    setImmediate(() => {
      throw new TypeError('a fault');
    });
    await never();
    return 0;
  },
  'rejects where nobody looks': async () => {
    void Promise.reject(
      Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO', syscall: 'write' }),
    );
    await never();
    return 0;
  },
  'calls exit': async () => process.exit(0),
};

try {
  await outcome.answered(await WORK[process.argv[2] ?? '']!());
} catch (error) {
  await outcome.failed(error);
  // What is held here is held for ever.
  if (process.argv[2]?.includes('holds')) process.exit();
}
