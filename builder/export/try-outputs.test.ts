import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { parseOutput } from '../../exporter/output-spec.ts';
import { buildRequest } from '../request.ts';
import { memorySession } from '../session/memory-session.ts';
import { tryOutputs } from './try-outputs.ts';

test('an output to the session is refused before the build when the session has no output', () => {
  const request = buildRequest({
    outputs: [{ type: 'tar', destination: { kind: 'lent', name: 'stdout' } }],
  });
  using without = memorySession({});
  assert.throws(
    () => tryOutputs(request, without),
    (error: unknown) => error instanceof KilnError && error.code === 'KILN_OUTPUT_INVALID',
  );
  using withOutput = memorySession({ output: async () => {} });
  tryOutputs(request, withOutput);
});

/** The message of the error about these outputs, or undefined when they are fine. */
function refusal(...outputs: readonly string[]): string | undefined {
  using session = memorySession({ output: async () => {} });
  const request = buildRequest({
    outputs: outputs.map((text) =>
      parseOutput(new Map(text.split(',').map((field) => field.split('=') as [string, string]))),
    ),
  });
  try {
    tryOutputs(request, session);
  } catch (error) {
    if (error instanceof KilnError) return `${error.message} ${error.exitCode}`;
    throw error;
  }
  return undefined;
}

test('two outputs cannot go to one file, one directory or standard output', () => {
  const file = join(tmpdir(), 'kiln-one-place');
  for (const place of [file, '-'])
    assert.match(
      refusal(`type=oci,dest=${place}`, `type=tar,dest=${place}`) ?? '',
      /two outputs are to be written to .* 2$/,
    );
  assert.match(refusal(`type=local,dest=${file}`, `type=local,dest=${file}`) ?? '', 'two outputs');
  assert.is(refusal(`type=oci,dest=${file}`, `type=tar,dest=${file}2`), undefined);
  assert.is(refusal('type=oci,dest=/dev/null', 'type=tar,dest=/dev/null'), undefined);
  assert.is(refusal('type=image', 'type=image,name=a'), undefined);
});

test('a form that does not fit the platforms is refused before the build', () => {
  assert.match(refusal('type=image,annotation-index.a=b') ?? '', /need an index.* 2$/);
  assert.is(refusal('type=image,annotation-index.a=b,multi-platform=true'), undefined);
  assert.match(refusal('type=docker,dest=-,multi-platform=true') ?? '', /several platforms 2$/);
});

test("what Docker's media types cannot have is refused before the build", () => {
  const docker = 'type=image,oci-mediatypes=false';
  for (const [option, why] of [
    ['compression=zstd', 'compression=zstd conflicts with oci-mediatypes=false'],
    ['oci-artifact=true', 'oci-artifact=true conflicts with'],
    ['annotation-index.a=b,multi-platform=true', 'an annotation of the index conflicts with'],
  ] as const)
    assert.match(refusal(`${docker},${option}`) ?? '', why);
  assert.is(refusal(`${docker},compression=gzip,oci-artifact=false`), undefined);
});

test.run();
