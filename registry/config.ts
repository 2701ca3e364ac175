import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, KilnError, messageOf } from '../base/errors.ts';
import type { HostConfig, HostsConfig } from './hosts.ts';

/**
 * The registry configuration, in the form of buildkitd.toml:
 *
 *     [registry."docker.io"]
 *       mirrors = ["mirror.example.com", "cache.example.com/hub"]
 *     [registry."registry.example.com:5000"]
 *       http = true
 *       insecure = true
 *       ca = ["/etc/ssl/example.pem"]
 *
 * A missing file is no configuration. Other tables are left alone, so that a buildkitd.toml can be used as it is.
 */
export async function readHostsConfig(path: string): Promise<HostsConfig> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return new Map();
    throw error;
  }
  return parseHostsConfig(text, path);
}

/** Parses the text of a configuration; `path` is for messages. CA files are read at once. Throws KILN_REGISTRY_CONFIG_INVALID. */
export async function parseHostsConfig(text: string, path: string): Promise<HostsConfig> {
  const invalid = (why: string, cause?: unknown) =>
    new KilnError('KILN_REGISTRY_CONFIG_INVALID', `${path} is not valid: ${why}`, { place: { kind: 'path', path }, cause });
  const { parse } = await import('smol-toml');
  let parsed: Readonly<Record<string, unknown>>;
  try {
    parsed = parse(text);
  } catch (cause) {
    throw invalid(messageOf(cause).split('\n', 1)[0] ?? '', cause);
  }
  const tables = parsed['registry'] ?? {};
  if (!isTable(tables)) throw invalid('registry is not a table');
  return new Map(Object.entries(tables).map(([host, table]) => [host, hostConfig(host, table, invalid)]));
}

const KNOWN = new Set(['mirrors', 'http', 'insecure', 'ca', 'tlsconfigdir', 'keypair']);

function hostConfig(host: string, table: unknown, invalid: (why: string, cause?: unknown) => KilnError): HostConfig {
  if (!isTable(table)) throw invalid(`registry."${host}" is not a table`);
  const stray = Object.keys(table).find((key) => !KNOWN.has(key));
  if (stray !== undefined) throw invalid(`registry."${host}" has an unknown field ${stray}`);
  // Client certificates are not supported: to ignore them would end in a refusal that nobody could explain.
  if (table['keypair'] !== undefined) throw invalid(`registry."${host}": client certificates (keypair) are not supported yet`);
  const texts = (key: string): readonly string[] => {
    const value = table[key] ?? [];
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    throw invalid(`registry."${host}".${key} is not a list of strings`);
  };
  const flag = (key: string): boolean => {
    const value = table[key] ?? false;
    if (typeof value === 'boolean') return value;
    throw invalid(`registry."${host}".${key} is neither true nor false`);
  };
  const files = [...texts('ca'), ...texts('tlsconfigdir').flatMap((directory) => certificatesIn(directory, invalid))];
  return {
    mirrors: texts('mirrors'),
    http: flag('http'),
    insecure: flag('insecure'),
    ca: files.map((file) => pemOf(file, invalid)),
  };
}

/** As docker's certs.d: every `*.crt` of the directory is a CA. */
function certificatesIn(directory: string, invalid: (why: string, cause?: unknown) => KilnError): string[] {
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith('.crt'));
    return names.sort().map((name) => join(directory, name));
  } catch (cause) {
    throw invalid(`${directory} cannot be read: ${messageOf(cause)}`, cause);
  }
}

function pemOf(file: string, invalid: (why: string, cause?: unknown) => KilnError): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw invalid(`CA file ${file} cannot be read: ${messageOf(cause)}`, cause);
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw invalid(`CA file ${file} holds no certificate in PEM form`);
  return text;
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
