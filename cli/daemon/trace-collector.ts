import type { TraceCollector } from '../../api/trace/otlp-export.ts';
import { KilnError } from '../../base/errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads where traces are sent from the variables of OpenTelemetry: OTEL_EXPORTER_OTLP_ENDPOINT,
 * _HEADERS and _PROTOCOL (`grpc`, the default as with BuildKit, or `http/protobuf`), each of which
 * has a form for traces alone (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT). Returns undefined when they
 * name no endpoint, or when OTEL_TRACES_EXPORTER or OTEL_SDK_DISABLED say that traces are not sent.
 * Throws KILN_SERVER_CONFIG_INVALID.
 */
export function traceCollector(env: Environment): TraceCollector | undefined {
  if (env['OTEL_SDK_DISABLED'] === 'true' || env['OTEL_TRACES_EXPORTER'] === 'none')
    return undefined;
  const own = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || undefined;
  const endpoint = own ?? env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  if (!endpoint) return undefined;
  const protocol =
    env['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] || env['OTEL_EXPORTER_OTLP_PROTOCOL'] || 'grpc';
  const headers =
    env['OTEL_EXPORTER_OTLP_TRACES_HEADERS'] || env['OTEL_EXPORTER_OTLP_HEADERS'] || '';
  if (protocol !== 'grpc' && protocol !== 'http/protobuf')
    throw invalid('OTEL_EXPORTER_OTLP_PROTOCOL', 'use grpc or http/protobuf');
  const url = parsed(endpoint);
  if (protocol === 'http/protobuf' && own === undefined) url.pathname = joined(url.pathname);
  return { protocol, url: url.href, headers: headersOf(headers) };
}

/** The endpoint for all signals is a base, to which the path of traces is added. */
function joined(base: string): string {
  return `${base.replace(/\/$/, '')}/v1/traces`;
}

function parsed(endpoint: string): URL {
  const text = /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`;
  const url = URL.parse(text);
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw invalid('OTEL_EXPORTER_OTLP_ENDPOINT', 'use an address like http://host:4317');
}

/** `name=value,name=value`, the values percent-encoded. */
function headersOf(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      const name = pair.slice(0, at).trim();
      if (at < 0 || !/^[\w!#$%&'*+.^`|~-]+$/.test(name))
        throw invalid('OTEL_EXPORTER_OTLP_HEADERS', 'use NAME=VALUE,NAME=VALUE');
      return [name, decoded(pair.slice(at + 1).trim())];
    }),
  );
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function invalid(name: string, hint: string): KilnError {
  return new KilnError('KILN_SERVER_CONFIG_INVALID', `the variable ${name} has no valid value`, {
    hint,
    exitCode: 2,
  });
}
