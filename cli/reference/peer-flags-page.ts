import { FIXED_FLAGS } from '../flags/podman-fixed.ts';
import { REFUSED_FLAGS } from '../flags/podman-refused.ts';
import { PEER_FLAGS, PEERS, peerFlagsOf, type Verdict } from './peer-flags.ts';
import { wrap } from './text.ts';

/** The text of docs/reference/flags.md: what becomes of the flags of other builders. */
export function peerFlagsPage(): string {
  const byPeer = PEERS.map((peer) => new Set(peerFlagsOf(peer).map(({ flag }) => flag)));
  const [buildx, docker] = byPeer;
  const isOfDocker = (flag: string) => buildx?.has(flag) || docker?.has(flag);
  const flags = Object.keys(PEER_FLAGS).sort();
  return `# Flags of other builders

${wrap(
  'What `kiln build` makes of each flag that the helps of `docker buildx build`, `docker build` ' +
    'and `buildah build` list. A flag that is refused ends the command with exit code 2 before ' +
    'anything is built. No flag is ignored in silence.',
)}

## Of docker

${listOf(flags.filter(isOfDocker))}

## Of buildah and podman only

${listOf(flags.filter((flag) => !isOfDocker(flag)))}

[All flags of kiln build](build.md) | [All commands](README.md)
`;
}

function listOf(flags: readonly string[]): string {
  return flags.map((flag) => wrap(`- \`${flag}\`: ${verdictOf(flag)}`, '  ')).join('\n');
}

function verdictOf(flag: string): string {
  const verdict = PEER_FLAGS[flag] as Verdict;
  switch (verdict.kind) {
    case 'same':
      return 'The same.';
    case 'better':
      return `The same, and ${verdict.why}.`;
    case 'told':
      return `No effect, and a warning says so: ${verdict.why}.`;
    case 'already': {
      const why = FIXED_FLAGS[flag]?.why;
      return why === undefined
        ? 'Changes nothing: it is so in any case.'
        : `Taken where it says what Kiln does: ${why}.`;
    }
    case 'refused':
      return `Refused: ${REFUSED_FLAGS[flag]}.`;
  }
}
