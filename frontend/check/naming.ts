import type { SourceRange } from '../../solver/llb/graph.ts';
import { quote } from '../gotext.ts';
import type { Dockerfile } from '../instructions.ts';
import { type Check, type Warning, warning } from './warning.ts';

const isLower = (text: string) => text === text.toLowerCase();
const isUpper = (text: string) => text === text.toUpperCase();

const stageNameCasing: Check = ({ stages }) =>
  stages.flatMap(({ from: { nameAsWritten: name, range } }) =>
    name === undefined || isLower(name)
      ? []
      : [warning('StageNameCasing', `Stage name '${name}' should be lowercase`, range)],
  );

/** A FROM in mixed case belongs to ConsistentInstructionCasing. */
const fromAsCasing: Check = ({ stages }) =>
  stages.flatMap(({ from: { keyword, asKeyword, range } }) => {
    if (asKeyword === undefined || (!isLower(keyword) && !isUpper(keyword))) return [];
    if (isLower(keyword) ? isLower(asKeyword) : isUpper(asKeyword)) return [];
    return [
      warning(
        'FromAsCasing',
        `'${asKeyword}' and '${keyword}' keywords' casing do not match`,
        range,
      ),
    ];
  });

const consistentCasing: Check = (dockerfile) => {
  const all = instructionsOf(dockerfile);
  const lower = all.filter(({ keyword }) => isLower(keyword)).length;
  const upper = all.filter(({ keyword }) => isUpper(keyword)).length;
  const [fits, casing] = lower > upper ? [isLower, 'lowercase'] : [isUpper, 'uppercase'];
  return all.flatMap(({ keyword, range }) => {
    if (fits(keyword)) return [];
    const wanted = `the case of the command majority (${casing})`;
    const message = `Command '${keyword}' should match ${wanted}`;
    return [warning('ConsistentInstructionCasing', message, range)];
  });
};

function instructionsOf({
  stages,
}: Dockerfile): { readonly keyword: string; readonly range: SourceRange }[] {
  return stages.flatMap(({ from, instructions }) => [from, ...instructions]);
}

const duplicateStageName: Check = ({ stages }) => {
  const seen = new Set<string>();
  return stages.flatMap(({ from: { name, range } }) => {
    if (name === undefined) return [];
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    return [
      warning(
        'DuplicateStageName',
        `Duplicate stage name ${quote(name)}, stage names should be unique`,
        range,
      ),
    ];
  });
};

const RESERVED = new Set(['context', 'scratch']);

const reservedStageName: Check = ({ stages }) =>
  stages.flatMap(({ from: { name, range } }) => {
    if (name === undefined || !RESERVED.has(name)) return [];
    return [
      warning(
        'ReservedStageName',
        `Stage name should not use the same name as reserved stage ${quote(name)}`,
        range,
      ),
    ];
  });

/**
 * The comment right above a named stage or an ARG counts as its description, so it should begin
 * with the name.
 */
const definitionDescription: Check = ({ globalArgs, stages }) => {
  const describe = (
    instruction: string,
    names: readonly string[],
    comment: string,
    range: SourceRange,
  ): Warning[] => {
    const first = comment.split('\n').at(-1)?.split(' ')[0];
    if (comment === '' || names.length === 0 || (first !== undefined && names.includes(first)))
      return [];
    const name = names.length > 1 ? '<arg_key>' : names[0];
    const format = `\`# ${name} <description>\``;
    const message = `Comment for ${instruction} should follow the format: ${format}`;
    return [warning('InvalidDefinitionDescription', message, range)];
  };
  const froms = stages.flatMap(({ from }) =>
    describe('FROM', from.name === undefined ? [] : [from.name], from.docComment, from.range),
  );
  const args = [
    ...globalArgs,
    ...stages.flatMap(({ instructions }) => instructions.filter((i) => i.kind === 'arg')),
  ];
  return [
    ...froms,
    ...args.flatMap((arg) =>
      describe(
        'ARG',
        arg.args.map(({ key }) => key),
        arg.docComment,
        arg.range,
      ),
    ),
  ];
};

export const namingChecks: readonly Check[] = [
  stageNameCasing,
  fromAsCasing,
  consistentCasing,
  duplicateStageName,
  reservedStageName,
  definitionDescription,
];
