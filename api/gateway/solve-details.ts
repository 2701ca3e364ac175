import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { KilnError } from '../../base/errors.ts';
import { GraphFailure } from '../../builder/graph-failure.ts';
import { opJson } from '../../solver/llb/op-json.ts';
import { SolveFailure } from '../grpc/solve-failure.ts';
import type { LLBBridge } from '../proto/gateway.gen.ts';
import type { DrivenBuild, FindBuild } from './driven-builds.ts';

/** A larger op is not sent along with an error: headers have a limit. */
const MAX_OP = 1 << 20;

type Methods = Partial<ServiceImpl<typeof LLBBridge>>;
type Unary = (request: never, context: HandlerContext) => Promise<unknown>;

/** The methods that solve graphs. */
const SOLVING = ['solve', 'evaluate', 'readFile', 'readDir', 'statFile', 'newContainer'] as const;

/** The same methods. Their errors say which op failed, and what it has left in its mounts. */
export function withSolveDetails(find: FindBuild, methods: Methods): Methods {
  const detailedMethods = SOLVING.map((name) => {
    const method = methods[name] as Unary;
    const answer: Unary = async (request, context) => {
      try {
        return await method(request, context);
      } catch (error) {
        throw failureIn(error) ? detailed(error, await find(context)) : error;
      }
    };
    return [name, answer];
  });
  return { ...methods, ...Object.fromEntries(detailedMethods) };
}

function detailed(error: unknown, { failed, kept }: DrivenBuild): unknown {
  const vertex = failureIn(error)?.vertex;
  if (!(error instanceof KilnError) || !vertex || vertex.bytes.byteLength > MAX_OP) return error;
  const left = failed?.leftBy(vertex.digest);
  // A client expects an ID for each mount of a process that has run.
  if (vertex.op.kind === 'exec' && !left) return error;
  const { before = [], after = [], action, cache } = left ?? {};
  const detail = {
    inputIDs: before.map((result) => kept.add(result)),
    mountIDs: after.map((result) => kept.add(result)),
    op: opJson(vertex.bytes),
    ...(action !== undefined && { file: { index: action } }),
    ...(cache !== undefined && { cache: { index: cache } }),
  };
  return error.with({ cause: new SolveFailure(detail, error.cause) });
}

function failureIn(error: unknown): GraphFailure | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof GraphFailure) return cause;
  return undefined;
}
