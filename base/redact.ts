/**
 * The text with logins taken out of the URLs in it: `https://user:password@host` becomes `https://xxxxx@host`. Ssh's plain user stays.
 * Linear in the length, as the text may be a whole RUN.
 */
export function redactUrl(text: string): string {
  return text.replace(/(?<=[a-z0-9+.-]):\/\/([^/?#\s@]*(?:@[^/?#\s@]*)*)@/gi, (whole: string, login: string, at: number) =>
    !login.includes(':') && PLAIN_SSH.test(text.slice(Math.max(0, at - 8), at)) ? whole : '://xxxxx@',
  );
}

/** The end of what stands before `://` when that is ssh. */
const PLAIN_SSH = /(?:^|[^a-z0-9+.-])(?:git\+)?ssh$/i;
