import * as assert from 'uvu/assert';
import { Control } from '../api/proto/control.gen.ts';
import { PACKET, packetBytes } from '../api/session/filesync/packet.ts';
import { mutateBytes } from '../base/testing/mutate.ts';
import { randomOf } from '../base/testing/random.ts';
import { framed, messageOf, refusing, sending, silent, statOf, statPacket } from './raw-client.ts';
import { siegeSuite } from './siege.ts';
import { askingRegistry, begin, stagesWith } from './stages.ts';

/** Clients that fall silent, refuse or go away at each question that a build asks them. */
const test = siegeSuite('stages of builds of hostile clients');

test('a client that is silent waits alone, and its end ends its build', async (siege) => {
  await using registry = await askingRegistry();
  const waiting = stagesWith(registry.name).map((stage) => {
    const client = siege.client();
    return { ...stage, client, ...begin(client, stage, siege.ref(), silent) };
  });
  for (const { asked } of waiting) await asked;
  await siege.mustServe();
  for (const { client } of waiting) client[Symbol.dispose]();
  for (const { what, answer } of waiting) assert.is((await answer).code, undefined, what);
});

test('a session that ends at a question ends its build, with a reason', async (siege) => {
  await using registry = await askingRegistry();
  for (const stage of stagesWith(registry.name)) {
    const { asked, answer, session } = begin(siege.client(), stage, siege.ref(), silent);
    await asked;
    session.end();
    const { code, text } = await answer;
    assert.ok(code, `${stage.what}: ${code} ${text}`);
    assert.match(text, /gone away|cancell?ed/, `${stage.what}: ${code} ${text}`);
  }
});

test('a client that refuses is told its own words', async (siege) => {
  await using registry = await askingRegistry();
  for (const stage of stagesWith(registry.name)) {
    const { answer } = begin(siege.client(), stage, siege.ref(), refusing(7, 'not today'));
    const { code, text } = await answer;
    assert.ok(code, `${stage.what}: ${code} ${text}`);
    assert.match(text, /not today \[KILN_CLIENT_FAILED\]$/, stage.what);
  }
});

test('nonsense at a question is an error of that build', async (siege) => {
  await using registry = await askingRegistry();
  // KILN_SOAK=1 makes 100 rounds; KILN_SEED=N repeats a run.
  const soak = process.env['KILN_SOAK'] === '1';
  const seed = Number(process.env['KILN_SEED'] ?? (soak ? Date.now() % 1e6 : 1));
  const random = randomOf(seed);
  const corpus = [
    framed(Buffer.from([0x0a, 3, 1, 2, 3, 0x10, 1])),
    framed(messageOf(Control.method.solve, { ref: 'x', frontendAttrs: { a: 'b' } })),
    Buffer.concat([framed(statPacket(undefined)), framed(packetBytes(PACKET.fin))]),
    Buffer.concat([
      framed(statOf({ path: 'Dockerfile', text: 'FROM scratch' })),
      framed(packetBytes(PACKET.data, 0, Buffer.from('FROM scratch'))),
    ]),
  ];
  for (let round = 0; round < (soak ? 100 : 3); round++) {
    const client = siege.client();
    await Promise.all(
      stagesWith(registry.name).map(async (stage) => {
        const bytes = mutateBytes(random, corpus);
        const { answer } = begin(client, stage, siege.ref(), sending(bytes));
        const { code, text } = await answer;
        const hex = Buffer.from(bytes).toString('hex');
        const told = `seed ${seed}, ${stage.what}, ${hex}: ${code} ${text}`;
        assert.is.not(code, undefined, told);
        assert.not.match(text, /TypeError|RangeError|ERR_|undefined|KILN_BUG|\bat [\w.]+ \(/, told);
      }),
    );
  }
});

test.run();
