import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, CaseContext, Floor } from '../case.ts';
import type { Engine } from '../engines.ts';
import { cProgram, edit, npmApplication, type Project } from '../projects.ts';
import type { Run } from '../timed.ts';

/** Runs a command in a chroot with /dev and /proc, as a plain tool would. */
const inRoot = (root: string, directory: string, command: string) =>
  `unshare -m sh -ec 'mount --rbind /dev ${root}/dev; mount -t proc proc ${root}/proc; ` +
  `exec chroot ${root} sh -ec "cd ${directory} && ${command}"'`;

/** The project in an unpacked image, built once. Returns the image's root. */
function built(context: CaseContext, project: Project): string {
  const root = context.root(project.image);
  const home = join(root, project.home);
  if (!existsSync(home)) {
    cpSync(context.directory, home, { recursive: true });
    for (const command of [project.setUp, project.build])
      execFileSync('sh', ['-c', inRoot(root, project.home, command)], { stdio: 'ignore' });
  }
  return root;
}

/** Edits the file, builds in the chroot and copies what came out. `after` is one more command. */
function rebuilt(project: Project, title: string, after: (context: CaseContext) => string): Floor {
  return {
    title: `\`${project.build}\` in a chroot, \`cp -a\` of what it made${title}`,
    script(context) {
      const root = built(context, project);
      const home = join(root, project.home);
      const line = project.line('$$').trim();
      return [
        `echo "${line}" >>${home}/${project.edited}`,
        inRoot(root, project.home, project.build),
        `cp -a ${home}/${project.product} "$SCRATCH"`,
        after(context),
      ].join('\n');
    },
  };
}

/** One layer to the registry, by curl. */
const upload = ({ registry }: CaseContext) => `
  place=$(curl -sSf -X POST -D - -o /dev/null http://${registry}/v2/bench/floor/blobs/uploads/ |
    sed -n 's/^[Ll]ocation: //p' | tr -d '\\r')
  tar -c -C "$SCRATCH" . | gzip -6 |
    curl -sSf -X PATCH -H 'content-type: application/octet-stream' -T - "$place"`;

function rebuildCase(project: Project, isPushed: boolean): Case {
  return {
    name: `rebuild-${project.name}${isPushed ? '-push' : ''}`,
    family: `rebuild-${project.name}`,
    title: `${project.title}, one edited${isPushed ? ', pushed' : ''}`,
    images: [project.image],
    places: ['registry'],
    prepare: (context) => project.write(context),
    before: async (context, engine, run) => {
      const options = optionsOf(context, isPushed);
      if (run === 0) await engine.build(context.directory, options);
      edit(project, context.directory, context.nonce(run + (isPushed ? 100 : 0)));
    },
    run: (context, engine) => engine.build(context.directory, optionsOf(context, isPushed)),
    floor: isPushed
      ? rebuilt(project, ', `tar | gzip -6 | curl`', upload)
      : rebuilt(project, '', () => ''),
  };
}

const optionsOf = ({ registry, nonce }: CaseContext, isPushed: boolean) =>
  isPushed ? { push: `${registry}/bench/${nonce(0)}:1` } : {};

/** The same work as a step, minus a step that does nothing: what the step itself takes. */
async function within(
  context: CaseContext,
  engine: Engine,
  run: number,
  project: Project,
  command: string,
): Promise<Run> {
  const measure = async (step: string) => {
    writeFileSync(
      join(context.directory, 'Dockerfile'),
      `FROM ${context.base(project.image)}\nWORKDIR ${project.home}\nCOPY . .\n` +
        `RUN ${step} && : ${context.nonce(run)}\n`,
    );
    return engine.build(context.directory);
  };
  const nothing = await measure('true');
  const work = await measure(command);
  return { ms: work.ms - nothing.ms, cpuMs: work.cpuMs - nothing.cpuMs, peakMb: 0, rssMb: 0 };
}

function withinCase(name: string, title: string, project: Project, command: string): Case {
  return {
    name: `within-${name}`,
    title: `${title} in a step, without the rest of the build`,
    images: [project.image],
    target: { floors: 1.03 },
    without: { buildah: 'left out, because it takes minutes' },
    prepare: (context) => project.write(context),
    run: (context, engine, run) => within(context, engine, run, project, command),
    floor: {
      title: `${title} in a chroot`,
      before: (context) => {
        execFileSync('cp', ['-a', context.root(project.image), join(context.scratch, 'root')]);
        cpSync(context.directory, join(context.scratch, 'root', project.home), { recursive: true });
      },
      script: ({ scratch }) => inRoot(join(scratch, 'root'), project.home, command),
    },
  };
}

export const projectCases: readonly Case[] = [
  rebuildCase(cProgram, false),
  rebuildCase(cProgram, true),
  rebuildCase(npmApplication, false),
  rebuildCase(npmApplication, true),
  withinCase('make', '`make -j2` of the C program', cProgram, 'make -j2 -B OBJ=/tmp/obj'),
  withinCase('npm', '`npm ci` of eight packages', npmApplication, npmApplication.setUp),
  withinCase(
    'apt',
    '`apt-get install` of Perl and Python, already downloaded',
    cProgram,
    'DEBIAN_FRONTEND=noninteractive apt-get install -y --no-download python3 perl',
  ),
];
