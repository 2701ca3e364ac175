/**
 * Builds an image from a program: the Dockerfile, the files and a secret are values in memory.
 *
 *     node examples/library/build.ts STORE OUTPUT.tar
 *
 * The store is a directory that the program owns; it is the cache of the next run.
 */
import { build, buildRequest, KilnError, memorySession, openKiln, output } from 'kiln';

const [store = 'store', archive = 'hello.tar'] = process.argv.slice(2);
const dockerfile = `
FROM scratch
COPY --chmod=644 greetings.txt /
COPY <<EOF /etc/motd
Made by a program.
EOF
`;

await using engine = openKiln({ root: store });
using session = memorySession({
  directories: { context: { Dockerfile: dockerfile, 'greetings.txt': 'hello\n' } },
  secrets: { token: 'never in the image' },
});
const request = buildRequest({
  outputs: [output(`type=oci,dest=${archive}`, ['hello:1'])],
  labels: new Map([['made.by', 'a program']]),
});
const { signal } = new AbortController();
try {
  const { response } = await build(engine, request, session, () => {}, signal);
  console.log(`${archive} holds ${response['containerimage.digest']}`);
} catch (error) {
  if (!(error instanceof KilnError)) throw error;
  console.error(`${error.message} [${error.code}]${error.hint ? `\n${error.hint}` : ''}`);
  process.exitCode = error.exitCode;
}
