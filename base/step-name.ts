const STEP = /^\[(?:[^\]]* )?\d+\/\d+\] /;

/**
 * True for the name of a step of a Dockerfile, as buildx prints it: `[2/3] RUN make` or
 * `[linux/arm64 build 1/2] FROM x`. Internal work and exports have other names.
 */
export function isStepName(name: string): boolean {
  return STEP.test(name);
}
