// What outlives a reload: for this tab, or for this browser. One that keeps nothing for pages throws.

const PREFIX = "edgeassist.";

const TAB = () => sessionStorage;
export const BROWSER = () => localStorage;

/** Returns what was kept under a name; undefined where there is nothing. */
export function recall(name, where = TAB) {
  try {
    return JSON.parse(where().getItem(PREFIX + name) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a value, or forgets it (undefined); returns false where there is no room. */
export function keep(name, value, where = TAB) {
  try {
    if (value === undefined) where().removeItem(PREFIX + name);
    else where().setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
