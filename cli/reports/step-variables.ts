import type { Session } from '../../builder/session.ts';
import { stepSpanId, traceIdOf } from '../../history/trace/span-ids.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Headers are not among them, because they may hold a login. */
const PASSED = [
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_PROTOCOL',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL',
  'OTEL_TRACES_EXPORTER',
];

/**
 * The variables by which a program in a step sends its spans to the collector of the build, below
 * the span of its step: TRACEPARENT, and where the collector is.
 */
export function stepVariables(env: Environment): NonNullable<Session['stepVariables']> {
  const passed = PASSED.flatMap((name) => (env[name] ? [`${name}=${env[name]}`] : []));
  return (vertex, build) => [
    `TRACEPARENT=00-${traceIdOf(build, env['TRACEPARENT'])}-${stepSpanId(build, vertex)}-01`,
    ...passed,
  ];
}
