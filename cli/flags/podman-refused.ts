import { KilnError } from '../../base/errors.ts';

const SANDBOX = 'every step runs in a sandbox of its own';
const SBOM = 'use --sbom=true, or --sbom=generator=IMAGE';
const USERNS = 'Kiln maps users itself: an ordinary user builds in a user namespace';

/**
 * The flags of `podman build`, `buildah build` and docker's older builders that Kiln refuses, each
 * with what to do instead.
 */
export const REFUSED_FLAGS: Readonly<Record<string, string>> = {
  '--all-platforms': 'name the platforms with --platform A,B',
  '--cache-ttl': "remove old records with 'kiln prune --filter until=336h'",
  '--cap-add': 'write RUN --security=insecure, and give --allow security.insecure',
  '--cap-drop': "drop capabilities in the step, such as with 'setpriv --bounding-set'",
  '--cert-dir': 'put the certificates into /etc/docker/certs.d/HOST, or name them in kiln.toml',
  '--compat-volumes': 'what a RUN writes below a VOLUME stays, as with docker',
  '--cpp-flag': "preprocess the Dockerfile first: 'cpp -E Dockerfile.in | kiln build -f - .'",
  '--creds': "log in with 'kiln login': others see the words of a command line",
  '--cw': 'Kiln makes no images for confidential workloads',
  '--decryption-key': 'Kiln does not read encrypted images: decrypt the base first',
  '--dns': 'steps use the name servers of this host; --add-host adds single names',
  '--dns-option': 'steps use the name servers of this host; --add-host adds single names',
  '--dns-search': 'steps use the name servers of this host; --add-host adds single names',
  '--env': 'write ENV in the Dockerfile',
  '--from': 'name the first base with --build-context NAME=docker-image://IMAGE',
  '--group-add': 'give the user its groups in the image',
  '--hooks-dir': `hooks of a runtime are not run: ${SANDBOX}`,
  '--layer-label': 'label the image with --label',
  '--logfile': "'kiln logs' prints the full log of each build; 2>FILE writes what is shown",
  '--logsplit': "'kiln logs' prints the full log of each build",
  '--manifest': 'one --tag names the image of all platforms of --platform A,B',
  '--no-hostname': `each step has a name of its own: ${SANDBOX}`,
  '--no-hosts': 'each step has an /etc/hosts of its own, which no layer contains',
  '--omit-history':
    'the history tells the instructions: keep secrets out of them with RUN --mount=type=secret',
  '--os-feature': 'take the features from the base image',
  '--os-version': 'take the version from the base image',
  '--runtime': 'Kiln runs steps with crun',
  '--runtime-flag': 'Kiln runs steps with crun',
  '--sbom-image-output': SBOM,
  '--sbom-image-purl-output': SBOM,
  '--sbom-merge-strategy': SBOM,
  '--sbom-output': `${SBOM}; --output DIR writes it beside the files`,
  '--sbom-purl-output': `${SBOM}; --output DIR writes it beside the files`,
  '--sbom-scanner-command': SBOM,
  '--sbom-scanner-image': SBOM,
  '--sign-by': 'sign the pushed image, such as with cosign',
  '--squash-all': 'use --squash, and FROM scratch with COPY --from for a single layer',
  '--stdin': 'give a step its input with RUN --mount or a heredoc',
  '--unsetannotation': 'annotations of a base are not inherited',
  '--unsetenv': 'write ENV NAME= in the Dockerfile',
  '--unsetlabel': 'write LABEL NAME= in the Dockerfile',
  '--userns-gid-map': USERNS,
  '--userns-gid-map-group': USERNS,
  '--userns-uid-map': USERNS,
  '--userns-uid-map-user': USERNS,
};

/** The error for a flag that is refused, or undefined for one that nobody has. */
export function refusedFlag(flag: string): KilnError | undefined {
  if (!Object.hasOwn(REFUSED_FLAGS, flag)) return undefined;
  return new KilnError('KILN_FLAG_UNSUPPORTED', `kiln build has no flag ${flag}`, {
    place: { kind: 'flag', flag },
    hint: REFUSED_FLAGS[flag],
    exitCode: 2,
  });
}
