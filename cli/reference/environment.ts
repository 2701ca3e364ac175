/**
 * The environment variables that Kiln reads, for docs/reference/environment.md and the man page. A
 * test compares the names with those that the sources ask for.
 */
export interface VariableGroup {
  readonly title: string;
  /** Names in one entry mean the same. */
  readonly variables: readonly { readonly names: readonly string[]; readonly text: string }[];
}

export const ENVIRONMENT: readonly VariableGroup[] = [
  {
    title: "Kiln's own",
    variables: [
      {
        names: ['KILN_ROOT'],
        text:
          'The store. The flag `--root` goes before it. Default: `/var/lib/kiln` for root, ' +
          'else `$XDG_DATA_HOME/kiln`.',
      },
      {
        names: ['KILN_CONFIG'],
        text:
          'The configuration file, which must exist then. Default: `/etc/kiln/kiln.toml`, ' +
          'which need not exist.',
      },
      {
        names: ['KILN_NODE'],
        text: 'The Node that the launcher starts, in the place of the one that Kiln ships with.',
      },
    ],
  },
  {
    title: "Docker's and BuildKit's, with the same meaning",
    variables: [
      {
        names: ['BUILDKIT_PROGRESS'],
        text:
          'How progress is shown, where `--progress` does not say: `auto`, `tty`, `plain`, ' +
          '`quiet`, `none` or `rawjson`.',
      },
      {
        names: ['SOURCE_DATE_EPOCH'],
        text:
          'The time, in seconds since 1970, that the image and newer files in it get. The ' +
          'same as a build argument.',
      },
      {
        names: ['DOCKER_DEFAULT_PLATFORM'],
        text: "The platform, where `--platform` does not say. Default: the host's.",
      },
      {
        names: ['DOCKER_CONFIG'],
        text:
          "The directory of docker's `config.json` with logins and proxies. " +
          'Default: `~/.docker`.',
      },
      {
        names: ['DOCKER_HOST'],
        text: "Chooses the entry of `proxies` in docker's `config.json`.",
      },
    ],
  },
  {
    title: 'Network and logins',
    variables: [
      {
        names: ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'],
        text:
          'Proxies for registries, git and http sources. The lower-case names go before. ' +
          'Steps get them only by `--build-arg`.',
      },
      {
        names: ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'],
        text:
          'A file of CA certificates to trust besides the usual ones. The second ' +
          'goes before the first.',
      },
      {
        names: ['SSL_CERT_DIR', 'GIT_SSL_CAINFO', 'GIT_SSL_CAPATH'],
        text: 'Handed on to git when it fetches a source.',
      },
      { names: ['SSH_AUTH_SOCK'], text: 'The ssh agent of `--ssh default`.' },
    ],
  },
  {
    title: 'Terminal',
    variables: [
      { names: ['NO_COLOR'], text: 'Set to anything: Kiln colours nothing.' },
      { names: ['CLICOLOR'], text: '`0`: Kiln colours nothing.' },
      {
        names: ['TERM'],
        text:
          'Empty or `dumb`: nothing is drawn over and nothing is coloured. `kiln ' +
          'run -t` hands it on.',
      },
      { names: ['COLUMNS', 'LINES'], text: 'The size of a terminal that does not say its own.' },
    ],
  },
  {
    title: 'The user and the system',
    variables: [
      { names: ['HOME'], text: "Where `~` is. Default: what the system's list of users says." },
      {
        names: ['XDG_DATA_HOME'],
        text:
          "Where an ordinary user's store is, as its directory `kiln`. Default: " +
          '`~/.local/share`.',
      },
      {
        names: ['XDG_RUNTIME_DIR'],
        text: 'Where the state of running sandboxes of an ordinary user is.',
      },
      {
        names: ['PATH'],
        text: 'Where crun, runc, git, ip, nft and credential helpers are looked for.',
      },
    ],
  },
  {
    title: 'Read only to say that they have no effect',
    variables: [
      { names: ['BUILDX_BUILDER'], text: 'Kiln has one builder, itself.' },
      { names: ['DOCKER_BUILDKIT'], text: '`0` does not bring the old builder of docker.' },
      { names: ['DOCKER_CONTENT_TRUST'], text: 'Signatures of images are not verified.' },
      { names: ['BUILDX_GIT_LABELS'], text: 'Give labels with `--label`.' },
      {
        names: ['BUILDX_METADATA_WARNINGS'],
        text: 'Warnings are printed, not written to the metadata file.',
      },
      {
        names: ['BUILDX_METADATA_PROVENANCE'],
        text: 'The metadata file holds no provenance: use `--provenance`.',
      },
    ],
  },
  {
    title: 'Set by Kiln for itself: leave them alone',
    variables: [
      {
        names: ['KILN_ROOTLESS'],
        text: 'How ids are mapped in the user namespace that an ordinary user works in.',
      },
      {
        names: ['KILN_STDOUT_CLOSED'],
        text: 'Standard output was closed when the launcher started.',
      },
    ],
  },
];
