/** What the tabs of one browser tell each other. */

/** @returns {BroadcastChannel|null} null where there are none: each tab learns from the server then, a little later */
export const channel = (name) => ('BroadcastChannel' in globalThis ? new BroadcastChannel(`skep.${name}`) : null);
