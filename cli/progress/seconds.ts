/** Returns a duration in milliseconds as text in the form of buildx, such as `1.5s`. */
export function seconds(ms: number, digits = 1): string {
  return `${(Math.max(0, ms) / 1000).toFixed(digits)}s`;
}
