import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { renderTemplate } from './evaluate.ts';
import { mentions, parseTemplate } from './parse.ts';

const DATA = {
  name: 'app:1',
  manifest: {
    digest: 'sha256:1',
    manifests: [
      { digest: 'sha256:2', platform: { architecture: 'amd64', os: 'linux', 'os.version': '10' } },
      { digest: 'sha256:3', platform: { architecture: 'arm64', os: 'linux' } },
    ],
  },
  image: {
    'linux/amd64': {
      config: { Env: ['A=1', 'B=<2>'], Labels: { 'a.b': 'c' } },
      rootfs: { diff_ids: ['x'] },
    },
  },
};

/* The expected results are those of Go 1.22's text/template. */
const rendered: readonly [template: string, expected: string][] = [
  ['plain {text}', 'plain {text}'],
  ['{{.Name}}', 'app:1'],
  ['{{ .name }}!', 'app:1!'],
  ['{{.Manifest.Digest}}', 'sha256:1'],
  [
    '{{range .Manifest.Manifests}}{{.Digest}} {{.Platform.OS}}/{{.Platform.Architecture}};{{end}}',
    'sha256:2 linux/amd64;sha256:3 linux/arm64;',
  ],
  [
    '{{range $i, $m := .Manifest.Manifests}}{{$i}}={{$m.Digest}} {{$.Name}};{{end}}',
    '0=sha256:2 app:1;1=sha256:3 app:1;',
  ],
  ['{{range $m := .Manifest.Manifests}}{{$m.Platform.OSVersion}};{{end}}', '10;<no value>;'],
  ['{{range .Manifest.None}}x{{else}}none{{end}}', 'none'],
  ['{{(index .Image "linux/amd64").Config.Env}}', '["A=1","B=\\u003c2\\u003e"]'],
  ['{{index (index .Image "linux/amd64").RootFS.DiffIDs 0}}', 'x'],
  ['{{index .Image "linux/amd64" "config" "Labels" "a.b"}}', 'c'],
  ['{{json .Manifest.Digest}}', '"sha256:1"'],
  ['{{.Name | upper | json}}', '"APP:1"'],
  ['{{join (split .Name ":") "/"}}', 'app/1'],
  ['{{if eq .Name "x" "app:1"}}yes{{else}}no{{end}}', 'yes'],
  ['{{if .Manifest.None}}a{{else if not .Name}}b{{else}}c{{end}}', 'c'],
  ['{{with .Manifest}}{{.Digest}}{{end}}{{with .Manifest.None}}x{{else}}-{{end}}', 'sha256:1-'],
  ['{{$n := .Name}}{{$n}}{{/* nothing */}}', 'app:1'],
  ['a {{- .Name -}} b', 'aapp:1b'],
  ['{{len .Manifest.Manifests}}{{"\\n"}}{{`{{`}}', '2\n{{'],
  ['{{println .Name 1 true}}', 'app:1 1 true\n'],
  ['{{and .Name 0}}{{or 0 .Name}}', '0app:1'],
];
for (const [template, expected] of rendered)
  test(template, () => assert.is(renderTemplate(template, DATA), expected));

const wrong: readonly [template: string, why: RegExp][] = [
  ['{{.Nope}}', /no field Nope/],
  ['{{.Name', /not closed/],
  ['{{end}}', /no matching if/],
  ['{{range .Name}}', /no \{\{end\}\}/],
  ['{{range .Name}}{{end}}', /range cannot iterate/],
  ['{{nope .Name}}', /no function nope/],
  ['{{.Name ! }}', /the syntax of/],
  ['{{.Name .Name}}', /the expression/],
  ['{{$x}}', /no variable \$x/],
  ['{{index .Manifest.Manifests 7}}', /out of range/],
  ['{{.Name.More}}', /has no field More/],
];
for (const [template, why] of wrong) {
  test(`${template} is refused: ${why.source}`, () =>
    assert.throws(
      () => renderTemplate(template, DATA),
      (error: unknown) =>
        error instanceof KilnError &&
        error.code === 'KILN_TEMPLATE_INVALID' &&
        why.test(error.message),
    ));
}

test('mentions finds the fields that a template uses', () => {
  const usesSbom = (template: string) => mentions(parseTemplate(template), 'SBOM');
  assert.ok(usesSbom('{{json .SBOM}}'));
  assert.ok(usesSbom('{{range .Name}}{{else}}{{(index $.SBOM "x").SPDX}}{{end}}'));
  assert.ok(mentions(parseTemplate('{{json .}}'), ''));
  assert.not.ok(mentions(parseTemplate('{{json .Name}}'), ''));
  assert.not.ok(usesSbom('{{.Name}} SBOM {{.Image.SBOM}}'));
});

test.run();
