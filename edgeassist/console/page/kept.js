// What outlives a reload of this tab, and nothing else: sessionStorage.

const PREFIX = "edgeassist.";

/** Returns what was kept under a name; undefined where there is nothing. */
export function recall(name) {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + name) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a value, or forgets it (undefined); returns false where there is no room. */
export function keep(name, value) {
  try {
    if (value === undefined) sessionStorage.removeItem(PREFIX + name);
    else sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
