/**
 * # The build checks
 *
 * One value per rule. There are BuildKit's rules, with the names and addresses that Docker's users
 * know, and Kiln's own, for common mistakes. Output and the pages in docs/rules/ are made from this
 * list (examples.ts has the rest of a page). https://docs.docker.com/reference/build-checks/
 */
export interface Rule {
  readonly name: RuleName;
  /**
   * Findings of Kiln's own rules never fail a build that Docker would accept, unless
   * `experimental=` names the rule.
   */
  readonly by: 'buildkit' | 'kiln';
  /** The name of its page in docs/rules/. */
  readonly slug: string;
  /** `experimental` rules apply only when `# check=experimental=…` names them. */
  readonly level: 'warning' | 'experimental';
  readonly description: string;
  readonly url: string;
  /** True when the lines of findings are not shown, because they hold secrets. */
  readonly hidesLines: boolean;
}

export type RuleName = keyof typeof BUILDKIT | keyof typeof KILN;

/** Slug of the documentation page, description, and in what the rule differs from most. */
type Texts = Record<string, readonly [string, string, ...Trait[]]>;

type Trait = 'experimental' | 'hides lines';

const BUILDKIT = {
  StageNameCasing: ['stage-name-casing', 'Stage names should be lowercase'],
  FromAsCasing: ['from-as-casing', "The 'as' keyword should match the case of the 'from' keyword"],
  NoEmptyContinuation: [
    'no-empty-continuation',
    'Empty continuation lines will become errors in a future release',
  ],
  ConsistentInstructionCasing: [
    'consistent-instruction-casing',
    'All commands within the Dockerfile should use the same casing (either upper or lower)',
  ],
  DuplicateStageName: ['duplicate-stage-name', 'Stage names should be unique'],
  ReservedStageName: ['reserved-stage-name', 'Reserved words should not be used as stage names'],
  JSONArgsRecommended: [
    'json-args-recommended',
    'JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior ' +
      'related to OS signals',
  ],
  MaintainerDeprecated: [
    'maintainer-deprecated',
    'The MAINTAINER instruction is deprecated, use a label instead to define an image author',
  ],
  UndefinedArgInFrom: ['undefined-arg-in-from', 'FROM command must use declared ARGs'],
  WorkdirRelativePath: [
    'workdir-relative-path',
    'Relative workdir without an absolute workdir declared within the build can have ' +
      'unexpected results if the base image changes',
  ],
  UndefinedVar: ['undefined-var', 'Variables should be defined before their use'],
  MultipleInstructionsDisallowed: [
    'multiple-instructions-disallowed',
    'Multiple instructions of the same type should not be used in the same stage',
  ],
  LegacyKeyValueFormat: [
    'legacy-key-value-format',
    'Legacy key/value format with whitespace separator should not be used',
  ],
  InvalidBaseImagePlatform: [
    'invalid-base-image-platform',
    'Base image platform does not match expected target platform',
  ],
  RedundantTargetPlatform: [
    'redundant-target-platform',
    'Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the ' +
      'default behavior',
  ],
  SecretsUsedInArgOrEnv: [
    'secrets-used-in-arg-or-env',
    'Sensitive data should not be used in the ARG or ENV commands',
  ],
  InvalidDefaultArgInFrom: [
    'invalid-default-arg-in-from',
    'Default value for global ARG results in an empty or invalid base image name',
  ],
  FromPlatformFlagConstDisallowed: [
    'from-platform-flag-const-disallowed',
    'FROM --platform flag should not use a constant value',
  ],
  CopyIgnoredFile: [
    'copy-ignored-file',
    'Attempting to Copy file that is excluded by .dockerignore',
  ],
  InvalidDefinitionDescription: [
    'invalid-definition-description',
    'Comment for build stage or argument should follow the format: `# <arg/stage name> ' +
      '<description>`. If this is not intended to be a description comment, add an empty line ' +
      'or comment between the instruction and the comment.',
    'experimental',
  ],
  ExposeProtoCasing: ['expose-proto-casing', 'Protocol in EXPOSE instruction should be lowercase'],
  ExposeInvalidFormat: [
    'expose-invalid-format',
    'IP address and host-port mapping should not be used in EXPOSE instruction',
  ],
} as const satisfies Texts;

/**
 * Rules that are a matter of taste, or whose findings are intended in many files, are experimental.
 */
const KILN = {
  SuspiciousIgnorePattern: [
    'suspicious-ignore-pattern',
    'A line of .dockerignore cannot mean what it seems to say',
  ],
  ShellStateLost: [
    'shell-state-lost',
    'A change of directory or of the environment ends with its RUN',
  ],
  SecretInText: [
    'secret-in-text',
    'A Dockerfile should contain no secrets: they stay in the image and its history',
    'hides lines',
  ],
  PackageUpdateAlone: [
    'package-update-alone',
    'Package lists should be updated in the RUN that installs from them',
  ],
  InstallAfterCopyAll: [
    'install-after-copy-all',
    'Dependencies should be installed before the whole context is copied',
  ],
  TooManyLayers: ['too-many-layers', 'Docker accepts images of at most 127 layers'],
  LastStagePlatform: ['last-stage-platform', 'The last stage should have the target platform'],
  ChmodWithoutExecute: [
    'chmod-without-execute',
    'A mode without x makes directories that nobody can enter',
  ],
  EntrypointDropsCmd: [
    'entrypoint-drops-cmd',
    'An ENTRYPOINT drops the CMD that its stage inherits',
  ],
  ExcludeNamesSource: [
    'exclude-names-source',
    'Patterns of --exclude are matched below the source, not with its name',
  ],
  LinkResetsMode: ['link-resets-mode', 'COPY --link into /tmp changes the mode of /tmp'],
  CacheOwnersDiffer: [
    'cache-owners-differ',
    'Cache mounts of one id should agree on owner and mode',
  ],
  AddForPlainFile: [
    'add-for-plain-file',
    'COPY should be used for files that need no unpacking or fetching',
    'experimental',
  ],
  UnpinnedBaseImage: ['unpinned-base-image', 'Base images should have a version', 'experimental'],
} as const satisfies Texts;

export const RULES: Readonly<Record<RuleName, Rule>> = {
  ...rules(BUILDKIT, 'buildkit', (slug) => `https://docs.docker.com/go/dockerfile/rule/${slug}/`),
  ...rules(KILN, 'kiln', (slug) => `docs/rules/${slug}.md`),
} as Record<RuleName, Rule>;

function rules(texts: Texts, by: Rule['by'], url: (slug: string) => string): Record<string, Rule> {
  return Object.fromEntries(
    Object.entries(texts).map(([name, [slug, description, ...traits]]) => [
      name,
      {
        name: name as RuleName,
        by,
        slug,
        level: traits.includes('experimental') ? 'experimental' : 'warning',
        description,
        url: url(slug),
        hidesLines: traits.includes('hides lines'),
      },
    ]),
  );
}
