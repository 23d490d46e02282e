// By which names this tab asks, and where it is answered.
import { keep, recall } from "./kept.js";

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
// A page that a browser has frozen has its name still, and can't say so.
const FROZEN_MS = 10_000;

let tab = recall("tab");

/**
 * Makes sure that no other page has this tab's name, before anybody uses it. A tab that was duplicated has all that the
 * first kept; the name, the conversation and the requests under way stay with that, and this one begins with its own.
 */
export async function ownTab() {
  if (tab && (await taken(tab))) return;
  for (const name of ["pending", "conversation"]) keep(name, undefined);
  tab = crypto.randomUUID().slice(0, 8);
  keep("tab", tab);
  taken(tab); // nobody else has it
}

/**
 * Takes a name for as long as the page is there; returns false where another page has it. A browser lets go of the lock
 * of a page that is reloaded when it gets to it, so one that waits asks whether somebody is there.
 */
function taken(name) {
  // Only a page of https or of this machine has locks.
  if (!navigator.locks) return true;
  const pages = new BroadcastChannel("edgeassist.tab");
  const wait = new AbortController();
  let ours = false;
  return new Promise((resolve) => {
    const take = () => {
      ours = true;
      clearTimeout(patience);
      resolve(true);
      return new Promise(() => {});
    };
    // Nobody waits for the request that is aborted: whether it is answered is up to the browser.
    const give = () => {
      clearTimeout(patience);
      pages.close();
      wait.abort();
      resolve(false);
    };
    const patience = setTimeout(give, FROZEN_MS);
    pages.onmessage = ({ data }) => {
      if (data.wants === name && ours) pages.postMessage({ has: name });
      if (data.has === name && !ours) give();
    };
    navigator.locks.request(`edgeassist.tab.${name}`, { signal: wait.signal }, take).catch(() => {});
    pages.postMessage({ wants: name });
  });
}

/**
 * Returns the client's level in topics: the login's name, since brokers that keep clients apart give each the topics
 * of its own name, or `console`.
 */
export function clientOf(connection) {
  return NAME.test(connection.username) ? connection.username : "console";
}

/** Returns the topic on which this tab is answered by a device. */
export function replyTopic(connection, root) {
  return `${root}/reply/${clientOf(connection)}/console-${tab}`;
}
