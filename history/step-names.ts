/** Names of steps are `[stage 2/3] RUN make`, `[2/3] RUN make` or `[linux/arm64 build 2/3] …`. */
const NAME = /^\[([^\]]*?)\s*\d+\/\d+\]\s*/;

/** The stage, with its platform when the build has several; '' for the only one. */
export function stageOf(name: string): string {
  return NAME.exec(name)?.[1] ?? '';
}

/** The instruction, such as `RUN make`. A name of another form is returned as it is. */
export function instructionOf(name: string): string {
  return name.replace(NAME, '');
}
