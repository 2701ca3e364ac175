import type { Random } from '../../base/testing/random.ts';
import type { GoldenCase } from '../golden/case.ts';
import { sourceOf } from './context.ts';
import { NAMES, value, word } from './words.ts';

const PATHS = [
  '/w',
  '/w/x',
  '/d',
  '/d/e',
  '/l',
  '/l/m',
  'rel',
  './r2',
  '/etc',
  '/opt/a b',
  '/w/../v',
  '/tmp/',
];
const plainPath = (random: Random) => random.pick(PATHS.filter((path) => !path.includes(' ')));
const path = (random: Random) =>
  random.one(6)
    ? `/${value(random)}`
    : random.one(5)
      ? `${plainPath(random)}/$A`
      : plainPath(random);
const destination = (random: Random) => `${path(random)}${random.one(2) ? '/' : ''}`;

/** What an instruction can use: earlier stages and the files of the context. */
export interface Scene {
  readonly stages: readonly string[];
  readonly files: GoldenCase['files'];
}

/** Makes one instruction, which may be invalid. */
type Maker = (random: Random, scene: Scene) => string;

const COMMANDS: readonly ((random: Random) => string)[] = [
  (random) => `echo "$A|$B|\${C}" > ${random.pick(['/out1', '/w/out', '/tmp/o'])} || true`,
  (random) => `mkdir -p ${plainPath(random)} || true`,
  (random) => `rm -rf ${random.pick(['/w', '/w/x', '/d/e', '/l', '/etc/group', '/opt'])}`,
  (random) =>
    `ln -sf ${random.pick(['/w', 'x', '../d', '/nowhere', 'l'])} ` +
    `${random.pick(['/l', '/w/l', '/d'])} || true`,
  (random) =>
    `chmod ${random.pick(['700', '1777', 'a+x', '2755'])} ` +
    `${random.pick(['/w', '/tmp', '/etc', '/d'])} || true`,
  (random) =>
    `chown ${random.pick(['5:6', 'www-data', '0:33'])} ${random.pick(['/w', '/l', '/d'])} || true`,
  (random) =>
    `mv ${random.pick(['/w', '/d', '/w/x'])} ${random.pick(['/v', '/w2', '/d/new'])} || true`,
  (random) => `pwd > /tmp/${random.pick(['p', 'q'])}; id -u >> /tmp/p || true`,
  (random) => `touch ${plainPath(random)} || true`,
  () => 'ln /etc/passwd /tmp/hard || true',
  () => 'env | grep -v -e HOSTNAME -e ^_= | sort > /tmp/env || true',
];

const run: Maker = (random, { stages }) => {
  const command = random
    .some(1, 2, () => random.pick(COMMANDS)(random))
    .join(random.one(2) ? ' && ' : '; ');
  const mount = random.one(5) ? mountFlag(random, stages) : '';
  switch (random.int(7)) {
    case 0:
      return `RUN ${mount}["/bin/sh", "-c", ${JSON.stringify(command)}]`;
    case 1:
      return `RUN ${mount}<<${random.pick(['EOF', '"EOF"', "'EOF'"])}
${command}
echo here > /tmp/here
EOF`;
    case 2:
      return `RUN ${mount}<<-E cat > /tmp/cat || true\n\tcat $A\n\tE`;
    case 3:
      return `RUN ${mount}${command.replace(/ (&&|\|\|) /, ' \\\n  # comment\n  $1 ')}`;
    default:
      return `RUN ${mount}${command}`;
  }
};

function mountFlag(random: Random, stages: readonly string[]): string {
  return random.mostly(
    [
      '--mount=type=bind,target=/ctx ',
      `--mount=type=bind,from=${random.pick([...stages, 'busybox'])},source=/etc,target=/m `,
      '--mount=type=tmpfs,target=/tmp/t ',
      '--mount=target=/ctx/$A,rw ',
      '--mount=type=cache,target=/cache,id=differential,sharing=private ',
      '--network=none ',
      '--mount=type=secret,id=none ',
    ],
    [
      '--mount=type=bind ',
      '--mount=type=nosuch,target=/x ',
      '--mount=target=$UNSET ',
      '--network=nosuch ',
    ],
  );
}

const OWNERS = ['5', '5:6', 'www-data', 'daemon:bin', 'nobody:7', '0:0', '${A:-3}'];
const MODES = [
  ...['755', '0600', 'u+x', 'go-rwx', 'a=rX', '7777', 'u=rw,g=r', '${UNSET:-711}', '+x', 'g=u'],
];
const EXCLUDED = ['*.txt', '**/d', 'dir/sub', 'sub', '${A:-b.txt}', '!a', 'a', '*'];

