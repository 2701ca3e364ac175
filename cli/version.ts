declare const KILN_VERSION: string | undefined;

/** The version of Kiln. It is `dev` when the sources run without the bundle. */
export const VERSION: string = typeof KILN_VERSION === 'string' ? KILN_VERSION : 'dev';
