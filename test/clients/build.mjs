/* Builds by dockerode and by testcontainers: build.mjs CONTEXT. */
import Docker from 'dockerode';
import { GenericContainer } from 'testcontainers';

const [, , context] = process.argv;
const docker = new Docker();
const say = (...words) => console.log(...words);

const follow = (stream) =>
  new Promise((resolve, reject) => {
    docker.modem.followProgress(stream, (error, output) =>
      error ? reject(error) : resolve(output),
    );
  });

const built = await docker.buildImage(
  { context, src: ['Dockerfile'] },
  { t: 'rode:1', buildargs: { WORD: 'dockerode' } },
);
const output = await follow(built);
say(
  'said',
  output.some(({ stream }) => stream?.includes('said dockerode')),
);
say('id', /^sha256:/.test(output.find(({ aux }) => aux)?.aux.ID));
const image = docker.getImage('rode:1');
say('tags', (await image.inspect()).RepoTags.join());
await image.tag({ repo: 'rode', tag: '2' });
say('history', (await image.history()).length > 1);
const failing = await docker
  .buildImage({ context, src: ['Dockerfile'] }, { target: 'none' })
  .then(follow)
  .catch((error) => error.message);
say('failing', /KILN_/.test(failing));
await docker.getImage('rode:2').remove();
say('events', (await docker.info()).OSType);

const made = await GenericContainer.fromDockerfile(context)
  .withBuildArgs({ WORD: 'testcontainers' })
  .withCache(true)
  .build('tc:1', { deleteOnExit: false });
say(
  'testcontainers',
  made !== undefined,
  (await docker.getImage('tc:1').inspect()).RepoTags.join(),
);
