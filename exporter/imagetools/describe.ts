import type { Descriptor } from '../../base/oci.ts';
import { formatPlatformInFull } from '../../base/platform.ts';
import type { RemoteImage } from './inspect.ts';

/**
 * The output of `imagetools inspect` without a format, as in buildx. `referrers` are listed in
 * addition when there are any.
 */
export function describeRemote(
  { location, root }: RemoteImage,
  referrers: readonly Descriptor[],
): string {
  const lines = [
    `Name:      ${location.name}`,
    `MediaType: ${root.mediaType}`,
    `Digest:    ${root.digest}`,
  ];
  if (root.document.kind === 'index') {
    lines.push(' '.repeat(11), 'Manifests: ');
    const entries = root.document.index.manifests.map((entry) =>
      child(location.nameOf(entry.digest), entry),
    );
    lines.push(...joined(entries));
  }
  if (referrers.length > 0) {
    lines.push(' '.repeat(11), 'Referrers: ');
    lines.push(...joined(referrers.map((entry) => child(location.nameOf(entry.digest), entry))));
  }
  // Text from a registry must not contain control characters, which could move the cursor.
  return `${lines.map((line) => line.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ')).join('\n')}\n`;
}

/** Two entries are separated by an empty line, padded like a table row. */
function joined(entries: readonly (readonly string[])[]): string[] {
  return entries.flatMap((lines, index) => (index === 0 ? lines : [' '.repeat(15), ...lines]));
}

function child(
  name: string,
  { mediaType, platform, artifactType, annotations = {} }: Descriptor,
): string[] {
  const lines = [`  Name:        ${name}`, `  MediaType:   ${mediaType}`];
  if (artifactType) lines.push(`  Artifact:    ${artifactType}`);
  if (platform) lines.push(`  Platform:    ${formatPlatformInFull(platform)}`);
  const keys = Object.keys(annotations).sort();
  if (keys.length === 0) return lines;
  const width = Math.max(...keys.map((key) => key.length)) + 1;
  return [
    ...lines,
    '  Annotations: ',
    ...keys.map((key) => `    ${`${key}:`.padEnd(width)} ${annotations[key]}`),
  ];
}
