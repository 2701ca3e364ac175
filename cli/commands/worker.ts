import { availableParallelism, hostname } from 'node:os';
import { openBuildServices } from '../../api/build-services.ts';
import { GRANTABLE } from '../../api/control/entitlements.ts';
import { KilnError, messageOf } from '../../base/errors.ts';
import { formatPlatform, parsePlatform } from '../../base/platform.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { parseNatsAddress } from '../../workers/nats/nats-address.ts';
import { openNats } from '../../workers/nats/open-nats.ts';
import { isWord } from '../../workers/protocol.ts';
import { diskHindrance } from '../../workers/taking/disk-hindrance.ts';
import { takeWork } from '../../workers/taking/take-work.ts';
import { type Command, collect, newCommand, parseArguments } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stderr } from '../output.ts';
import { VERSION } from '../version.ts';

interface WorkerFlags {
  readonly nats?: string;
  readonly platform?: string[];
  readonly labels?: string[];
  readonly name?: string;
  readonly slots?: string;
  readonly secrets?: boolean;
  readonly allowInsecureEntitlement?: string[];
}

const NO_SECRETS = 'take no steps that read secrets or ssh agents';

/** Declares `kiln worker`. */
export function declareCommand(): Command {
  return newCommand('worker', 'Run steps for builds on other machines, which NATS brings here')
    .option(
      '--nats <address>',
      'the NATS server, with JetStream: nats://HOST:4222[?creds=FILE] (default: NATS_URL)',
    )
    .option(
      '--platform <list>',
      'the platforms of the steps that are taken (default: that of this machine)',
      collect,
    )
    .option('--labels <list>', 'also take the steps that ask for one of these labels', collect)
    .option('--name <name>', 'the name of this worker (default: from the name of the host)')
    .option(
      '--slots <number>',
      'how many sub-graphs are solved at the same time (default: the number of processors)',
    )
    .option('--no-secrets', NO_SECRETS)
    .option(
      '--allow-insecure-entitlement <name>',
      'builds may ask for this: network.host, security.insecure or device',
      collect,
    );
}

/** `kiln worker`: takes work until a signal ends it. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<WorkerFlags>();
  const text = flags.nats ?? process.env['NATS_URL'];
  if (text === undefined)
    throw usage('no NATS server is named', '--nats', 'write --nats nats://HOST:4222');
  const address = parseNatsAddress(text, '--nats', process.env);
  const platforms = platformsOf(flags);
  const labels = words(flags.labels, '--labels');
  const [name = ''] = words([flags.name ?? ownName()], '--name');
  const slots = slotsOf(flags);
  const entitlements = entitlementsOf(flags);
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const tell = (error: unknown) =>
    void stderr.write(`ERROR: ${error instanceof Error ? error.stack : messageOf(error)}\n`);
  const say = (sentence: string) => void stderr.write(`${sentence}\n`);
  await using nats = await openNats(address, '--nats', `kiln worker ${name}`);
  await using services = openBuildServices({ engine, version: VERSION, entitlements, tell });
  const shown = platforms.map(formatPlatform).join(', ');
  say(`worker ${name} takes work for ${shown} from ${address.shown}`);
  await takeWork(
    {
      nats,
      services,
      name,
      version: VERSION,
      platforms,
      labels,
      isTrusted: flags.secrets !== false,
      slots,
      hindrance: diskHindrance(engine.store.root, say),
      say,
      tell,
    },
    cancel.signal,
  );
  return 0;
}

/** Two workers on one host have names of their own. */
function ownName(): string {
  const host = hostname()
    .replace(/[^A-Za-z0-9-]/g, '-')
    .slice(0, 40);
  return `${host}-${process.pid}`;
}

function platformsOf({ platform = [] }: WorkerFlags) {
  const host = hostPlatform();
  const texts = platform.flatMap((list) => list.split(',')).filter(Boolean);
  return texts.length === 0 ? [host] : texts.map((text) => parsePlatform(text, host));
}

function words(lists: readonly string[] = [], flag: string): readonly string[] {
  const all = lists.flatMap((list) => list.split(',')).filter(Boolean);
  const wrong = all.find((word) => !isWord(word));
  if (wrong === undefined) return all;
  throw usage(`${JSON.stringify(wrong)} is not one word`, flag, 'use letters, digits and -');
}

function slotsOf({ slots }: WorkerFlags): number {
  if (slots === undefined) return availableParallelism();
  const count = Number(slots);
  if (Number.isSafeInteger(count) && count >= 1 && count <= 1000) return count;
  throw usage(`${JSON.stringify(slots)} is not a number of slots`, '--slots', 'write 1 or more');
}

function entitlementsOf({ allowInsecureEntitlement = [] }: WorkerFlags): readonly string[] {
  const names = allowInsecureEntitlement.flatMap((text) => text.split(','));
  const wrong = names.find((name) => !GRANTABLE.some((known) => known === name));
  if (wrong === undefined) return names;
  const flag = '--allow-insecure-entitlement';
  throw usage(
    `${JSON.stringify(wrong)} is not an entitlement`,
    flag,
    `use ${GRANTABLE.join(', ')}`,
  );
}

function usage(message: string, flag: string, hint: string): KilnError {
  return new KilnError('KILN_FLAG_VALUE', message, {
    place: { kind: 'flag', flag },
    hint,
    exitCode: 2,
  });
}
