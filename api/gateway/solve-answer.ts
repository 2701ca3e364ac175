import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  RefMapDeprecatedSchema,
  type Result,
  ResultSchema,
  type SolveRequest,
  type SolveResponse,
  SolveResponseSchema,
} from '../proto/gateway.gen.ts';

/*
 * The answer of Solve, in the forms that callers of different versions read. The oldest callers
 * know one ref, by its ID alone. They have no Return: the last of their calls (`final`) says what
 * is to be exported.
 */

/** The answer in the form that the caller reads. Throws a ConnectError when it reads none of it. */
export function solveAnswer(
  request: Pick<SolveRequest, 'allowResultReturn' | 'allowResultArrayRef'>,
  result: Result,
): SolveResponse {
  const { case: form, value } = result.result;
  if (form === 'refs' && !request.allowResultReturn)
    throw new ConnectError('solve did not return default result', Code.FailedPrecondition);
  const ref = form === 'ref' ? value.id : '';
  const told = request.allowResultArrayRef ? result : withPlainRefs(result);
  return create(SolveResponseSchema, { ref, result: told });
}

/** What the last call of a caller returns: what was solved, and what the caller says about it. */
export function finalResult({ exporterAttr }: Pick<SolveRequest, 'exporterAttr'>, result: Result) {
  const metadata = { ...saidIn(exporterAttr), ...result.metadata };
  return create(ResultSchema, { ...result, metadata });
}

function withPlainRefs({ result: told, ...rest }: Result): Result {
  if (told.case === 'ref')
    return create(ResultSchema, {
      ...rest,
      result: { case: 'refDeprecated', value: told.value.id },
    });
  if (told.case !== 'refs') return create(ResultSchema, { ...rest, result: told });
  const refs = Object.fromEntries(
    Object.entries(told.value.refs).map(([name, { id }]) => [name, id]),
  );
  const value = create(RefMapDeprecatedSchema, { refs });
  return create(ResultSchema, { ...rest, result: { case: 'refsDeprecated', value } });
}

/** Metadata as Go writes it in JSON: bytes are base64. */
function saidIn(json: Uint8Array): Result['metadata'] {
  const wrong = () =>
    new ConnectError('the attributes of the result are not valid', Code.InvalidArgument);
  let read: unknown;
  try {
    read = JSON.parse(Buffer.from(json).toString());
  } catch {
    throw wrong();
  }
  if (typeof read !== 'object' || Array.isArray(read)) throw wrong();
  return Object.fromEntries(
    Object.entries(read ?? {}).map(([name, value]: [string, unknown]) => {
      if (typeof value !== 'string') throw wrong();
      return [name, Buffer.from(value, 'base64')];
    }),
  );
}
