// By which names this tab asks, and where it is answered.
import { keep, recall } from "./kept.js";

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

let tab = recall("tab");
if (!tab) {
  tab = crypto.randomUUID().slice(0, 8);
  keep("tab", tab);
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
