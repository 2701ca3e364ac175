/**
 * A group of environment variables that Kiln reads, for docs/reference/environment.md and the man
 * page. A test compares the names with those that the code reads.
 */
export interface VariableGroup {
  readonly title: string;
  /** The variables of one entry share a description. */
  readonly variables: readonly { readonly names: readonly string[]; readonly text: string }[];
}

export const ENVIRONMENT: readonly VariableGroup[] = [
  {
    title: "Kiln's own",
    variables: [
      {
        names: ['KILN_ROOT'],
        text:
          'The directory of the store. The flag `--root` takes precedence. Default: ' +
          '`/var/lib/kiln` for root, else `$XDG_DATA_HOME/kiln`.',
      },
      {
        names: ['KILN_CONFIG'],
        text:
          'The configuration file, which must exist. Default: `/etc/kiln/kiln.toml`, which may ' +
          'be missing.',
      },
      {
        names: ['KILN_NODE'],
        text: 'The Node that the launcher starts, instead of the Node that Kiln ships with.',
      },
      {
        names: ['KILN_WORKERS'],
        text:
          'The addresses of workers for `kiln build`, separated by blanks. The flag `--workers` ' +
          'takes precedence.',
      },
      {
        names: ['KILN_MEMO'],
        text:
          'With `off`, a build that finds everything made is not recalled by the next one, which ' +
          'looks for all of it anew.',
      },
    ],
  },
  {
    title: "Docker's and BuildKit's, with the same meaning",
    variables: [
      {
        names: ['BUILDKIT_PROGRESS'],
        text:
          'The type of progress output if `--progress` is not given: `auto`, `tty`, `plain`, ' +
          '`quiet`, `none` or `rawjson`.',
      },
      {
        names: ['BUILDKIT_COLORS'],
        text:
          'The colours of the live progress: `run=COLOR:cancel=COLOR:error=COLOR:warning=COLOR`, ' +
          'with a name such as `green` or `light-blue`, or with red, green and blue from 0 to ' +
          '255, such as `255,165,0`. NO_COLOR takes precedence.',
      },
      {
        names: ['BUILDKIT_TTY_LOG_LINES'],
        text: 'How many lines of its output the live progress shows of a running step. Default: 6.',
      },
      {
        names: ['SOURCE_DATE_EPOCH'],
        text:
          'The creation time of the image, in seconds since 1970. Newer files in the image get ' +
          'this time, too. It can also be given as a build argument.',
      },
      {
        names: ['BUILDX_NO_DEFAULT_OCI_ARTIFACT'],
        text:
          'If `1`, attestations are not OCI artifacts, unless an output has `oci-artifact=true`: ' +
          'for registries that refuse manifests with a subject.',
      },
      {
        names: ['BUILDX_GIT_LABELS'],
        text:
          'If `1` or `full`, images get labels with the commit and the remote of the git ' +
          'repository that the context is in, and with the path of the Dockerfile in it.',
      },
      {
        names: ['BUILDX_GIT_INFO'],
        text: 'If `0`, provenance does not tell the commit and the remote of that repository.',
      },
      {
        names: ['BUILDX_GIT_CHECK_DIRTY'],
        text: 'If `1`, the commit ends in `-dirty` when files differ from it.',
      },
      {
        names: ['BUILDX_METADATA_PROVENANCE'],
        text:
          'If `min` or `max`, the file of `--metadata-file` has the provenance of the build, ' +
          'without or with its steps. Default: it has none.',
      },
      {
        names: ['BUILDX_METADATA_WARNINGS'],
        text: 'If `1`, the file of `--metadata-file` has the warnings of the build.',
      },
      {
        names: ['EXPERIMENTAL_BUILDKIT_SOURCE_POLICY'],
        text:
          'A JSON file with a source policy. It says which images, repositories, files and ' +
          'directories the build may use, and which are replaced by others.',
      },
      {
        names: ['DOCKER_DEFAULT_PLATFORM'],
        text: "The platform if `--platform` is not given. Default: the host's.",
      },
      {
        names: ['DOCKER_CONFIG'],
        text:
          "The directory of docker's `config.json`, which contains logins and proxies. " +
          'Default: `~/.docker`.',
      },
      {
        names: ['DOCKER_HOST'],
        text: "Selects the entry of `proxies` in docker's `config.json`.",
      },
    ],
  },
  {
    title: 'Network and logins',
    variables: [
      {
        names: ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'],
        text:
          'Proxies for registries, git and http sources. The lower-case names take precedence. ' +
          'Steps get proxies only by `--build-arg`.',
      },
      {
        names: ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'],
        text:
          'A file with additional CA certificates to trust. The second variable takes ' +
          'precedence.',
      },
      {
        names: ['SSL_CERT_DIR', 'GIT_SSL_CAINFO', 'GIT_SSL_CAPATH'],
        text: 'Passed to git when it fetches a source.',
      },
      { names: ['SSH_AUTH_SOCK'], text: 'The ssh agent of `--ssh default`.' },
    ],
  },
  {
    title: 'Terminal',
    variables: [
      { names: ['NO_COLOR'], text: 'Kiln uses no colours if it is set to any value.' },
      { names: ['CLICOLOR'], text: 'Kiln uses no colours if it is `0`.' },
      {
        names: ['TERM'],
        text:
          'Kiln uses no colours and never redraws lines if it is empty or `dumb`. `kiln run -t` ' +
          'passes it to the container.',
      },
      {
        names: ['COLUMNS', 'LINES'],
        text: 'The size of a terminal that does not report its size.',
      },
    ],
  },
  {
    title: 'The user and the system',
    variables: [
      {
        names: ['BROWSER', 'DISPLAY', 'WAYLAND_DISPLAY', 'WSL_DISTRO_NAME'],
        text:
          'The browser that `kiln ui` opens, and whether there is a desktop with one. Without, ' +
          'the address is printed.',
      },
      { names: ['HOME'], text: 'The home directory. Default: the one in `/etc/passwd`.' },
      {
        names: ['XDG_DATA_HOME'],
        text:
          "The directory that contains an ordinary user's store, `kiln`. Default: " +
          '`~/.local/share`.',
      },
      {
        names: ['XDG_RUNTIME_DIR'],
        text: "The directory for the state of an ordinary user's running sandboxes.",
      },
      {
        names: ['PATH'],
        text: 'Directories with crun, runc, git, nft and credential helpers.',
      },
    ],
  },
  {
    title: 'No effect, with a warning',
    variables: [
      { names: ['DOCKER_BUILDKIT'], text: "Kiln does not have docker's legacy builder (`0`)." },
      { names: ['DOCKER_CONTENT_TRUST'], text: 'Kiln does not verify image signatures.' },
      {
        names: ['BUILDX_DEFAULT_POLICY'],
        text: 'Kiln does not evaluate policies in Rego.',
      },
    ],
  },
  {
    title: 'Set by Kiln itself: do not set them',
    variables: [
      {
        names: ['KILN_ROOTLESS'],
        text: 'How ids are mapped in the user namespace of an ordinary user.',
      },
      {
        names: ['KILN_STDOUT_CLOSED'],
        text: 'Standard output was closed when the launcher started.',
      },
    ],
  },
  {
    title: 'The server and its clients',
    variables: [
      {
        names: ['NATS_URL'],
        text: 'The NATS server of `kiln worker`. The flag `--nats` takes precedence.',
      },
      {
        names: ['LISTEN_FDS', 'LISTEN_PID'],
        text: 'Set by systemd: the sockets that it has opened for `kiln serve`.',
      },
      {
        names: ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'],
        text:
          'Where `kiln build` sends the trace of its build, and `kiln serve` those of builds and ' +
          'of clients, such as `http://collector:4317`. To an endpoint for all signals over ' +
          'HTTP, `/v1/traces` is added.',
      },
      {
        names: ['OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'],
        text: 'How traces are sent: `grpc` (default) or `http/protobuf`.',
      },
      {
        names: ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_TRACES_HEADERS'],
        text: 'Headers that are sent with traces: `NAME=VALUE,NAME=VALUE`, values percent-encoded.',
      },
      {
        names: ['OTEL_TRACES_EXPORTER', 'OTEL_SDK_DISABLED'],
        text: '`none` and `true`: no traces are sent.',
      },
      {
        names: ['TRACEPARENT'],
        text: 'The trace and the span that the trace of a build belongs to (W3C Trace Context).',
      },
      {
        names: ['KILN_TRACE_STEPS'],
        text:
          'Not empty: steps get `TRACEPARENT` and the variables that say where the collector is. ' +
          'They are no part of the cache key. Headers are not passed on.',
      },
      {
        names: ['GITHUB_STEP_SUMMARY'],
        text: 'Set by GitHub Actions: the file to which the summary of a build is added.',
      },
      {
        names: ['GITLAB_CI', 'CI_PROJECT_DIR'],
        text:
          'Set by GitLab: the log of the job gets sections with the steps of a build, and ' +
          '`--check` writes `gl-code-quality-report.json` in the directory of the project.',
      },
      {
        names: ['KILN_CODE_QUALITY'],
        text: 'In a job of GitLab: the file of the report of code quality.',
      },
      {
        names: ['BUILDX_BUILDER'],
        text:
          'The address of the server that `kiln build` builds at, without `--builder`. A name ' +
          'that is no address has no effect, with a warning.',
      },
      {
        names: ['BUILDKIT_HOST'],
        text:
          'The address of the server that Kiln connects to when it is called `buildctl`, and ' +
          'that `kiln build` builds at, without `--builder` and BUILDX_BUILDER.',
      },
    ],
  },
];
