// What is not as it should be, in words: of the device, and of the page beside it.
import { t } from "./texts.js";
import { PROTOCOL, VERSION } from "./version.js";

/** Returns what a person is told above all views. */
export function noticesOf({ connection, box, config }) {
  const told = [];
  const info = box.info;
  if (config.version !== VERSION) told.push(t("common.page.changed", { page: VERSION, served: config.version }));
  else if (info && isNewer(info.version, VERSION)) {
    told.push(t("common.page.old", { page: VERSION, device: info.version }));
  }
  if (info?.protocol > PROTOCOL) told.push(t("common.page.protocol", { protocol: info.protocol, known: PROTOCOL }));
  if (connection.state === "online") {
    if (box.status === "absent" || box.status === "offline") told.push(t(`common.device.${box.status}`, { root: box.root }));
    if (box.forbidden.size) told.push(t("common.device.forbidden", { topics: [...box.forbidden].join(", ") }));
  }
  return told;
}

/** Whether a version such as `0.10.2` is newer than another. */
export function isNewer(version, other) {
  const [ours, theirs] = [version, other].map((each) => String(each).split(/[.+-]/).map((part) => parseInt(part, 10) || 0));
  for (let at = 0; at < Math.max(ours.length, theirs.length); at += 1) {
    const difference = (ours[at] ?? 0) - (theirs[at] ?? 0);
    if (difference) return difference > 0;
  }
  return false;
}