const copy: Maker = (random, { stages, files }) => {
  const add = random.one(3);
  const flags = [
    random.one(4) ? `--chown=${random.mostly(OWNERS, [':7', '$A', 'nosuch', ''])}` : '',
    random.one(4) ? `--chmod=${random.mostly(MODES, ['$B', '99', '', 'x'])}` : '',
    random.one(5) ? random.pick(['--link', '--link=true', '--link=false']) : '',
    random.one(6) ? `--exclude=${random.pick(EXCLUDED)}` : '',
  ].filter((flag) => flag !== '');
  if (!add && random.one(3)) {
    const from = random.mostly(
      [...stages, ...stages, 'busybox'],
      ['0', '1', '$A', 'nosuch-stage/x'],
    );
    const source = random.mostly(
      [
        '/etc/passwd',
        '/etc',
        'etc/gr*',
        '/tmp',
        '/var',
        '/var/www',
        '/d/*',
        '/usr',
        '/tmp/*',
        '/home',
      ],
      ['/w', '/l', '/', '/d'],
    );
    return ['COPY', `--from=${from}`, ...flags, source, destination(random)].join(' ');
  }
  const name = add ? 'ADD' : 'COPY';
  if (random.one(6)) {
    const body = `body $A \${B:-c}\n${random.one(2) ? '\\$A "q"\n' : ''}`;
    const sources = [...flags, random.pick(['<<E', '<<"E"', '<<-E'])].join(' ');
    return `${name} ${sources} ${destination(random)}\n${body}E`;
  }
  const sources = random.some(1, 3, () =>
    random.one(30) ? word(random) : sourceOf(random, files),
  );
  if (random.one(6))
    return `${name} ${[...flags, JSON.stringify([...sources, destination(random)])].join(' ')}`;
  const to = sources.length > 1 && !random.one(6) ? `${path(random)}/` : destination(random);
  return [name, ...flags, ...sources, to].join(' ');
};

const form = (random: Random, text: string): string =>
  random.one(2) ? JSON.stringify(text.split(' ')) : random.one(8) ? `["${text}"` : text;

const env: Maker = (random) => (random.one(5) ? envOfOne(random) : envOfPairs(random));

/** An ENV in the old form, in which the rest of the line is the value. */
function envOfOne(random: Random): string {
  const name = random.pick(NAMES);
  const values = random.some(1, 3, () => value(random));
  return `ENV ${name} ${values.join(random.pick([' ', '  ']))}`;
}

function envOfPairs(random: Random): string {
  const pairs = random.some(1, 3, () => `${random.pick(NAMES)}=${value(random)}`);
  return `ENV ${pairs.join(random.pick([' ', ' \\\n  ', ' \\\n# c\n\n ']))}`;
}

function argument(random: Random): string {
  return random.one(2) ? random.pick(NAMES) : `${random.pick(NAMES)}=${value(random)}`;
}

const LABELS = ['k', '"k q"', 'k.$A', "'s'"];
const PORTS = ['80', '80/udp', '1-3', '80/TCP', '${UNSET:-9}'];
const USERS = ['www-data', '5', '5:6', '0', 'root', 'nobody:bin', '0'];
const SHELLS = ['["/bin/sh", "-ec"]', '["/bin/sh", "-c"]', '["/bin/busybox", "sh", "-xc"]'];
const INTERVALS = [...['', '--interval=5s ', '--timeout=1.5m --retries=3 ', '--start-period=0s ']];

const MAKERS: readonly (readonly [weight: number, make: Maker])[] = [
  [8, run],
  [10, copy],
  [5, env],
  [3, (random) => `ARG ${random.some(1, 2, () => argument(random)).join(' ')}`],
  [3, (random) => `WORKDIR ${random.one(6) ? value(random) : path(random)}`],
  [2, (random) => `USER ${random.mostly(USERS, ['$A', 'nosuch', ':5'])}`],
  [
    2,
    (random) => {
      const labels = random.some(1, 2, () => `${random.pick(LABELS)}=${value(random)}`);
      return `LABEL ${labels.join(' ')}`;
    },
  ],
  [
    1,
    (random) => {
      const wrong = ['5-4', '0', '70000', '8080:80', '$A'];
      return `EXPOSE ${random.some(1, 2, () => random.mostly(PORTS, wrong)).join(' ')}`;
    },
  ],
  [
    1,
    (random) => {
      if (random.one(2)) return `VOLUME ${path(random)}`;
      return `VOLUME ${JSON.stringify(random.some(1, 2, () => path(random)))}`;
    },
  ],
  [1, (random) => `CMD ${form(random, `echo ${value(random)}`)}`],
  [1, (random) => `ENTRYPOINT ${form(random, `exec ${value(random)}`)}`],
  [1, (random) => `SHELL ${random.mostly(SHELLS, ['/bin/sh', '[]', '["a",]'])}`],
  [
    1,
    (random) =>
      `STOPSIGNAL ${random.mostly(['SIGINT', '9', 'TERM', 'SIGRTMIN+1'], ['nosuch', '$A', '0'])}`,
  ],
  [
    1,
    (random) =>
      'HEALTHCHECK ' +
      random.mostly(INTERVALS, ['--retries=x ', '--interval=1d ', '--nosuch ']) +
      `${random.mostly(['NONE', 'CMD true', 'CMD ["a", "b"]', 'cmd x'], ['CMD', 'x', 'NONE x'])}`,
  ],
  [1, (random) => `MAINTAINER ${value(random)}`],
  [
    1,
    (random, scene) => {
      if (random.one(40))
        return `ONBUILD ${random.pick(['FROM x', 'ONBUILD RUN x', 'MAINTAINER m'])}`;
      return `ONBUILD ${pickMaker(random)(random, scene)}`;
    },
  ],
  [
    1,
    (random) =>
      random.mostly(
        [
          '# a comment',
          '',
          '  # indented',
          'Expose 1',
          'run true',
          'env X=1',
          '\tLABEL tab=1',
          'USER 0',
        ],
        ['RUNN x', 'env', 'copy', 'COPY --nosuch a /b', 'RUN', 'FROM', 'RUN \\', 'ARG 1=x'],
      ),
  ],
];

const WEIGHTED = MAKERS.flatMap(([weight, make]) => Array.from({ length: weight }, () => make));
const pickMaker = (random: Random): Maker => random.pick(WEIGHTED);

export function instruction(random: Random, scene: Scene): string {
  return pickMaker(random)(random, scene);
}
