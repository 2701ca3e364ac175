/** The kernel follows at most this many links in one path. */
export const MAX_LINKS = 40;

/** The names in a path without `.`. A `..` remains, because it matters after a symlink. */
export function namesIn(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/**
 * Resolves the symlinks in a path name by name, with the top of a tree as `/`; `..` stops there.
 * `targetOf` gets a path of which at most the last name is a link, and answers where that link
 * leads, or undefined when it is not a link. Returns the path without `/` before it. Throws what
 * `tooMany` makes when the path leads through more than MAX_LINKS links.
 */
export function resolveLinks(
  path: string,
  targetOf: (path: string) => string | undefined,
  tooMany: () => Error,
): string {
  const todo = namesIn(path).reverse();
  const done: string[] = [];
  for (let links = 0; todo.length > 0; ) {
    const name = todo.pop()!;
    if (name === '..') {
      done.pop();
      continue;
    }
    const target = targetOf([...done, name].join('/'));
    if (target === undefined) {
      done.push(name);
      continue;
    }
    if (++links > MAX_LINKS) throw tooMany();
    if (target.startsWith('/')) done.length = 0;
    todo.push(...namesIn(target).reverse());
  }
  return done.join('/');
}
