/** The text with logins taken out of the URLs in it: `https://user:password@host` becomes `https://xxxxx@host`. Ssh's plain user stays. */
export function redactUrl(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)([^/?#\s@]*(?:@[^/?#\s@]*)*)@/gi, (_, scheme: string, login: string) =>
    /^(ssh|git\+ssh):/i.test(scheme) && !login.includes(':') ? `${scheme}${login}@` : `${scheme}xxxxx@`,
  );
}
