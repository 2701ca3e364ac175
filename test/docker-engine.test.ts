import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerRig } from './docker-rig.ts';
import { run } from './rig.ts';

/*
 * `kiln serve --docker … --pass-to …`, with Podman as the engine that has containers.
 */

/** Podman, serving its API with a storage of its own. */
class Podman implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'kiln-podman-'));
  readonly #env: NodeJS.ProcessEnv;
  readonly #service: ChildProcess;

  constructor() {
    const at = (name: string) => join(this.#directory, name);
    writeFileSync(
      at('storage.conf'),
      `[storage]\ndriver = "vfs"\ngraphroot = "${at('graph')}"\nrunroot = "${at('run')}"\n`,
    );
    // The limits of this process may be below those that Podman would set.
    writeFileSync(
      at('containers.conf'),
      '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n' +
        'log_driver = "k8s-file"\n[engine]\ncgroup_manager = "cgroupfs"\n' +
        'events_logger = "file"\nruntime = "runc"\n',
    );
    this.#env = {
      ...process.env,
      CONTAINERS_STORAGE_CONF: at('storage.conf'),
      CONTAINERS_CONF: at('containers.conf'),
    };
    this.#service = spawn('podman', ['system', 'service', '--time=0', `unix://${this.socket}`], {
      env: this.#env,
      stdio: 'ignore',
    });
  }

  get socket(): string {
    return join(this.#directory, 'podman.sock');
  }

  async listening(): Promise<void> {
    while (!existsSync(this.socket)) await setTimeout(20);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(['podman', 'rm', '--all', '--force', '--time', '0'], { env: this.#env });
    this.#service.kill('SIGTERM');
    await once(this.#service, 'close');
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

test('what is built runs in the engine behind, with its streams', async () => {
  await using podman = new Podman();
  await podman.listening();
  await using rig = await DockerRig.create(['busybox'], '--pass-to', `unix://${podman.socket}`);
  const build = (text: string) => {
    rig.serve.rig.write('c', { Dockerfile: `FROM busybox\nRUN echo ${text} > /x\nCMD cat /x\n` });
    return rig.docker('build -q -t app c');
  };
  await build('first');
  const start = 'run --rm --network host';
  assert.is((await rig.docker(`${start} app`)).stdout, 'first\n');
  await build('second');
  assert.is((await rig.docker(`${start} app`)).stdout, 'second\n', 'the image is handed over anew');
  const piped = await rig.docker(`${start} -i app cat`, { stdin: 'through both' });
  assert.is(piped.stdout, 'through both');
  await rig.docker('run -d --network host --name kept app sleep 600');
  assert.is((await rig.docker('exec -i kept cat', { stdin: 'in exec' })).stdout, 'in exec');
  assert.match((await rig.docker('ps')).stdout, /kept$/m);
  await rig.docker('rm -f kept');
  const unknown = await rig.docker('inspect --type container none', { expect: 1 });
  assert.match(unknown.stderr, /no such container/i);
  assert.not.match(rig.serve.printed, /ERROR/);
});

test('an engine that is not there is told by its address', async () => {
  await using rig = await DockerRig.create([], '--pass-to', 'unix:///nowhere/engine.sock');
  const { stderr } = await rig.docker('ps', { expect: 1 });
  assert.match(stderr, /unix:\/\/\/nowhere\/engine\.sock does not answer: .*\[KILN_NO_ENGINE\]/);
  assert.is((await rig.docker('images -q')).stdout, '');
});

test.run();
