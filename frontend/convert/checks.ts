import type { WarningEvent } from '../../base/progress.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';

/** A check that needs to know what variables and images turn out to be. Names and texts are those that Docker's users know. */
export interface CheckRule {
  readonly name: string;
  readonly description: string;
  readonly url: string;
}

const rule = (name: string, slug: string, description: string): CheckRule => ({
  name,
  description,
  url: `https://docs.docker.com/go/dockerfile/rule/${slug}/`,
});

export const UndefinedVar = rule('UndefinedVar', 'undefined-var', 'Variables should be defined before their use');
export const UndefinedArgInFrom = rule('UndefinedArgInFrom', 'undefined-arg-in-from', 'FROM command must use declared ARGs');
export const InvalidDefaultArgInFrom = rule(
  'InvalidDefaultArgInFrom',
  'invalid-default-arg-in-from',
  'Default value for global ARG results in an empty or invalid base image name',
);
export const RedundantTargetPlatform = rule(
  'RedundantTargetPlatform',
  'redundant-target-platform',
  'Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior',
);
export const FromPlatformFlagConstDisallowed = rule(
  'FromPlatformFlagConstDisallowed',
  'from-platform-flag-const-disallowed',
  'FROM --platform flag should not use a constant value',
);
export const InvalidBaseImagePlatform = rule(
  'InvalidBaseImagePlatform',
  'invalid-base-image-platform',
  'Base image platform does not match expected target platform',
);
export const WorkdirRelativePath = rule(
  'WorkdirRelativePath',
  'workdir-relative-path',
  'Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes',
);
export const MultipleInstructionsDisallowed = rule(
  'MultipleInstructionsDisallowed',
  'multiple-instructions-disallowed',
  'Multiple instructions of the same type should not be used in the same stage',
);
export const JSONArgsRecommended = rule(
  'JSONArgsRecommended',
  'json-args-recommended',
  'JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals',
);
export const CopyIgnoredFile = rule(
  'CopyIgnoredFile',
  'copy-ignored-file',
  'Attempting to Copy file that is excluded by .dockerignore',
);

/** A warning as buildx shows it. */
export function warning(rule: CheckRule, message: string, range: SourceRange | undefined): WarningEvent {
  const line = range ? ` (line ${range.start.line})` : '';
  return {
    kind: 'warning',
    short: `${rule.name}: ${message}${line}`,
    detail: [rule.description],
    url: rule.url,
    ...(range && {
      source: { name: range.source.name, text: range.source.text, startLine: range.start.line, endLine: range.end.line },
    }),
  };
}
