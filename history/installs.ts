/** What installs packages in a step. */
export interface Install {
  /** The command, such as `npm ci`. */
  readonly command: string;
  /** The files that it reads, in words. Undefined when it needs none of the context. */
  readonly files?: string;
  /** Where it keeps what it has downloaded. */
  readonly cache: string;
}

const INSTALLS: readonly (readonly [RegExp, Omit<Install, 'command'>])[] = [
  [
    /\bnpm (?:ci|i|install)\b/,
    { files: 'package.json and package-lock.json', cache: '/root/.npm' },
  ],
  [
    /\byarn(?: install)?(?= *(?:$|&&|;|--))/m,
    { files: 'package.json and yarn.lock', cache: '/usr/local/share/.cache/yarn' },
  ],
  [
    /\bpnpm (?:i|install)\b/,
    { files: 'package.json and pnpm-lock.yaml', cache: '/root/.local/share/pnpm/store' },
  ],
  [/\bpip3? install (?:\S+ )*-r \S+/, { files: 'requirements.txt', cache: '/root/.cache/pip' }],
  [/\bpip3? install\b/, { files: 'what pip reads', cache: '/root/.cache/pip' }],
  [
    /\buv (?:sync|pip install)\b/,
    { files: 'pyproject.toml and uv.lock', cache: '/root/.cache/uv' },
  ],
  [
    /\bpoetry install\b/,
    { files: 'pyproject.toml and poetry.lock', cache: '/root/.cache/pypoetry' },
  ],
  [/\bgo mod download\b/, { files: 'go.mod and go.sum', cache: '/go/pkg/mod' }],
  [/\bcargo fetch\b/, { files: 'Cargo.toml and Cargo.lock', cache: '/usr/local/cargo/registry' }],
  [/\bbundle install\b/, { files: 'Gemfile and Gemfile.lock', cache: '/usr/local/bundle/cache' }],
  [
    /\bcomposer install\b/,
    { files: 'composer.json and composer.lock', cache: '/root/.composer/cache' },
  ],
  [/\bmvn dependency:\S+/, { files: 'pom.xml', cache: '/root/.m2' }],
  [/\bapt(?:-get)? (?:-\S+ )*install\b/, { cache: '/var/cache/apt' }],
  [/\bapk (?:--\S+ )*add\b/, { cache: '/etc/apk/cache' }],
  [/\b(?:dnf|yum|microdnf) (?:-\S+ )*install\b/, { cache: '/var/cache/dnf' }],
];

/** Instructions beyond this many characters are not looked at. */
const LENGTH = 20_000;

/** Finds what a RUN instruction installs packages with. */
export function installOf(instruction: string): Install | undefined {
  const text = instruction.slice(0, LENGTH);
  if (!/^RUN\b/i.test(text)) return undefined;
  for (const [pattern, install] of INSTALLS) {
    const command = pattern.exec(text)?.[0];
    if (command !== undefined) return { command, ...install };
  }
  return undefined;
}
