/**
 * The reasons for which a test may be skipped. Any other `SKIP …` of a test file fails the run. A
 * missing package belongs in scripts/setup.sh, and a missing feature of Kiln is a failure.
 */
const ACCEPTED: readonly {
  readonly words: RegExp;
  readonly when?: () => boolean;
  readonly why: string;
}[] = [
  {
    words: /measured times are for npm run soak/,
    why: 'a timed assertion does not belong in a test run',
  },
  {
    words: /root/,
    when: () => process.getuid?.() !== 0,
    why: 'an ordinary user cannot change owners, make devices or mount',
  },
  {
    words: /this host has (v1|v2|hybrid|none)$/,
    why: 'a kernel has one layout of control groups, and a package cannot change it',
  },
  { words: /this host does not let cgroup2 be mounted/, why: 'a virtual machine may forbid it' },
  { words: /this host has no block device/, why: 'a container has none' },
  { words: /this host does not count memory/, why: 'a kernel without memory accounting' },
  { words: /needs \/dev\/net\/tun/, why: 'a container may have none' },
  { words: /this kernel has no vfat/, why: 'a kernel has the file systems that it was built with' },
  {
    words: /calls of x86 programs: this is another processor$/,
    why: 'what another processor runs is tested on it',
  },
  {
    words: /calls of 32-bit programs: this kernel runs none$/,
    why: 'a kernel may be built without them',
  },
  {
    words: /has no Node older than 22/,
    why: 'the project ships its own Node; an older one is the machine’s',
  },
  {
    words: /another OpenSSL than the one it is released with/,
    why: 'a distribution builds Node in its own way',
  },
  {
    words: /no libseccomp for this CPU/,
    why: 'the profile is compiled for CPUs that Kiln is shipped for',
  },
];

/** True when a test may be skipped for `reason`, which is the text after `SKIP `. */
export function isAccepted(reason: string): boolean {
  return ACCEPTED.some(({ words, when }) => words.test(reason) && (when === undefined || when()));
}
