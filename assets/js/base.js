/** Where the console lives: at the root, or below a path that a proxy gave it. Everything else writes paths from the root. */

/** The path before every other one, without a slash at its end: `''` or `/skep`. Scripts have their version after it. */
export const BASE = new URL('..', import.meta.url).pathname.replace(/\/(v-[0-9a-f]+\/)?$/, '');

/** The path as the browser needs it. One that has the base already (the server named it) stays. */
export const below = (path) => (BASE && path.startsWith('/') && !path.startsWith(`${BASE}/`) ? BASE + path : path);

/** A path of the browser's as the console writes it. */
export const within = (path) => (BASE && path.startsWith(`${BASE}/`) ? path.slice(BASE.length) : path);
